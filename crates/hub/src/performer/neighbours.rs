//! The other deliveries of a member, as they are on record.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use delivery::{Neighbour, Neighbours};
use domain::cluster::{Delivery, DeliveryPhase};
use events::cluster::RevisionRef;
use events::{ObjectId, PlacementKey, PlacementScope};

use super::orders::work_name;
use crate::contents::Contents;

/// Looks at each delivery of a member.
pub type Visit<'a> = &'a mut dyn FnMut(&PlacementKey, &Delivery);

/// Shows what is on record of a member: its deliveries, one after the other.
pub type Look = Box<dyn Fn(&str, Visit<'_>) + Send + Sync>;

/// What is on record of all members. It is known once the log is read, which is after everything
/// that performs was made; nothing is performed before that.
#[derive(Clone, Default)]
pub struct Record {
    look: Arc<OnceLock<Look>>,
}

impl Record {
    /// From now on it is known. Later calls change nothing.
    pub fn show(&self, look: Look) {
        if self.look.set(look).is_err() {
            tracing::debug!("what is on record of members was known already");
        }
    }

    pub(super) fn is_known(&self) -> bool {
        self.look.get().is_some()
    }

    /// Looks at the deliveries of a member.
    fn visit(&self, cluster: &str, visit: Visit<'_>) {
        if let Some(look) = self.look.get() {
            look(cluster, visit);
        }
    }

    /// The delivery of a placement on a member.
    pub(super) fn delivery(&self, cluster: &str, placement: &PlacementKey) -> Option<Delivery> {
        let mut found = None;
        self.visit(cluster, &mut |key, delivery| {
            if key == placement {
                found = Some(delivery.clone());
            }
        });
        found
    }
}

/// See [`Neighbours`].
pub(super) struct OnRecord {
    pub(super) record: Record,
    pub(super) contents: Contents,
    pub(super) cluster: String,
    pub(super) placement: PlacementKey,
}

impl fmt::Debug for OnRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnRecord({} on {})", self.placement, self.cluster)
    }
}

impl OnRecord {
    /// The other deliveries that are wanted.
    fn others(&self, mut visit: impl FnMut(&PlacementKey, &Delivery)) {
        self.record.visit(&self.cluster, &mut |placement, delivery| {
            if *placement != self.placement && delivery.revision.is_some() {
                visit(placement, delivery);
            }
        });
    }

    async fn lists(&self, revision: &RevisionRef, object: &ObjectId) -> bool {
        match self.contents.revision(revision.manifests).await {
            Ok(manifests) => manifests.iter().any(|one| one.object.is_same_object(object)),
            Err(error) => {
                tracing::warn!(%error, placement = %self.placement,
                    "what another placement wants cannot be read");
                false
            }
        }
    }
}

#[async_trait]
impl Neighbours for OnRecord {
    fn has_work(&self, work: &str) -> bool {
        let mut is_there = false;
        self.record.visit(&self.cluster, &mut |placement, _| {
            is_there |= work_name(placement) == work;
        });
        is_there
    }

    /// Two deliveries never share an object, so only one that is not applied can wait for it.
    async fn heir_of(&self, object: &ObjectId) -> Option<Neighbour> {
        let mut waiting = vec![];
        self.others(|placement, delivery| match &delivery.phase {
            DeliveryPhase::Assigned | DeliveryPhase::Failed(_) => {
                waiting.extend(delivery.revision.clone().map(|it| (placement.clone(), it)));
            }
            DeliveryPhase::Applied(_)
            | DeliveryPhase::Available { .. }
            | DeliveryPhase::Withdrawn(_) => {}
        });
        for (placement, revision) in waiting {
            if self.lists(&revision, object).await {
                return Some(neighbour(placement));
            }
        }
        None
    }

    async fn tenant_of(&self, namespace: &str) -> Option<Neighbour> {
        let mut tenant = None;
        self.others(|placement, _| {
            let is_in_it =
                matches!(&placement.scope, PlacementScope::Namespace(of) if of == namespace);
            if is_in_it && tenant.is_none() {
                tenant = Some(placement.clone());
            }
        });
        tenant.map(neighbour)
    }
}

fn neighbour(placement: PlacementKey) -> Neighbour {
    let work = work_name(&placement);
    Neighbour { placement, work }
}
