//! Hubs that are killed at random moments, with SIGKILL, while placements are made and changed.
//!
//! Afterwards every member holds exactly what it should, the log replays clean, and nothing was
//! ever deleted.
#![expect(clippy::print_stdout, reason = "the figures are worth reading")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use acceptance::ground::{Cluster, Ground};
use acceptance::wait::eventually;
use acceptance::{in_a_system, scenarios};
use event_log::{EmbeddedLog, Log, PARTITIONS};
use event_log_kafka::{KafkaConfig, KafkaLog, Mode};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::DeleteParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};
use xtask::bed::Bed;

/// How often hubs are killed: in an ordinary run, and in a long one.
const KILLS: usize = 20;
const KILLS_SOAK: usize = 300;
const PLACEMENTS: usize = 50;

/// Hub processes that are started again whenever they are killed.
struct Hubs {
    processes: Vec<Child>,
    start: Box<dyn Fn(usize) -> Child>,
}

impl Hubs {
    fn start(count: usize, start: impl Fn(usize) -> Child + 'static) -> Self {
        let processes = (0..count).map(&start).collect();
        Self { processes, start: Box::new(start) }
    }

    fn kill_and_restart(&mut self, index: usize) {
        self.processes[index].kill().expect("it runs");
        self.processes[index].wait().expect("it was killed");
        self.processes[index] = (self.start)(index);
    }
}

impl Drop for Hubs {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// Starts a hub process and waits until it decides.
fn hub(name: &str, kubeconfig: &Path, data: &Path, log: &str) -> Child {
    let mut process = Command::new(env!("CARGO_BIN_EXE_hub_process"))
        .args([name, &kubeconfig.display().to_string(), &data.display().to_string(), log])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the hub starts");
    let output = process.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines();
    let ready = lines.by_ref().map_while(Result::ok).any(|line| line == "ready");
    assert!(ready, "the hub ended before it was ready");
    // What it prints further is thrown away.
    std::thread::spawn(move || lines.for_each(drop));
    process
}

/// Counts what is deleted on the members.
fn count_deletions(ground: &Ground) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    for member in &ground.members {
        count_deletions_of::<Namespace>(Api::all(member.client.clone()), &count);
        count_deletions_of::<ConfigMap>(Api::all(member.client.clone()), &count);
    }
    count
}

fn count_deletions_of<K>(api: Api<K>, count: &Arc<AtomicUsize>)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let count = count.clone();
    tokio::spawn(async move {
        let mut events = Box::pin(watcher(api, watcher::Config::default()).default_backoff());
        while let Some(event) = events.next().await {
            if let Ok(Event::Delete(_)) = event {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
}

fn app(index: usize) -> String {
    format!("app-kill-{index}")
}

async fn survives(ground: &Ground, hubs: &mut Hubs) {
    let seed = xtask::seed!();
    let mut random = fastrand::Rng::with_seed(seed);
    for member in &ground.members {
        ground.join(member, &[("region", "eu")]).await;
    }
    let deletions = count_deletions(ground);
    let mut greetings: BTreeMap<usize, String> = BTreeMap::new();
    for round in 0..xtask::trial::rounds(KILLS, KILLS_SOAK) {
        for _ in 0..random.usize(1..6) {
            let index = random.usize(0..PLACEMENTS);
            let greeting = format!("round {round}");
            scenarios::write_app(ground, &app(index), &greeting).await;
            if greetings.insert(index, greeting).is_none() {
                scenarios::place(ground, &app(index), &app(index), &["eu"]).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(random.u64(0..300))).await;
        let victim = random.usize(0..hubs.processes.len());
        hubs.kill_and_restart(victim);
    }
    for index in 0..PLACEMENTS {
        let greeting = "the end".to_owned();
        scenarios::write_app(ground, &app(index), &greeting).await;
        if greetings.insert(index, greeting).is_none() {
            scenarios::place(ground, &app(index), &app(index), &["eu"]).await;
        }
    }
    let members: Vec<&Cluster> = ground.members.iter().collect();
    for index in greetings.keys() {
        scenarios::hold_the_same(ground, &members, &app(*index)).await;
        scenarios::shows(ground, &app(*index), &scenarios::available(1)).await;
    }
    for member in &ground.members {
        let namespaces: Api<Namespace> = Api::all(member.client.clone());
        let list = namespaces.list(&Default::default()).await.expect("a list");
        let ours = list.iter().filter(|n| n.name_any().starts_with("app-kill-")).count();
        assert_eq!(ours, PLACEMENTS, "{} holds exactly what it should", member.name);
        let works: Api<api::AppliedWork> = Api::all(member.client.clone());
        let works = works.list(&Default::default()).await.expect("a list").items.len();
        assert_eq!(works, PLACEMENTS, "{} has an AppliedWork for each placement", member.name);
    }
    assert_eq!(deletions.load(Ordering::Relaxed), 0, "nothing was deleted");
    assert_counts(ground, &deletions).await;
}

/// Shows that a deletion would have been counted.
async fn assert_counts(ground: &Ground, deletions: &AtomicUsize) {
    for (index, member) in ground.members.iter().enumerate() {
        let maps: Api<ConfigMap> = Api::namespaced(member.client.clone(), &app(0));
        maps.delete("settings", &DeleteParams::default()).await.expect("it is there");
        eventually("the deletion is counted", || async {
            deletions.load(Ordering::Relaxed) == index + 1
        })
        .await;
    }
}

async fn assert_replays(log: &dyn Log) {
    let report = actors::replay::verify(log, PARTITIONS).await.unwrap();
    assert_eq!(report.first_difference, None);
    println!(
        "{} records, {} events, {} decisions decided again, {} records of former owners ignored",
        report.records, report.events, report.decisions, report.rejected
    );
}

#[test]
fn on_the_embedded_log() {
    in_a_system(async {
        let ground = Ground::simulated(3).await;
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = dir.path().join("kubeconfig");
        std::fs::write(&kubeconfig, &ground.hub.kubeconfig).unwrap();
        let data = dir.path().join("hub");
        let mut hubs = Hubs::start(1, {
            let data = data.clone();
            move |_| hub("hub-a", &kubeconfig, &data, "embedded")
        });
        survives(&ground, &mut hubs).await;
        drop(hubs);
        assert_replays(&EmbeddedLog::open(data.join("log.redb")).unwrap()).await;
        ground.stop();
    });
}

#[test]
fn on_kafka_with_two_hubs_and_real_clusters() {
    in_a_system(async {
        let (Some(ground), Some(bed)) = (Ground::real().await, Bed::shared()) else { return };
        ground.tidy().await;
        let bootstrap = bed.kafka().bootstrap();
        let prefix = format!("kill-{}.", uuid::Uuid::new_v4().simple());
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = dir.path().join("kubeconfig");
        std::fs::write(&kubeconfig, &ground.hub.kubeconfig).unwrap();
        let log = format!("kafka:{bootstrap},{prefix}");
        let data = dir.path().to_owned();
        let mut hubs = Hubs::start(2, move |index| {
            let name = format!("hub-{index}");
            hub(&name, &kubeconfig, &data.join(&name), &log)
        });
        survives(&ground, &mut hubs).await;
        drop(hubs);
        let config = KafkaConfig {
            topic_prefix: prefix,
            mode: Mode::Development,
            ..KafkaConfig::new(bootstrap)
        };
        assert_replays(&KafkaLog::connect(config).await.unwrap()).await;
        ground.tidy().await;
    });
}
