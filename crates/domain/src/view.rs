//! The fleet as the scheduler sees it: all clusters at once, folded from their events.
//!
//! This is the one place where an aggregate looks at others. A decision that used the view records
//! how far it had been folded, so that it can be decided again on the same view.

use std::collections::BTreeMap;

use events::cluster::{ClusterEvent, Labels, Taint};
use events::{AggregateId, Envelope, Event, Position, Timestamp, Watermark};
use serde::{Deserialize, Serialize};

/// All members, and how far the log was read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FleetView {
    /// By name.
    pub clusters: BTreeMap<String, ClusterView>,
    /// What of the log this view is made of.
    pub watermark: Watermark,
}

/// What an event changed of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewChange {
    /// Nothing.
    Nothing,
    /// Something that no policy looks at yet: properties.
    Noted,
    /// Something that a scheduler looks at, so that placements may have to be scheduled again.
    Moved,
}

/// What the scheduler knows about a cluster.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClusterView {
    /// Its labels.
    pub labels: Labels,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Set when it joined: which cluster it really is.
    pub identity: Option<String>,
    /// When it joined.
    pub joined_at: Option<Timestamp>,
    /// Whether it was unwell for the whole grace period, so that it gets nothing new. That is for
    /// its owner to say: nobody else has to compare times.
    pub is_unhealthy: bool,
    /// What it offers.
    pub properties: BTreeMap<String, String>,
}

impl FleetView {
    /// Folds one accepted event.
    pub fn apply(&mut self, position: Position, envelope: &Envelope) -> ViewChange {
        self.watermark.advance(position);
        let (AggregateId::Cluster(name), Event::Cluster(event)) =
            (&envelope.aggregate, &envelope.event)
        else {
            return ViewChange::Nothing;
        };
        self.apply_cluster(name, event, envelope.time)
    }

    fn apply_cluster(&mut self, name: &str, event: &ClusterEvent, time: Timestamp) -> ViewChange {
        if let ClusterEvent::ClusterRegistered(registered) = event {
            let cluster = ClusterView {
                labels: registered.labels.clone(),
                taints: registered.taints.clone(),
                ..ClusterView::default()
            };
            self.clusters.insert(name.to_owned(), cluster);
            return ViewChange::Moved;
        }
        if matches!(event, ClusterEvent::ClusterLeft(_)) {
            let left = self.clusters.remove(name);
            return if left.is_some() { ViewChange::Moved } else { ViewChange::Nothing };
        }
        let Some(cluster) = self.clusters.get_mut(name) else { return ViewChange::Nothing };
        match event {
            ClusterEvent::ClusterLabelsChanged(changed) => {
                cluster.labels.clone_from(&changed.labels);
            }
            ClusterEvent::ClusterTaintsChanged(changed) => {
                cluster.taints.clone_from(&changed.taints);
            }
            ClusterEvent::ClusterJoined(joined) => {
                let is_back = cluster.identity.as_ref() == Some(&joined.identity);
                cluster.joined_at = cluster.joined_at.filter(|_| is_back).or(Some(time));
                cluster.identity = Some(joined.identity.clone());
                cluster.is_unhealthy = false;
            }
            ClusterEvent::ClusterHealthGraceEnded(_) => cluster.is_unhealthy = true,
            ClusterEvent::ClusterHealthRestored(_) => {
                let was_unhealthy = std::mem::take(&mut cluster.is_unhealthy);
                return if was_unhealthy { ViewChange::Moved } else { ViewChange::Nothing };
            }
            ClusterEvent::ClusterPropertiesChanged(changed) => {
                cluster.properties.clone_from(&changed.properties);
                return ViewChange::Noted;
            }
            ClusterEvent::ClusterRegistered(_)
            | ClusterEvent::ClusterLeft(_)
            | ClusterEvent::ClusterLinkFailed(_)
            | ClusterEvent::ClusterHealthLost(_)
            | ClusterEvent::ClusterHeartbeatPeriodChanged(_)
            | ClusterEvent::ClusterCredentialChanged(_)
            | ClusterEvent::ClusterCredentialExpiring(_)
            | ClusterEvent::DeliveryAssigned(_)
            | ClusterEvent::DeliveryApplied(_)
            | ClusterEvent::DeliveryFailed(_)
            | ClusterEvent::DeliveryAvailable(_)
            | ClusterEvent::DeliveryUnavailable(_)
            | ClusterEvent::DeliveryProgressed(_)
            | ClusterEvent::DeliveryDisturbed(_)
            | ClusterEvent::DeliveryWithdrawn(_)
            | ClusterEvent::DeliveryNoted(_)
            | ClusterEvent::ClusterHeld(_)
            | ClusterEvent::ClusterHoldEnded(_)
            | ClusterEvent::DeliveryRemovalWaits(_)
            | ClusterEvent::DeliveryRemoved(_) => return ViewChange::Nothing,
        }
        ViewChange::Moved
    }

    /// The member under another name that is the same cluster, and when it joined. Of several, the
    /// one that joined first.
    #[must_use]
    pub fn other_with_identity(
        &self,
        identity: &str,
        name: &str,
    ) -> Option<(Option<Timestamp>, &str)> {
        self.clusters
            .iter()
            .filter(|(other, view)| *other != name && view.identity.as_deref() == Some(identity))
            .map(|(other, view)| (view.joined_at, other.as_str()))
            .min()
    }
}
