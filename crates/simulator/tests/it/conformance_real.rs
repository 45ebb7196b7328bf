//! The conformance suite against a real kube-apiserver with kube-controller-manager: the first
//! member of the test bed.
//!
//! ```text
//! [CASES=<filter>] cargo xtask test -- -p simulator --test it conformance_real
//! ```

use std::sync::Arc;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use simulator::conformance::{self, Subject};
use xtask::bed::Turn;

#[tokio::test]
async fn conforms_to_a_real_server() {
    let Some(bed) = xtask::bed::shared() else { return };
    // What etcd is made to forget, it forgets for everybody.
    let _turn = Turn::alone(bed);
    let kubeconfig = Kubeconfig::from_yaml(&bed.context("member-1").kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    config.default_retry = false;
    config.proxy_url = None;
    let filter = std::env::var("CASES").unwrap_or_default();
    let client = Client::try_from(config).unwrap();
    let compact = |revision| match bed.compact(revision) {
        Ok(()) => {}
        // Somebody was here before: forgotten is forgotten.
        Err(error) if error.to_string().contains("has been compacted") => {}
        Err(error) => panic!("{error:#}"),
    };
    conformance::run(Subject { client, compact: Arc::new(compact) }, &filter).await;
}
