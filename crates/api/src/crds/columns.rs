//! The columns of `kubectl get`, as users know them.

use serde::Serialize;

/// One column.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Column {
    name: &'static str,
    #[serde(rename = "type")]
    column_type: &'static str,
    json_path: &'static str,
    #[serde(skip_serializing_if = "shown_always")]
    priority: i32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn shown_always(priority: &i32) -> bool {
    *priority == 0
}

const fn column(name: &'static str, column_type: &'static str, json_path: &'static str) -> Column {
    Column { name, column_type, json_path, priority: 0 }
}

/// A column that only `-o wide` shows.
const fn wide(name: &'static str, column_type: &'static str, json_path: &'static str) -> Column {
    Column { name, column_type, json_path, priority: 1 }
}

const AGE: Column = column("Age", "date", ".metadata.creationTimestamp");
const GENERATION: Column = column("Gen", "string", ".metadata.generation");

/// The path to one part of a condition.
macro_rules! condition {
    ($condition:expr, $part:literal) => {
        concat!(".status.conditions[?(@.type==\"", $condition, "\")].", $part)
    };
}

/// The columns of a placement, whose conditions carry its kind as a prefix.
macro_rules! placement {
    ($prefix:literal) => {
        &[
            GENERATION,
            wide("Type", "string", ".spec.policy.placementType"),
            column("Scheduled", "string", condition!(concat!($prefix, "Scheduled"), "status")),
            column(
                "Scheduled-Gen",
                "string",
                condition!(concat!($prefix, "Scheduled"), "observedGeneration"),
            ),
            wide(
                "Work-Synchronized",
                "string",
                condition!(concat!($prefix, "WorkSynchronized"), "status"),
            ),
            wide(
                "Work-Synchronized-Gen",
                "string",
                condition!(concat!($prefix, "WorkSynchronized"), "observedGeneration"),
            ),
            column("Available", "string", condition!(concat!($prefix, "Available"), "status")),
            column(
                "Available-Gen",
                "string",
                condition!(concat!($prefix, "Available"), "observedGeneration"),
            ),
            AGE,
        ]
    };
}

pub(super) const MEMBER_CLUSTER: &[Column] = &[
    column("Joined", "string", condition!("Joined", "status")),
    AGE,
    column(
        "Member-Agent-Last-Seen",
        "date",
        ".status.agentStatus[?(@.type==\"MemberAgent\")].lastReceivedHeartbeat",
    ),
    column("Node-Count", "string", r".status.properties.kubernetes-fleet\.io/node-count.value"),
    column("Available-CPU", "string", ".status.resourceUsage.available.cpu"),
    column("Available-Memory", "string", ".status.resourceUsage.available.memory"),
    wide("Allocatable-CPU", "string", ".status.resourceUsage.allocatable.cpu"),
    wide("Allocatable-Memory", "string", ".status.resourceUsage.allocatable.memory"),
];

pub(super) const AGE_ONLY: &[Column] = &[AGE];

pub(super) const CLUSTER_RESOURCE_PLACEMENT: &[Column] = placement!("ClusterResourcePlacement");

pub(super) const RESOURCE_PLACEMENT: &[Column] = placement!("ResourcePlacement");

pub(super) const PLACEMENT_STATUS: &[Column] = &[
    column("Resource-Index", "string", ".sourceStatus.observedResourceIndex"),
    column("Last-Updated", "string", ".lastUpdatedTime"),
    AGE,
];

pub(super) const SNAPSHOT: &[Column] = &[GENERATION, AGE];

pub(super) const BINDING: &[Column] = &[
    column("WorkSynchronized", "string", condition!("WorkSynchronized", "status")),
    column("ResourcesApplied", "string", condition!("Applied", "status")),
    wide("ResourceAvailable", "string", condition!("Available", "status")),
    AGE,
];

const RUN_PLACEMENT: Column = column("Placement", "string", ".spec.placementName");
const RUN_POLICY: Column =
    column("Policy-Snapshot-Index", "string", ".status.policySnapshotIndexUsed");
const RUN_INITIALIZED: Column =
    column("Initialized", "string", condition!("Initialized", "status"));
const RUN_PROGRESSING: Column = wide("Progressing", "string", condition!("Progressing", "status"));
const RUN_SUCCEEDED: Column = column("Succeeded", "string", condition!("Succeeded", "status"));
const RUN_STRATEGY: Column = wide("Strategy", "string", ".spec.stagedRolloutStrategyName");

pub(super) const UPDATE_RUN: &[Column] = &[
    RUN_PLACEMENT,
    column("Resource-Snapshot-Index", "string", ".status.resourceSnapshotIndexUsed"),
    RUN_POLICY,
    RUN_INITIALIZED,
    RUN_PROGRESSING,
    RUN_SUCCEEDED,
    AGE,
    RUN_STRATEGY,
];

/// The first version of update runs does not report the index that it uses.
pub(super) const UPDATE_RUN_V1ALPHA1: &[Column] = &[
    RUN_PLACEMENT,
    column("Resource-Snapshot-Index", "string", ".spec.resourceSnapshotIndex"),
    RUN_POLICY,
    RUN_INITIALIZED,
    RUN_PROGRESSING,
    RUN_SUCCEEDED,
    AGE,
    RUN_STRATEGY,
];

pub(super) const APPROVAL_REQUEST: &[Column] = &[
    column("Update-Run", "string", ".spec.parentStageRollout"),
    column("Stage", "string", ".spec.targetStage"),
    column("Approved", "string", condition!("Approved", "status")),
    AGE,
];

pub(super) const EVICTION: &[Column] = &[
    column("Valid", "string", condition!("Valid", "status")),
    column("Executed", "string", condition!("Executed", "status")),
];
