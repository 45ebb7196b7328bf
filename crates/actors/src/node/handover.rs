//! Which hub cluster a node works for, and whether the deployment was handed over to another one.

use domain::fleet::FleetState;
use uuid::Uuid;

/// The hub cluster that a node works for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubCluster {
    /// Which it is: the uid of its kube-system namespace.
    pub identity: String,
    /// How the deployment came to it, if somebody handed it over.
    pub handover: Option<Handover>,
}

/// A decision that a deployment takes a hub cluster over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// Names it. Later ones have higher ids (UUIDv7).
    pub id: Uuid,
    /// The hub cluster of the deployment before, if it was another one.
    pub from_hub: Option<String>,
    /// The deployment that managed the hub cluster before, if another one did.
    pub from_deployment: Option<Uuid>,
}

impl HubCluster {
    /// A cluster that the log was founded for.
    #[must_use]
    pub fn of(identity: &str) -> Self {
        Self { identity: identity.to_owned(), handover: None }
    }

    /// Why a node must not decide for this cluster: the deployment was handed over to another one,
    /// after it was handed over to this one.
    pub(super) fn reason_moved(&self, fleet: &FleetState) -> Option<String> {
        let last = fleet.handed_over.as_ref()?;
        let is_later = self.handover.as_ref().is_none_or(|own| own.id < last.handover);
        (last.hub != self.identity && is_later).then(|| {
            format!(
                "this deployment was handed over to the hub cluster {}, and this hub works for {}; \
                 end this hub, or hand the deployment back with: taffrail handover --config FILE",
                last.hub, self.identity
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use events::fleet::FleetHandedOver;

    use super::*;

    #[test]
    fn a_deployment_works_for_the_hub_cluster_that_it_was_handed_over_to_last() {
        let handed = |number, hub: &str| FleetState {
            handed_over: Some(FleetHandedOver {
                handover: Uuid::from_u128(number),
                hub: hub.to_owned(),
                from_hub: None,
                from_deployment: None,
            }),
            ..FleetState::default()
        };
        let founder = HubCluster::of("a");
        let is_moved = |hub: &HubCluster, fleet: &FleetState| hub.reason_moved(fleet).is_some();
        assert!(!is_moved(&founder, &FleetState::default()));
        assert!(is_moved(&founder, &handed(5, "b")));
        assert!(!is_moved(&founder, &handed(5, "a")), "of another deployment, on the same cluster");

        let back = |number| HubCluster {
            handover: Some(Handover {
                id: Uuid::from_u128(number),
                from_hub: None,
                from_deployment: None,
            }),
            ..HubCluster::of("a")
        };
        assert!(is_moved(&back(4), &handed(5, "b")), "it was handed over before that");
        assert!(!is_moved(&back(6), &handed(5, "b")), "it is on its way back");
    }
}
