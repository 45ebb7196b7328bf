//! From effects to orders: what they name is read from the log's content.

use std::collections::BTreeSet;
use std::sync::Arc;

use delivery::{AdoptedRemoval, DeliverOrder, Fence, Manifest, Neighbours, WithdrawOrder};
use domain::{DeliverEffect, EffectKey, WithdrawEffect};
use events::cluster::RevisionRef;
use events::{Epoch, ObjectId, PlacementKey, PlacementScope};

use crate::contents::{ContentError, Contents};

/// What an order needs to know besides its effect.
pub(super) struct Circumstances {
    pub(super) epoch: Epoch,
    pub(super) adopted: AdoptedRemoval,
    pub(super) neighbours: Arc<dyn Neighbours>,
}

/// The order to deliver, or why there is none, which the hub's own log tells as well.
pub(super) async fn to_deliver(
    contents: &Contents,
    effect: &DeliverEffect,
    circumstances: Circumstances,
) -> Result<DeliverOrder, ContentError> {
    let order = deliver_order(contents, effect, circumstances).await;
    order.inspect_err(|error| unreadable(&effect.key, error))
}

/// The order to withdraw, or a word in the hub's own log about why there is none.
pub(super) async fn to_withdraw(
    contents: &Contents,
    effect: &WithdrawEffect,
    circumstances: Circumstances,
) -> Option<WithdrawOrder> {
    let inventory = inventory(contents, &effect.held, &effect.kept).await;
    let inventory = inventory.inspect_err(|error| unreadable(&effect.key, error)).ok()?;
    Some(WithdrawOrder {
        cluster: effect.key.cluster.clone(),
        placement: effect.key.placement.clone(),
        work: work_name(&effect.key.placement),
        fence: Fence { generation: effect.generation, epoch: circumstances.epoch },
        inventory,
        adopted: circumstances.adopted,
        neighbours: circumstances.neighbours,
    })
}

fn unreadable(key: &EffectKey, error: &ContentError) {
    let (cluster, placement) = (&key.cluster, &key.placement);
    tracing::error!(%cluster, %placement, error = error as &dyn std::error::Error,
        "what an order names cannot be read");
}

async fn deliver_order(
    contents: &Contents,
    effect: &DeliverEffect,
    circumstances: Circumstances,
) -> Result<DeliverOrder, ContentError> {
    let references = contents.revision(effect.revision.manifests).await?;
    let mut manifests = Vec::with_capacity(references.len());
    for reference in &references {
        let body = contents.manifest(reference).await?;
        manifests.push(Manifest { id: reference.object.clone(), body });
    }
    let mut leftovers = inventory(contents, &effect.held, &effect.kept).await?;
    leftovers.retain(|old| !manifests.iter().any(|new| new.id.is_same_object(old)));
    Ok(DeliverOrder {
        cluster: effect.key.cluster.clone(),
        placement: effect.key.placement.clone(),
        work: work_name(&effect.key.placement),
        fence: Fence { generation: effect.generation, epoch: circumstances.epoch },
        manifests,
        is_first: effect.held.is_empty(),
        leftovers,
        apply: effect.apply.clone(),
        adopted: circumstances.adopted,
        neighbours: circumstances.neighbours,
    })
}

/// Every object that the revisions name and every one that was kept, each once.
async fn inventory(
    contents: &Contents,
    held: &[RevisionRef],
    kept: &[ObjectId],
) -> Result<Vec<ObjectId>, ContentError> {
    let mut objects: BTreeSet<ObjectId> = kept.iter().cloned().collect();
    for revision in held {
        let references = contents.revision(revision.manifests).await?;
        objects.extend(references.into_iter().map(|reference| reference.object));
    }
    Ok(objects.into_iter().collect())
}

/// The name of a placement's AppliedWork.
#[must_use]
pub fn work_name(placement: &PlacementKey) -> String {
    let namespace = match &placement.scope {
        PlacementScope::Cluster => None,
        PlacementScope::Namespace(namespace) => Some(namespace.as_str()),
    };
    api::names::work(&api::names::work_base(namespace, &placement.name))
}
