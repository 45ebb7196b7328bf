//! A whole hub in this process: its API server simulated, its log in a file.

use std::path::Path;
use std::time::{Duration, Instant};

use api::http::{HubStatus, Readiness};
use event_log::EmbeddedLog;
use simulator::{ClusterOptions, Fleet};
use taffrail::client::HubClient;
use taffrail::serve::{HubAccess, LogChoice, Running, ServeConfig, start};

const PATIENCE: Duration = Duration::from_secs(60);

fn config(fleet: &Fleet, data_dir: &Path) -> ServeConfig {
    ServeConfig {
        node: "hub-0".to_owned(),
        data_dir: data_dir.to_owned(),
        log: LogChoice::Embedded { path: data_dir.join("log.redb") },
        hub: HubAccess::Client(kube::Client::new(fleet.service("hub"), "default")),
        http: "127.0.0.1:0".parse().unwrap(),
        hosts: vec![],
        system_namespace: "fleet-system".to_owned(),
        rules: Default::default(),
        adopted: Default::default(),
        threads: 1,
        clock_off_max: taffrail::serve::CLOCK_OFF_MAX,
    }
}

fn fleet() -> Fleet {
    let fleet = Fleet::new();
    fleet.add_cluster("hub", ClusterOptions::default()).unwrap();
    fleet
}

/// Starts a hub on a log that was just let go. Until a process that another test starts has begun
/// its program, it holds the locks of every log that is open in this one.
async fn start_again(fleet: &Fleet, data_dir: &Path) -> Running {
    let begin = Instant::now();
    loop {
        match start(config(fleet, data_dir), |_| ()).await {
            Ok(running) => return running,
            Err(error) if format!("{error:#}").contains("is in use") => {
                assert!(begin.elapsed() < PATIENCE, "{error:#}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error:#}"),
        }
    }
}

/// The hub's answer once it is ready.
async fn ready(running: &Running) -> HubStatus {
    let client = HubClient::new(&format!("http://{}", running.http_address())).unwrap();
    let wait = async {
        loop {
            let readiness: Readiness = client.get_any("/readyz").await.unwrap();
            let status: HubStatus = client.get("/api/v1/status", &[]).await.unwrap();
            if readiness.ready && status.owned.len() == usize::from(status.partitions) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the hub becomes ready")
}

#[actix::test]
async fn a_hub_ends_in_order_and_goes_on_where_it_was() {
    let (fleet, data) = (fleet(), tempfile::tempdir().unwrap());
    let steps = std::cell::RefCell::new(vec![]);
    let report = |step: &str| {
        let part = step.split(':').next().unwrap_or_default();
        steps.borrow_mut().push(part.to_owned());
    };
    let first = start(config(&fleet, data.path()), report).await.unwrap();
    assert_eq!(*steps.borrow(), ["log", "projections", "hub", "http"]);
    let before = ready(&first).await;
    first.shutdown().await.unwrap();

    let second = start_again(&fleet, data.path()).await;
    let after = ready(&second).await;
    assert_eq!(after.deployment, before.deployment);
    // The owner after a restart has claimed anew.
    assert_eq!(after.owned[0].epoch, before.owned[0].epoch + 1);
    second.shutdown().await.unwrap();
}

#[actix::test]
async fn a_log_in_use_is_told_and_left_alone() {
    let (fleet, data) = (fleet(), tempfile::tempdir().unwrap());
    let other = EmbeddedLog::open(data.path().join("log.redb")).unwrap();
    let Err(error) = start(config(&fleet, data.path()), |_| ()).await else {
        panic!("it must not start");
    };
    assert!(format!("{error:#}").contains("is in use by another process"), "{error:#}");
    drop(other);
    let running = start_again(&fleet, data.path()).await;
    running.shutdown().await.unwrap();
}
