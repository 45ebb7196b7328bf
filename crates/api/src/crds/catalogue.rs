//! The kinds of the API, and what their types do not say about them.

use schemars::JsonSchema;
use serde_json::Value;

use super::columns::{self, Column};
use super::edit::Edit;
use super::structural::schema_of;
use crate::root::{CLUSTER_GROUP, STORAGE_VERSION};
use crate::rules;
use crate::*;

/// One kind.
pub(super) struct Entry {
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) group: String,
    pub(super) scope: &'static str,
    pub(super) short_names: Vec<&'static str>,
    pub(super) columns: &'static [Column],
    pub(super) status_subresource: bool,
    /// The schema of the type.
    pub(super) schema: Value,
    /// How every version of the kind differs from its type.
    pub(super) edits: &'static [Edit],
    /// What is served, newest first.
    pub(super) versions: Vec<Version>,
}

/// One served version of a kind.
#[derive(Clone, Copy)]
pub(super) struct Version {
    pub(super) name: &'static str,
    /// How the version differs from the stored one.
    pub(super) edits: &'static [Edit],
    /// The columns, where they differ from those of the kind.
    pub(super) columns: Option<&'static [Column]>,
}

const STORED: Version = Version { name: STORAGE_VERSION, edits: &[], columns: None };

const fn v1(edits: &'static [Edit]) -> Version {
    Version { name: "v1", edits, columns: None }
}

const fn v1alpha1(edits: &'static [Edit]) -> Version {
    Version { name: "v1alpha1", edits, columns: None }
}

/// The names of scopes, as CRDs spell them.
trait Scope {
    const NAME: &'static str;
}

impl Scope for root::Cluster {
    const NAME: &'static str = "Cluster";
}

impl Scope for root::Namespaced {
    const NAME: &'static str = "Namespaced";
}

impl Entry {
    /// A kind without short name, columns or status subresource, served in the stored version.
    fn of<K>() -> Self
    where
        K: kube::Resource<DynamicType = ()> + JsonSchema,
        K::Scope: Scope,
    {
        Self {
            kind: K::kind(&()).into_owned(),
            plural: K::plural(&()).into_owned(),
            group: K::group(&()).into_owned(),
            scope: K::Scope::NAME,
            short_names: Vec::new(),
            columns: &[],
            status_subresource: false,
            schema: schema_of::<K>(),
            edits: &[],
            versions: vec![STORED],
        }
    }

    fn short(mut self, name: &'static str) -> Self {
        self.short_names.push(name);
        self
    }

    fn columns(mut self, columns: &'static [Column]) -> Self {
        self.columns = columns;
        self
    }

    fn with_status(mut self) -> Self {
        self.status_subresource = true;
        self
    }

    fn edited(mut self, edits: &'static [Edit]) -> Self {
        self.edits = edits;
        self
    }

    /// Also serves a newer version.
    fn newer(mut self, version: Version) -> Self {
        self.versions.insert(0, version);
        self
    }

    /// Also serves an older version.
    fn older(mut self, version: Version) -> Self {
        self.versions.push(version);
        self
    }

    /// The category that selects the kind together with others of its group.
    pub(super) fn category(&self) -> &'static str {
        if self.group == CLUSTER_GROUP { "fleet-cluster" } else { "fleet-placement" }
    }
}

/// All kinds.
pub(super) fn entries() -> Vec<Entry> {
    [clusters(), placements(), snapshots(), works(), overrides(), updates(), evictions()]
        .into_iter()
        .flatten()
        .collect()
}

fn clusters() -> Vec<Entry> {
    vec![
        Entry::of::<MemberCluster>()
            .short("cluster")
            .columns(columns::MEMBER_CLUSTER)
            .with_status()
            .newer(v1(&[Edit::Drop("spec.deleteOptions"), Edit::Drop("status.namespaces")])),
        Entry::of::<InternalMemberCluster>()
            .short("imc")
            .columns(columns::AGE_ONLY)
            .with_status()
            .newer(v1(&[Edit::Drop("status.namespaces")])),
    ]
}

/// What the first stable version of placements did not have yet.
const PLACEMENT_V1: &[Edit] = &[
    Edit::Drop("spec.strategy.deleteStrategy"),
    Edit::Drop("spec.strategy.reportBackStrategy"),
    Edit::WithoutConfigMapEnvelopes,
];

/// A namespaced placement has no use for a status copy, so nothing is checked about it.
const NO_STATUS_COPY: &[Edit] =
    &[Edit::Rules("spec", &[rules::V2, rules::V5, rules::V6, rules::V7, rules::V15])];

fn placements() -> Vec<Entry> {
    vec![
        Entry::of::<ClusterResourcePlacement>()
            .short("crp")
            .columns(columns::CLUSTER_RESOURCE_PLACEMENT)
            .with_status()
            .newer(v1(PLACEMENT_V1)),
        Entry::of::<ResourcePlacement>()
            .short("rp")
            .columns(columns::RESOURCE_PLACEMENT)
            .with_status()
            .edited(NO_STATUS_COPY)
            .newer(v1(PLACEMENT_V1)),
        Entry::of::<ClusterResourcePlacementStatus>()
            .short("crps")
            .columns(columns::PLACEMENT_STATUS)
            .newer(v1(&[Edit::WithoutConfigMapEnvelopes])),
    ]
}

fn snapshots() -> Vec<Entry> {
    vec![
        Entry::of::<ClusterSchedulingPolicySnapshot>()
            .short("csps")
            .columns(columns::SNAPSHOT)
            .with_status()
            .newer(v1(&[])),
        Entry::of::<SchedulingPolicySnapshot>()
            .short("sps")
            .columns(columns::SNAPSHOT)
            .with_status(),
        Entry::of::<ClusterResourceSnapshot>()
            .short("crs")
            .columns(columns::SNAPSHOT)
            .with_status()
            .newer(v1(&[])),
        Entry::of::<ResourceSnapshot>().short("rs").columns(columns::SNAPSHOT).with_status(),
    ]
}

fn works() -> Vec<Entry> {
    vec![
        Entry::of::<ClusterResourceBinding>()
            .short("crb")
            .columns(columns::BINDING)
            .with_status()
            .newer(v1(&[Edit::WithoutConfigMapEnvelopes])),
        Entry::of::<ResourceBinding>().short("rb").columns(columns::BINDING).with_status(),
        Entry::of::<Work>().with_status().newer(v1(&[
            Edit::Drop("spec.reportBackStrategy"),
            Edit::Drop("status.manifestConditions[].backReportedStatus"),
        ])),
        Entry::of::<AppliedWork>().with_status().newer(v1(&[])),
        Entry::of::<ClusterResourceEnvelope>(),
        Entry::of::<ResourceEnvelope>(),
    ]
}

/// The first version of overrides let their placement change.
const MOVABLE_OVERRIDE: Version = v1alpha1(&[Edit::Rules("spec", &[])]);
const MOVABLE_OVERRIDE_SNAPSHOT: Version = v1alpha1(&[Edit::Rules("spec.overrideSpec", &[])]);

fn overrides() -> Vec<Entry> {
    vec![
        Entry::of::<ClusterResourceOverride>().newer(v1(&[])).older(MOVABLE_OVERRIDE),
        Entry::of::<ResourceOverride>().newer(v1(&[])).older(MOVABLE_OVERRIDE),
        Entry::of::<ClusterResourceOverrideSnapshot>()
            .newer(v1(&[]))
            .older(MOVABLE_OVERRIDE_SNAPSHOT),
        Entry::of::<ResourceOverrideSnapshot>().newer(v1(&[])).older(MOVABLE_OVERRIDE_SNAPSHOT),
    ]
}

/// The first version of strategies had no tasks before a stage, moved one cluster at a time and
/// did not check what a task sets.
const STRATEGY_V1ALPHA1: Version = v1alpha1(&[
    Edit::Drop("spec.stages[].beforeStageTasks"),
    Edit::Drop("spec.stages[].maxConcurrency"),
    Edit::Rules("spec.stages[].afterStageTasks[]", &[]),
]);

/// The first version of runs could not be stopped, so that nothing in it changes.
const RUN_V1ALPHA1: Version = Version {
    name: "v1alpha1",
    edits: &[
        Edit::Rules("", &[rules::V1A]),
        Edit::Drop("spec.state"),
        Edit::Rules("spec", &[rules::IMM_SPEC]),
        Edit::Rules("spec.placementName", &[]),
        Edit::Rules("spec.stagedRolloutStrategyName", &[]),
        Edit::Drop("status.resourceSnapshotIndexUsed"),
        Edit::Drop("status.stagesStatus[].beforeStageTaskStatus"),
        Edit::Drop("status.deletionStageStatus.beforeStageTaskStatus"),
        Edit::Drop("status.stagedUpdateStrategySnapshot.stages[].beforeStageTasks"),
        Edit::Drop("status.stagedUpdateStrategySnapshot.stages[].maxConcurrency"),
        Edit::Rules("status.stagedUpdateStrategySnapshot.stages[].afterStageTasks[]", &[]),
    ],
    columns: Some(columns::UPDATE_RUN_V1ALPHA1),
};

fn updates() -> Vec<Entry> {
    vec![
        // Neither strategy has a status; that one of them has the subresource is part of the
        // contract.
        Entry::of::<ClusterStagedUpdateStrategy>()
            .short("csus")
            .with_status()
            .newer(v1(&[]))
            .older(STRATEGY_V1ALPHA1),
        Entry::of::<StagedUpdateStrategy>().short("sus").newer(v1(&[])),
        Entry::of::<ClusterStagedUpdateRun>()
            .short("csur")
            .columns(columns::UPDATE_RUN)
            .with_status()
            .newer(v1(&[]))
            .older(RUN_V1ALPHA1),
        Entry::of::<StagedUpdateRun>()
            .short("sur")
            .columns(columns::UPDATE_RUN)
            .with_status()
            .newer(v1(&[])),
        Entry::of::<ClusterApprovalRequest>()
            .short("careq")
            .columns(columns::APPROVAL_REQUEST)
            .with_status()
            .newer(v1(&[]))
            .older(v1alpha1(&[])),
        Entry::of::<ApprovalRequest>()
            .short("areq")
            .columns(columns::APPROVAL_REQUEST)
            .with_status()
            .newer(v1(&[])),
    ]
}

fn evictions() -> Vec<Entry> {
    vec![
        Entry::of::<ClusterResourcePlacementEviction>()
            .short("crpe")
            .columns(columns::EVICTION)
            .with_status()
            .older(v1alpha1(&[])),
        Entry::of::<ClusterResourcePlacementDisruptionBudget>().short("crpdb").older(v1alpha1(&[])),
    ]
}
