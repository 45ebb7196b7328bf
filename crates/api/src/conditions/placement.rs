//! Conditions of placements, of their clusters, of policy snapshots and of bindings.

/// The steps from a placement to objects that work, in order. A placement judges them from left
/// to right and stops at the first one that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Clusters have been chosen.
    Scheduled,
    /// The clusters may take the current revision.
    RolloutStarted,
    /// Overrides have been worked into the manifests.
    Overridden,
    /// The manifests are written for every cluster.
    WorkSynchronized,
    /// The objects are applied on every cluster.
    Applied,
    /// The objects do what they are for.
    Available,
    /// Differences have been reported; only for placements that apply nothing.
    DiffReported,
}

/// Which of the two kinds of placement a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// ClusterResourcePlacement.
    Cluster,
    /// ResourcePlacement.
    Namespaced,
}

impl Step {
    /// All steps, in order.
    pub const LADDER: [Self; 7] = [
        Self::Scheduled,
        Self::RolloutStarted,
        Self::Overridden,
        Self::WorkSynchronized,
        Self::Applied,
        Self::Available,
        Self::DiffReported,
    ];

    /// The condition type on bindings and on the entry of one cluster.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::RolloutStarted => "RolloutStarted",
            Self::Overridden => "Overridden",
            Self::WorkSynchronized => "WorkSynchronized",
            Self::Applied => "Applied",
            Self::Available => "Available",
            Self::DiffReported => "DiffReported",
        }
    }

    /// The condition type on a placement.
    #[must_use]
    pub fn condition_type(self, scope: Scope) -> String {
        let prefix = match scope {
            Scope::Cluster => "ClusterResourcePlacement",
            Scope::Namespaced => "ResourcePlacement",
        };
        format!("{prefix}{}", self.name())
    }
}

/// Whether the status was copied into the placed namespace. On cluster-scoped placements only.
pub const STATUS_SYNCED: &str = "ClusterResourcePlacementStatusSynced";

/// Reasons on placements and on policy snapshots, and those that clusters and bindings share with
/// them.
pub mod reason {
    /// Scheduled, unknown: the scheduler has not looked yet.
    pub const SCHEDULE_PENDING: &str = "SchedulePending";
    /// Scheduled, false: the user has to correct the selectors.
    pub const INVALID_RESOURCE_SELECTORS: &str = "InvalidResourceSelectors";
    /// Scheduled, false: fewer clusters qualify than were asked for.
    pub const SCHEDULING_POLICY_UNFULFILLED: &str = "SchedulingPolicyUnfulfilled";
    /// Scheduled, true.
    pub const SCHEDULING_POLICY_FULFILLED: &str = "SchedulingPolicyFulfilled";
    /// RolloutStarted, unknown: nothing is known yet.
    pub const ROLLOUT_STARTED_UNKNOWN: &str = "RolloutStartedUnknown";
    /// RolloutStarted, unknown: clusters hold different revisions under an external rollout.
    pub const ROLLOUT_CONTROLLED_EXTERNALLY: &str = "RolloutControlledByExternalController";
    /// RolloutStarted, false: held back by the budget.
    pub const ROLLOUT_NOT_STARTED_YET: &str = "RolloutNotStartedYet";
    /// RolloutStarted, true.
    pub const ROLLOUT_STARTED: &str = "RolloutStarted";
    /// Overridden, unknown.
    pub const OVERRIDDEN_PENDING: &str = "OverriddenPending";
    /// Overridden, false.
    pub const OVERRIDDEN_FAILED: &str = "OverriddenFailed";
    /// Overridden, true: there was nothing to override.
    pub const NO_OVERRIDE_SPECIFIED: &str = "NoOverrideSpecified";
    /// Overridden, true.
    pub const OVERRIDDEN_SUCCEEDED: &str = "OverriddenSucceeded";
    /// WorkSynchronized, unknown.
    pub const WORK_SYNCHRONIZED_UNKNOWN: &str = "WorkSynchronizedUnknown";
    /// WorkSynchronized, false.
    pub const WORK_NOT_SYNCHRONIZED_YET: &str = "WorkNotSynchronizedYet";
    /// WorkSynchronized, true.
    pub const WORK_SYNCHRONIZED: &str = "WorkSynchronized";
    /// Applied, unknown.
    pub const APPLY_PENDING: &str = "ApplyPending";
    /// Applied, false.
    pub const APPLY_FAILED: &str = "ApplyFailed";
    /// Applied, true.
    pub const APPLY_SUCCEEDED: &str = "ApplySucceeded";
    /// Available, unknown.
    pub const RESOURCE_AVAILABLE_UNKNOWN: &str = "ResourceAvailableUnknown";
    /// Available, false.
    pub const RESOURCE_NOT_AVAILABLE_YET: &str = "ResourceNotAvailableYet";
    /// Available, true.
    pub const RESOURCE_AVAILABLE: &str = "ResourceAvailable";
    /// DiffReported, unknown.
    pub const DIFF_REPORTING_PENDING: &str = "DiffReportingPending";
    /// DiffReported, false.
    pub const DIFF_REPORTING_INCOMPLETE_OR_FAILED: &str = "DiffReportingIncompleteOrFailed";
    /// DiffReported, true.
    pub const DIFF_REPORTING_COMPLETED: &str = "DiffReportingCompleted";
    /// StatusSynced, false.
    pub const STATUS_SYNC_FAILED: &str = "StatusSyncFailed";
    /// StatusSynced, true.
    pub const STATUS_SYNC_SUCCEEDED: &str = "StatusSyncSucceeded";
}

/// Reasons of the Scheduled condition on the entry of one cluster.
pub mod cluster_reason {
    /// True: the cluster was chosen.
    pub const SCHEDULED: &str = "Scheduled";
    /// False: the entry says why a cluster was not found.
    pub const SCHEDULE_FAILED: &str = "ScheduleFailed";
}

/// Reasons that only bindings carry.
pub mod binding_reason {
    /// WorkSynchronized, true.
    pub const ALL_WORK_SYNCED: &str = "AllWorkSynced";
    /// WorkSynchronized, false.
    pub const SYNC_WORK_FAILED: &str = "SyncWorkFailed";
    /// Applied, true.
    pub const ALL_WORK_APPLIED: &str = "AllWorkHaveBeenApplied";
    /// Applied, false.
    pub const NOT_ALL_WORK_APPLIED: &str = "NotAllWorkHaveBeenApplied";
    /// Available, true.
    pub const ALL_WORK_AVAILABLE: &str = "AllWorkAreAvailable";
    /// Available, false.
    pub const NOT_ALL_WORK_AVAILABLE: &str = "NotAllWorkAreAvailable";
    /// Available, true, but only because some objects cannot be tracked.
    pub const NOT_ALL_WORK_TRACKABLE: &str = "NotAllWorkAreAvailabilityTrackable";
    /// DiffReported, true.
    pub const ALL_WORK_DIFF_REPORTED: &str = "AllWorkHaveDiffReported";
    /// DiffReported, false.
    pub const NOT_ALL_WORK_DIFF_REPORTED: &str = "NotAllWorkHaveDiffReported";
}

/// The states of a binding.
pub mod binding_state {
    /// The cluster is chosen, but must not take the objects yet.
    pub const SCHEDULED: &str = "Scheduled";
    /// The cluster takes the objects.
    pub const BOUND: &str = "Bound";
    /// The cluster is no longer chosen, and keeps the objects until the rollout lets them go.
    pub const UNSCHEDULED: &str = "Unscheduled";
}
