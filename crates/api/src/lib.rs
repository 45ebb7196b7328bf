//! The public Kubernetes API: types, schemas, validation rules, names and condition reasons.
//!
//! The types describe `v1beta1`, the version that is stored. The CRDs that this crate makes
//! from them also serve `v1` and, for some kinds, `v1alpha1`. Everything here is part of the
//! contract with existing users: field names, defaults, reason strings and object names must not
//! change.
//!
//! Defaults exist twice on purpose: in the schemas, so that the API server fills them in, and in
//! serde and the accessors of the types, so that an object that was stored before a default
//! existed reads the same.

pub mod conditions;
pub mod member_cluster;
pub mod names;
pub mod observed;
pub mod placement;
pub mod policy;
pub mod root;
pub mod rules;
pub mod schema;
pub mod selector;
pub mod strategy;
pub mod work;

pub use member_cluster::{InternalMemberCluster, MemberCluster};
pub use placement::{ClusterResourcePlacement, ClusterResourcePlacementStatus, ResourcePlacement};
pub use root::{CLUSTER_GROUP, PLACEMENT_GROUP, STORAGE_VERSION};
pub use work::{AppliedWork, Work};
