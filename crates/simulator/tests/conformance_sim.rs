//! The conformance suite against the simulator, in process and over HTTP.
//!
//! ```text
//! cargo test -p simulator --features conformance --test conformance_sim
//! ```
#![cfg(feature = "conformance")]

use std::net::SocketAddr;

use kube::{Client, Config};
use simulator::conformance::{self, Target};
use simulator::{ClusterOptions, Fleet, serve};

fn fleet() -> Fleet {
    let fleet = Fleet::new();
    fleet.add_cluster("m", ClusterOptions::default()).unwrap();
    fleet
}

#[tokio::test]
async fn conforms_in_process() {
    let fleet = fleet();
    let _ticker = fleet.spawn_ticker();
    let client = Client::new(fleet.service("m"), "default");
    conformance::run(client, Target::Simulator, "").await;
}

#[tokio::test]
async fn conforms_over_http() {
    let server = serve(&fleet(), SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let mut config = Config::new(server.url("m").parse().unwrap());
    config.default_retry = false;
    let client = Client::try_from(config).unwrap();
    conformance::run(client, Target::Simulator, "").await;
    server.stop();
}
