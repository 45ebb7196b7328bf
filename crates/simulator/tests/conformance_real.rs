//! The conformance suite against a real kube-apiserver with kube-controller-manager.
//!
//! ```text
//! TAFFRAIL_BED_KUBECONFIG=<kubeconfig> [TAFFRAIL_BED_CONTEXT=<context>] [CASES=<filter>] \
//!     cargo test -p simulator --features conformance --test conformance_real -- --nocapture
//! ```
#![cfg(feature = "conformance")]

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use simulator::conformance::{self, Target};

#[tokio::test]
async fn conforms_to_a_real_server() {
    let Ok(path) = std::env::var("TAFFRAIL_BED_KUBECONFIG") else {
        eprintln!("skipped: no test bed: TAFFRAIL_BED_KUBECONFIG names no kubeconfig");
        return;
    };
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    let context = std::env::var("TAFFRAIL_BED_CONTEXT").ok();
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    config.default_retry = false;
    let filter = std::env::var("CASES").unwrap_or_default();
    conformance::run(Client::try_from(config).unwrap(), Target::Real, &filter).await;
}
