//! Whether hub cluster, log and the hub that runs belong together.

use api::http::HubStatus;
use hub::identity::{self, IdentityError};
use kube::Client;

use super::Finding;
use super::log::Begins;

const PART: &str = "deployment";

/// Which deployment the hub cluster belongs to, and whether that of the log and that of the hub
/// that answers are the same.
pub(super) async fn examine(
    client: &Client,
    begins: &Begins,
    running: Option<&HubStatus>,
) -> Vec<Finding> {
    let read = async {
        let cluster = identity::cluster_identity(client).await?;
        let mark = identity::read_mark(client, &cluster).await?;
        Ok::<_, IdentityError>((cluster, mark))
    };
    let (cluster, mark) = match read.await {
        Ok(read) => read,
        Err(error) => {
            let remedy = "kubectl auth can-i get configmaps -n fleet-system";
            return vec![Finding::failed(PART, error.to_string(), remedy)];
        }
    };
    let belongs_to = mark.as_ref().and_then(|mark| mark.deployment);
    let checked = match begins {
        Begins::Unknown => Ok(()),
        Begins::Empty => identity::check(&cluster, mark.as_ref(), None).map(drop),
        Begins::With(genesis) => identity::check(&cluster, mark.as_ref(), Some(genesis)).map(drop),
    };
    let mut findings = vec![match (checked, belongs_to) {
        (Err(error), _) => {
            let remedy = "taffrail handover --config FILE, after what is said above";
            Finding::failed(PART, error.to_string(), remedy)
        }
        (Ok(()), Some(deployment)) => {
            Finding::ok(PART, format!("the hub cluster {cluster} belongs to {deployment}"))
        }
        (Ok(()), None) => {
            let found =
                format!("the hub cluster {cluster} belongs to none yet; the first hub takes it");
            Finding::ok(PART, found)
        }
    }];
    let others = belongs_to.map(|deployment| deployment.to_string()).zip(running);
    if let Some((ours, running)) = others.filter(|(ours, running)| *ours != running.deployment) {
        let found = format!(
            "the hub that answers ({}) works for deployment {}, and the hub cluster belongs to {ours}",
            running.node, running.deployment
        );
        let remedy = "end that hub, or ask the right one: --server URL";
        findings.push(Finding::failed(PART, found, remedy));
    }
    findings
}
