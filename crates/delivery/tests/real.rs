//! The suite against a real kube-apiserver: the first member of the test bed.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::print_stdout, reason = "a test says that it was skipped")]

mod suite;

use kube::config::{KubeConfigOptions, Kubeconfig};
use suite::World;

/// Where the test runner says that the bed is.
const KUBECONFIG_VARIABLE: &str = "TAFFRAIL_BED_KUBECONFIG";
/// The context of the bed that these tests use.
const CONTEXT: &str = "member-1";

async fn client() -> Option<kube::Client> {
    let Ok(path) = std::env::var(KUBECONFIG_VARIABLE) else {
        println!("skipped: no test bed");
        return None;
    };
    let kubeconfig = Kubeconfig::read_from(path).expect("the bed's kubeconfig can be read");
    let options =
        KubeConfigOptions { context: Some(CONTEXT.to_owned()), ..KubeConfigOptions::default() };
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .expect("the bed has this member");
    config.proxy_url = None;
    Some(kube::Client::try_from(config).expect("a client can be made"))
}

async fn world(case: &str) -> Option<World> {
    let client = client().await?;
    // Runs on one bed must not meet: what an earlier run made may still be going away.
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
    let run = since.as_millis() % 1_000_000_000;
    let case: String = case.split('_').filter_map(|word| word.chars().next()).collect();
    Some(World::new(client, format!("d-{case}-{run}-{}", std::process::id() % 1000)))
}

suite::cases!(world);
