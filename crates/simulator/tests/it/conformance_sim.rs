//! The conformance suite against the simulator, in process and over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use kube::{Client, Config};
use simulator::conformance::{self, Subject};
use simulator::{ClusterOptions, Fleet, serve};

fn fleet() -> (Fleet, impl Fn(Client) -> Subject) {
    let fleet = Fleet::new();
    let options = ClusterOptions::default().with_nodes(2, 4, 16);
    let cluster = fleet.add_cluster("m", options).unwrap();
    let subject = move |client| {
        let cluster = cluster.clone();
        let compact = move |revision| cluster.with_cluster(|it, _| it.compact(revision));
        Subject { client, compact: Arc::new(compact) }
    };
    (fleet, subject)
}

#[tokio::test]
async fn conforms_in_process() {
    let (fleet, subject) = fleet();
    let _ticker = fleet.spawn_ticker();
    let client = Client::new(fleet.service("m"), "default");
    conformance::run(subject(client), "").await;
}

#[tokio::test]
async fn conforms_over_http() {
    let (fleet, subject) = fleet();
    let server = serve(&fleet, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let mut config = Config::new(server.url("m").parse().unwrap());
    config.default_retry = false;
    let client = Client::try_from(config).unwrap();
    conformance::run(subject(client), "").await;
    server.stop();
}
