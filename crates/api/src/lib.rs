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

pub mod binding;
pub mod conditions;
pub mod crds;
pub mod envelope;
pub mod eviction;
pub mod http;
pub mod member_cluster;
pub mod names;
pub mod observed;
pub mod overrides;
pub mod placement;
pub mod policy;
pub mod root;
pub mod rules;
pub mod schema;
pub mod selector;
pub mod snapshot;
pub mod staged;
pub mod strategy;
pub mod work;

pub use binding::{ClusterResourceBinding, ResourceBinding};
pub use envelope::{ClusterResourceEnvelope, ResourceEnvelope};
pub use eviction::{ClusterResourcePlacementDisruptionBudget, ClusterResourcePlacementEviction};
pub use member_cluster::{InternalMemberCluster, MemberCluster};
pub use overrides::{
    ClusterResourceOverride, ClusterResourceOverrideSnapshot, ResourceOverride,
    ResourceOverrideSnapshot,
};
pub use placement::{ClusterResourcePlacement, ClusterResourcePlacementStatus, ResourcePlacement};
pub use root::{CLUSTER_GROUP, PLACEMENT_GROUP, STORAGE_VERSION};
pub use snapshot::{
    ClusterResourceSnapshot, ClusterSchedulingPolicySnapshot, ResourceSnapshot,
    SchedulingPolicySnapshot,
};
pub use staged::{
    ApprovalRequest, ClusterApprovalRequest, ClusterStagedUpdateRun, ClusterStagedUpdateStrategy,
    StagedUpdateRun, StagedUpdateStrategy,
};
pub use work::{AppliedWork, Work};
