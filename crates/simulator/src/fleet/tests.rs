//! The fleet as clients see it: kube-rs in process and over HTTP, faults, time.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Client, Config};
use serde_json::json;

use super::*;

const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name}, "data": {"key": value}}))
    .unwrap()
}

fn fleet_of_one() -> (Fleet, ClusterHandle) {
    let fleet = Fleet::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    let cluster = fleet.add_cluster("m", ClusterOptions::default()).unwrap();
    (fleet, cluster)
}

/// What a kube client does all day.
async fn everyday_life(client: Client) {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let watch = pin!(watcher(maps.clone(), watcher::Config::default().labels("app=x")));
    let mut watch = watch.applied_objects().boxed_local();
    let created = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    assert!(created.metadata.uid.is_some());
    let patch = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"labels": {"app": "x"}}, "data": {"other": "2"}});
    let params = PatchParams::apply("tester");
    let applied = maps.patch("a", &params, &Patch::Apply(&patch)).await.unwrap();
    assert_eq!(applied.data.unwrap().len(), 2);
    let seen = watch.try_next().await.unwrap().unwrap();
    assert_eq!(seen.metadata.name.as_deref(), Some("a"));
    let listed = maps.list(&ListParams::default().labels("app=x")).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let error = maps.get("a").await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.reason == "NotFound"));
}

use kube::runtime::WatchStreamExt as _;

#[tokio::test]
async fn kube_works_in_process() {
    let (fleet, cluster) = fleet_of_one();
    everyday_life(Client::new(fleet.service("m"), "default")).await;
    assert!(cluster.open_watches() <= 1);
}

#[tokio::test]
async fn kube_works_over_http() {
    let (fleet, _) = fleet_of_one();
    let server = serve(&fleet, ANY_PORT).unwrap();
    let config = Config::new(server.url("m").parse().unwrap());
    everyday_life(Client::try_from(config).unwrap()).await;
    server.stop();
}

#[tokio::test]
async fn answers_are_ready_at_once() {
    use tower::Service as _;
    let (fleet, _) = fleet_of_one();
    let request = ::http::Request::get("/api/v1/namespaces")
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let answer = fleet.service("m").call(request);
    let answer = futures::FutureExt::now_or_never(answer).expect("ready without waiting").unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn paused_time_moves_workloads() {
    let (fleet, cluster) = fleet_of_one();
    let _ticker = fleet.spawn_ticker();
    let deployments: Api<Deployment> =
        Api::namespaced(Client::new(fleet.service("m"), "default"), "default");
    let web: Deployment = serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "web:1"}]}}}}))
    .unwrap();
    let start = fleet.now();
    deployments.create(&PostParams::default(), &web).await.unwrap();
    let mut watch = pin!(watcher(deployments, watcher::Config::default()).applied_objects());
    loop {
        let seen = watch.try_next().await.unwrap().unwrap();
        if seen.status.and_then(|it| it.available_replicas) == Some(1) {
            break;
        }
    }
    let waited = fleet.now().duration_since(start);
    assert!(waited >= jiff::SignedDuration::from_millis(100), "{waited:?}");
    assert!(waited < jiff::SignedDuration::from_secs(1), "{waited:?}");
    assert_eq!(cluster.open_watches(), 1);
}

#[test]
fn manual_time_runs_everything_in_order() {
    let run = || {
        let fleet = Fleet::manual("2026-01-01T00:00:00Z".parse().unwrap());
        for (name, delay) in [("a", 300), ("b", 100)] {
            let options = ClusterOptions::default().with_ready_delay(Duration::from_millis(delay));
            fleet.add_cluster(name, options).unwrap();
            let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
                "spec": {"template": {"spec": {"restartPolicy": "Never",
                    "containers": [{"name": "c", "image": "job:1"}]}}}});
            let made =
                fleet.request(name, &Request::post("/apis/batch/v1/namespaces/default/jobs", &job));
            assert_eq!(made.unwrap().status, 201);
        }
        fleet.advance(Duration::from_millis(200));
        let succeeded = |name: &str| {
            let path = "/apis/batch/v1/namespaces/default/jobs/j";
            fleet.request(name, &Request::get(path)).unwrap().value()["status"]["succeeded"].clone()
        };
        (succeeded("a"), succeeded("b"))
    };
    assert_eq!(run(), (serde_json::Value::Null, json!(1)));
    assert_eq!(run(), run());
}

#[tokio::test]
async fn faults_come_and_go() {
    let (fleet, cluster) = fleet_of_one();
    let maps: Api<ConfigMap> =
        Api::namespaced(Client::new(fleet.service("m"), "default"), "default");
    let code = |error: kube::Error| {
        if let kube::Error::Api(status) = error { status.code } else { 0 }
    };
    let refusals = [(Fault::Unavailable, 503), (Fault::Unauthorized, 401), (Fault::Throttled, 429)];
    for (fault, expected) in refusals {
        cluster.set_fault(fault);
        assert_eq!(code(maps.get("a").await.unwrap_err()), expected);
    }
    cluster.set_fault(Fault::Unreachable);
    assert_eq!(
        code(maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap_err()),
        0
    );
    cluster.set_fault(FaultRule::new(|it| (it.method == "POST").then_some(Fault::LostReply)));
    assert_eq!(code(maps.get("a").await.unwrap_err()), 404, "it did not arrive before");
    assert_eq!(
        code(maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap_err()),
        0
    );
    cluster.clear_fault();
    assert!(maps.get("a").await.is_ok(), "it was carried out, only the answer was lost");
}

#[tokio::test]
async fn dropped_watches_and_lost_history_are_survived() {
    let (fleet, cluster) = fleet_of_one();
    let client = Client::new(fleet.service("m"), "default");
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let names = watcher(maps.clone(), watcher::Config::default()).applied_objects();
    let names = names.filter_map(async |it| it.ok().and_then(|it| it.metadata.name));
    let mut names = pin!(names.filter(|it| std::future::ready(it != "kube-root-ca.crt")));
    for (name, trouble) in [("a", 0), ("b", 1), ("c", 2)] {
        if trouble == 2 {
            cluster.forget_watch_history();
        }
        if trouble >= 1 {
            cluster.drop_watches();
        }
        maps.create(&PostParams::default(), &config_map(name, "1")).await.unwrap();
        while names.next().await.as_deref() != Some(name) {}
    }
}

#[tokio::test]
async fn a_removed_cluster_refuses_connections() {
    let (fleet, _) = fleet_of_one();
    let namespaces: Api<Namespace> = Api::all(Client::new(fleet.service("m"), "default"));
    assert_eq!(namespaces.list(&ListParams::default()).await.unwrap().items.len(), 4);
    assert!(fleet.remove_cluster("m"));
    assert!(namespaces.list(&ListParams::default()).await.is_err());
}

#[tokio::test]
async fn a_client_that_goes_closes_its_watch() {
    let (fleet, cluster) = fleet_of_one();
    let server = serve(&fleet, ANY_PORT).unwrap();
    let client = Client::try_from(Config::new(server.url("m").parse().unwrap())).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let mut watch = Box::pin(watcher(maps, watcher::Config::default()).touched_objects());
    let open_watches = |wanted: usize| {
        let cluster = cluster.clone();
        let reached = async move {
            while cluster.open_watches() != wanted {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached)
    };
    assert!(watch.try_next().await.unwrap().is_some());
    let going_on = tokio::spawn(async move { watch.try_next().await.is_ok() });
    open_watches(1).await.expect("the watch is opened");
    going_on.abort();
    open_watches(0).await.expect("the watch is closed");
}
