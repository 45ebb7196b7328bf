//! Envelopes: objects for member clusters that must not take effect on the hub.

use std::collections::BTreeMap;

use crate::root::{PLACEMENT_GROUP, kind};
use crate::schema::{self, RawObject};

kind! {
    /// Carries cluster-scoped objects to member clusters without their taking effect on the hub.
    #[schemars(transform = one_to_fifty)]
    ClusterResourceEnvelope, PLACEMENT_GROUP, "clusterresourceenvelopes", Cluster {
        /// The objects, each under a name of its own.
        data: BTreeMap<String, RawObject>,
    }
}

kind! {
    /// Carries objects of its own namespace to member clusters without their taking effect on
    /// the hub.
    #[schemars(transform = one_to_fifty)]
    ResourceEnvelope, PLACEMENT_GROUP, "resourceenvelopes", Namespaced {
        /// The objects, each under a name of its own.
        data: BTreeMap<String, RawObject>,
    }
}

fn one_to_fifty(schema: &mut schemars::Schema) {
    schema::entries(schema, "data", 1, 50);
}
