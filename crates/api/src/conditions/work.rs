//! Conditions of works and of the manifests in them.

/// The objects of a Work, or of a manifest, are applied.
pub const APPLIED: &str = "Applied";
/// The objects do what they are for.
pub const AVAILABLE: &str = "Available";
/// Differences have been reported; only when nothing is applied.
pub const DIFF_REPORTED: &str = "DiffReported";
/// Details were left out of the status of a Work because it would have grown too large.
pub const STATUS_TRIMMED: &str = "StatusTrimmed";

/// Reasons on works.
pub mod reason {
    /// Applied, true.
    pub const ALL_MANIFESTS_APPLIED: &str = "AllManifestsApplied";
    /// Applied, false.
    pub const SOME_MANIFESTS_NOT_APPLIED: &str = "SomeManifestsAreNotApplied";
    /// Available, true.
    pub const ALL_MANIFESTS_AVAILABLE: &str = "AllManifestsAvailable";
    /// Available, false.
    pub const SOME_MANIFESTS_NOT_AVAILABLE: &str = "SomeManifestsAreNotAvailable";
    /// Available, true, but only because some objects cannot be tracked.
    pub const WORK_NOT_TRACKABLE: &str = "WorkNotTrackable";
    /// DiffReported, true.
    pub const ALL_MANIFESTS_DIFF_REPORTED: &str = "AllManifestsDiffReported";
    /// DiffReported, false.
    pub const SOME_MANIFESTS_NOT_DIFF_REPORTED: &str = "SomeManifestsHaveNotReportedDiff";
}

/// Why a manifest is or is not applied: the reasons of its Applied condition.
pub mod apply_reason {
    /// Written before anything is done, so that a crash leaves no object without an entry.
    pub const PREPARING_TO_PROCESS: &str = "PreparingToProcess";
    /// The manifest is not a Kubernetes object.
    pub const DECODING_ERRED: &str = "DecodingErred";
    /// The manifest asks for a generated name, which cannot be found again.
    pub const FOUND_GENERATE_NAME: &str = "FoundGenerateName";
    /// An earlier manifest is about the same object.
    pub const DUPLICATED: &str = "Duplicated";
    /// Looking the object up failed.
    pub const FAILED_TO_FIND: &str = "FailedToFindObjInMemberCluster";
    /// Taking the object over failed.
    pub const FAILED_TO_TAKE_OVER: &str = "FailedToTakeOver";
    /// The object belongs to somebody else, and the strategy says to leave it.
    pub const NOT_TAKEN_OVER: &str = "NotTakenOver";
    /// Drift could not be determined.
    pub const FAILED_TO_RUN_DRIFT_DETECTION: &str = "FailedToRunDriftDetection";
    /// The object has drifted, and the strategy says to leave it.
    pub const FOUND_DRIFTS: &str = "FoundDrifts";
    /// The same, found by comparing every field.
    pub const FOUND_DRIFTS_DEGRADED: &str = "FoundDriftsInDegradedMode";
    /// Writing the object failed.
    pub const MANIFEST_APPLY_FAILED: &str = "ManifestApplyFailed";
    /// The object is applied.
    pub const APPLIED: &str = "Applied";
    /// The object is applied, but looking for drift afterwards failed.
    pub const APPLIED_WITH_FAILED_DRIFT_DETECTION: &str = "AppliedWithFailedDriftDetection";
}

/// What comparing a manifest gave: the reasons of its DiffReported condition.
pub mod diff_reason {
    /// The comparison failed.
    pub const FAILED_TO_REPORT_DIFF: &str = "FailedToReportDiff";
    /// The object differs.
    pub const FOUND_DIFF: &str = "FoundDiff";
    /// The object differs, found by comparing every field.
    pub const FOUND_DIFF_DEGRADED: &str = "FoundDiffInDegradedMode";
    /// The object does not differ.
    pub const NO_DIFF_FOUND: &str = "NoDiffFound";
}

/// Whether an object works: the reasons of the Available condition of a manifest.
pub mod availability_reason {
    /// Not looked at, because the object is not applied.
    pub const SKIPPED: &str = "Skipped";
    /// Looking at the object failed.
    pub const FAILED: &str = "Failed";
    /// The object works.
    pub const AVAILABLE: &str = "Available";
    /// The object does not work yet.
    pub const NOT_AVAILABLE_YET: &str = "ManifestNotAvailableYet";
    /// Nothing tells whether objects of this kind work.
    pub const NOT_TRACKABLE: &str = "NotTrackable";
}
