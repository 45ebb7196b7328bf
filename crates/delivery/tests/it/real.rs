//! The suite against a real kube-apiserver: the first member of the test bed.

use crate::suite::World;
use std::sync::OnceLock;

use delivery::{Link as _, LinkError, PushLink};
use events::cluster::LinkProblem;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use tokio::sync::mpsc;
use xtask::bed::Turn;

/// The context of the bed that these tests use.
const CONTEXT: &str = "member-1";

fn kubeconfig() -> Option<Kubeconfig> {
    static TURN: OnceLock<Turn> = OnceLock::new();
    let bed = xtask::bed::shared()?;
    TURN.get_or_init(|| Turn::beside_others(bed));
    Some(Kubeconfig::read_from(bed.kubeconfig_path()).expect("the bed's kubeconfig can be read"))
}

async fn client() -> Option<kube::Client> {
    let options =
        KubeConfigOptions { context: Some(CONTEXT.to_owned()), ..KubeConfigOptions::default() };
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig()?, &options)
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

crate::suite::cases!(world);

/// A link as the hub makes it from a Secret, after some change to the kubeconfig.
async fn connected(change: impl Fn(&mut Kubeconfig)) -> Option<PushLink> {
    let mut kubeconfig = kubeconfig()?;
    kubeconfig.current_context = Some(CONTEXT.to_owned());
    change(&mut kubeconfig);
    let text = serde_json::to_string(&kubeconfig).expect("JSON is YAML");
    let link = PushLink::connect("member", &text, "taffrail/test", mpsc::channel(1).0).await;
    Some(link.expect("the kubeconfig stands for itself"))
}

#[tokio::test]
async fn a_kubeconfig_with_certificates_leads_to_the_member() {
    let Some(link) = connected(|_| ()).await else { return };
    assert!(link.probe().await.expect("it is up").ready);
}

#[tokio::test]
async fn a_credential_that_is_not_accepted_is_named() {
    let link = connected(|kubeconfig| {
        for user in kubeconfig.auth_infos.iter_mut().filter_map(|user| user.auth_info.as_mut()) {
            *user = AuthInfo { token: Some("wrong".to_owned().into()), ..AuthInfo::default() };
        }
    });
    let Some(link) = link.await else { return };
    assert_eq!(problem(&link).await, LinkProblem::Unauthorized);
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_not_used() {
    let link = connected(|kubeconfig| {
        for named in &mut kubeconfig.clusters {
            if let Some(cluster) = named.cluster.as_mut() {
                cluster.certificate_authority_data = None;
            }
        }
    });
    let Some(link) = link.await else { return };
    assert_eq!(problem(&link).await, LinkProblem::Unreachable);
}

async fn problem(link: &PushLink) -> LinkProblem {
    match link.probe().await {
        Err(LinkError::Unusable { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}
