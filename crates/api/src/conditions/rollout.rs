//! Conditions of update runs, their stages, clusters and tasks, of approval requests and of
//! evictions.

/// The plan of an update run is made.
pub const INITIALIZED: &str = "Initialized";
/// An update run or one of its stages is under way.
pub const PROGRESSING: &str = "Progressing";
/// An update run, a stage or the update of one cluster has succeeded.
pub const SUCCEEDED: &str = "Succeeded";
/// The update of one cluster has started.
pub const STARTED: &str = "Started";
/// A stage task has its approval request.
pub const APPROVAL_REQUEST_CREATED: &str = "ApprovalRequestCreated";
/// The approval request of a stage task is approved.
pub const APPROVAL_REQUEST_APPROVED: &str = "ApprovalRequestApproved";
/// The waiting time of a stage task is over.
pub const WAIT_TIME_ELAPSED: &str = "WaitTimeElapsed";
/// A user approves an approval request.
pub const APPROVED: &str = "Approved";
/// An approval has been acted on and cannot be taken back.
pub const APPROVAL_ACCEPTED: &str = "ApprovalAccepted";
/// An eviction makes sense.
pub const VALID: &str = "Valid";
/// An eviction was carried out.
pub const EXECUTED: &str = "Executed";

/// Reasons on update runs.
pub mod run_reason {
    /// Initialized, true.
    pub const INITIALIZED: &str = "UpdateRunInitializedSuccessfully";
    /// Initialized, false; final.
    pub const INITIALIZE_FAILED: &str = "UpdateRunInitializedFailed";
    /// Progressing, true.
    pub const PROGRESSING: &str = "UpdateRunProgressing";
    /// Progressing and Succeeded, false; final.
    pub const FAILED: &str = "UpdateRunFailed";
    /// Progressing, false: a cluster takes too long.
    pub const STUCK: &str = "UpdateRunStuck";
    /// Progressing, false: waiting for an approval or for time to pass.
    pub const WAITING: &str = "UpdateRunWaiting";
    /// Progressing, unknown: no new cluster starts, those under way finish.
    pub const STOPPING: &str = "UpdateRunStopping";
    /// Progressing, false: stopped by the user.
    pub const STOPPED: &str = "UpdateRunStopped";
    /// Succeeded, true; final.
    pub const SUCCEEDED: &str = "UpdateRunSucceeded";
}

/// Reasons on stages.
pub mod stage_reason {
    /// Progressing, true.
    pub const STARTED: &str = "StageUpdatingStarted";
    /// Progressing, false: waiting for a task.
    pub const WAITING: &str = "StageUpdatingWaiting";
    /// Progressing, unknown: no new cluster starts, those under way finish.
    pub const STOPPING: &str = "StageUpdatingStopping";
    /// Progressing, false: stopped by the user.
    pub const STOPPED: &str = "StageUpdatingStopped";
    /// Progressing and Succeeded, false; final.
    pub const FAILED: &str = "StageUpdatingFailed";
    /// Succeeded, true.
    pub const SUCCEEDED: &str = "StageUpdatingSucceeded";
    /// Succeeded, true: no cluster is in the stage.
    pub const SKIPPED_NO_CLUSTERS: &str = "StageUpdatingSkippedNoClusters";
}

/// Reasons on the clusters of a stage.
pub mod cluster_reason {
    /// Started, true.
    pub const STARTED: &str = "ClusterUpdatingStarted";
    /// Succeeded, false; final.
    pub const FAILED: &str = "ClusterUpdatingFailed";
    /// Succeeded, true.
    pub const SUCCEEDED: &str = "ClusterUpdatingSucceeded";
}

/// Reasons on the tasks of a stage and on approval requests.
pub mod task_reason {
    /// ApprovalRequestCreated, true.
    pub const APPROVAL_REQUEST_CREATED: &str = "StageTaskApprovalRequestCreated";
    /// ApprovalRequestApproved, true.
    pub const APPROVAL_REQUEST_APPROVED: &str = "StageTaskApprovalRequestApproved";
    /// WaitTimeElapsed, true.
    pub const WAIT_TIME_ELAPSED: &str = "AfterStageTaskWaitTimeElapsed";
    /// ApprovalAccepted, true, on the approval request.
    pub const APPROVAL_ACCEPTED: &str = "ApprovalRequestApprovalAccepted";
}

/// Reasons on evictions.
pub mod eviction_reason {
    /// Valid, true.
    pub const VALID: &str = "ClusterResourcePlacementEvictionValid";
    /// Valid, false; final.
    pub const INVALID: &str = "ClusterResourcePlacementEvictionInvalid";
    /// Executed, true; final.
    pub const EXECUTED: &str = "ClusterResourcePlacementEvictionExecuted";
    /// Executed, false; final.
    pub const NOT_EXECUTED: &str = "ClusterResourcePlacementEvictionNotExecuted";
}
