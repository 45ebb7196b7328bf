//! A hub whose log finds no room: it says so, records nothing, loses nothing, and goes on.
//!
//! The disk is full as far as the hub can tell: the system refuses to let its files grow.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use acceptance::ground::Ground;
use acceptance::wait::{come, eventually};
use acceptance::{in_a_system, scenarios};
use api::http::{Readiness, ReplayReport};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{Patch, PatchParams};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::json;
use taffrail::client::HubClient;

/// A hub as a process of its own.
struct HubProcess {
    child: Child,
    client: HubClient,
}

impl HubProcess {
    fn start(ground: &Ground, dir: &Path) -> Self {
        std::fs::write(dir.join("hub.kubeconfig"), &ground.hub.kubeconfig).unwrap();
        let config = "data_dir = \"data\"\n[hub]\nkubeconfig = \"hub.kubeconfig\"\n\
                      [http]\nlisten = \"127.0.0.1:0\"\n";
        let file = dir.join("taffrail.toml");
        std::fs::write(&file, config).unwrap();
        // A file that may not grow is an error, as a full disk is, and not the end of the process.
        let mut child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_taffrail")])
            .args(["hub", "--config", &file.display().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let server = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("http: ").map(str::to_owned))
            .expect("it says where it listens");
        // What it prints further is thrown away.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, client: HubClient::new(&server).unwrap() }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    /// How large its files may become.
    fn allow(&self, bytes: Option<u64>) {
        let maximum = getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit { current: bytes, maximum };
        prlimit(Some(self.pid()), Resource::Fsize, limit).unwrap();
    }

    async fn readiness(&self) -> Readiness {
        self.client.get_any("/readyz").await.unwrap()
    }

    /// Ends it in order.
    fn end(mut self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An app of a few megabytes, more than a file has in reserve.
async fn write_large_app(ground: &Ground, namespace: &str) {
    scenarios::write_app(ground, namespace, "hello").await;
    let maps: Api<ConfigMap> = Api::namespaced(ground.hub.client.clone(), namespace);
    for index in 0..8 {
        let name = format!("large-{index}");
        // Different in each: what is the same is stored once.
        let data = name.repeat(100_000);
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
            "data": { "data": data },
        });
        maps.patch(&name, &PatchParams::apply("alice"), &Patch::Apply(map)).await.unwrap();
    }
}

/// Waits until the hub knows what was written before. What it sees of a kind, it sees in order, so
/// that it is enough to change an object of each in an app that is placed.
async fn has_seen_what_was_written(ground: &Ground, app: &str) {
    let namespaces: Api<Namespace> = Api::all(ground.hub.client.clone());
    let label = json!({ "metadata": { "labels": { "seen": "yes" } } });
    namespaces.patch(app, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    scenarios::write_app(ground, app, "seen").await;
    scenarios::hold_the_same(ground, &[&ground.members[0]], app).await;
    scenarios::shows(ground, "before", &scenarios::available(1)).await;
}

async fn conditions(ground: &Ground, name: &str) -> Vec<(String, String, String, i64)> {
    let api: Api<api::ClusterResourcePlacement> = Api::all(ground.hub.client.clone());
    let placement = api.get(name).await.unwrap();
    scenarios::essence(&placement.status.unwrap_or_default().conditions)
}

#[test]
fn a_full_disk_stops_writing_until_there_is_room() {
    in_a_system(async {
        let (ground, dir) = (Ground::simulated(1).await, tempfile::tempdir().unwrap());
        let hub = HubProcess::start(&ground, dir.path());
        ground.join(&ground.members[0], &[("region", "eu")]).await;
        scenarios::write_app(&ground, "app-before", "hello").await;
        scenarios::place(&ground, "before", "app-before", &["eu"]).await;
        scenarios::shows(&ground, "before", &scenarios::available(1)).await;

        write_large_app(&ground, "app-large").await;
        has_seen_what_was_written(&ground, "app-before").await;
        let size = std::fs::metadata(dir.path().join("data/log.redb")).unwrap().len();
        hub.allow(Some(size));
        scenarios::place(&ground, "large", "app-large", &["eu"]).await;
        let said = come("the hub says that there is no room", || async {
            let readiness = hub.readiness().await;
            readiness.not_ready.into_iter().find(|not_ready| not_ready.check == "log")
        })
        .await;
        assert!(said.message.contains("disk is full; make room"), "{}", said.message);
        assert_eq!(conditions(&ground, "large").await, [], "nothing is shown that is not recorded");
        assert_eq!(conditions(&ground, "before").await, scenarios::available(1));

        hub.allow(None);
        scenarios::shows(&ground, "large", &scenarios::available(1)).await;
        eventually("the hub is ready again", || async { hub.readiness().await.ready }).await;

        // What was acknowledged before, during and after is there after a restart.
        hub.end();
        let hub = HubProcess::start(&ground, dir.path());
        scenarios::write_app(&ground, "app-before", "hello again").await;
        eventually("the change is delivered", || async {
            let greeting = scenarios::greeting_on(&ground.members[0], "app-before").await;
            greeting.as_deref() == Some("hello again")
        })
        .await;
        let replayed: ReplayReport = hub.client.get("/api/v1/replay", &[]).await.unwrap();
        assert_eq!(replayed.first_difference, None);
        hub.end();
        ground.stop();
    });
}
