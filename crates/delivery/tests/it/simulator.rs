//! The suite against the simulator, and what only a simulated member can be made to do.

use crate::suite::World;
use simulator::{ClusterOptions, Fleet};

async fn world(case: &str) -> Option<World> {
    let fleet = Fleet::new();
    fleet
        .add_cluster("member", ClusterOptions::default().with_nodes(2, 4, 16))
        .expect("the fleet was empty");
    let client = kube::Client::new(fleet.service("member"), "default");
    let ticker = fleet.spawn_ticker();
    // The world ends with the test's runtime.
    std::mem::forget(ticker);
    Some(World::new(client, case.replace('_', "-")))
}

crate::suite::cases!(world);
