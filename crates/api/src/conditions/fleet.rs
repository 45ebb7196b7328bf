//! Conditions of member clusters, their agents and their cluster profiles.

/// The hub is ready for the cluster.
pub const READY_TO_JOIN: &str = "ReadyToJoin";
/// The cluster, or its agent, is part of the fleet.
pub const JOINED: &str = "Joined";
/// The agent and its cluster work.
pub const HEALTHY: &str = "Healthy";
/// The source of cluster properties works.
pub const PROPERTY_PROVIDER_STARTED: &str = "ClusterPropertyProviderStarted";
/// The properties of the cluster were collected.
pub const PROPERTY_COLLECTION_SUCCEEDED: &str = "ClusterPropertyCollectionSucceeded";
/// The namespaces of the cluster were collected.
pub const NAMESPACE_COLLECTION_SUCCEEDED: &str = "NamespaceCollectionSucceeded";
/// The prices of nodes were collected, on Azure.
pub const AKS_COST_COLLECTION_SUCCEEDED: &str = "AKSClusterCostPropertiesCollectionSucceeded";
/// The credential of the link ends soon. Taffrail's own, and only shown while it is so.
pub const CREDENTIAL_EXPIRING: &str = "CredentialExpiring";
/// The API server of the cluster answers; on cluster profiles.
pub const CONTROL_PLANE_HEALTHY: &str = "ControlPlaneHealthy";

/// Reasons on member clusters.
pub mod member_reason {
    /// ReadyToJoin, true.
    pub const READY_TO_JOIN: &str = "MemberClusterReadyToJoin";
    /// ReadyToJoin, false.
    pub const NOT_READY_TO_JOIN: &str = "MemberClusterNotReadyToJoin";
    /// Joined, true.
    pub const JOINED: &str = "MemberClusterJoined";
    /// Joined, false.
    pub const LEFT: &str = "MemberClusterLeft";
    /// Joined, unknown.
    pub const JOIN_STATE_UNKNOWN: &str = "MemberClusterJoinStateUnknown";
    /// CredentialExpiring, true.
    pub const CREDENTIAL_EXPIRES_SOON: &str = "CredentialExpiresSoon";
    /// Costs, true.
    pub const COSTS_CALCULATED: &str = "CostsCalculated";
    /// Costs, true, but some prices are missing.
    pub const COSTS_CALCULATION_DEGRADED: &str = "CostsCalculationDegraded";
    /// Costs, false.
    pub const COSTS_CALCULATION_FAILED: &str = "CostsCalculationFailed";
}

/// Reasons on agents.
pub mod agent_reason {
    /// Joined, true.
    pub const JOINED: &str = "InternalMemberClusterJoined";
    /// Joined, unknown: joining failed.
    pub const FAILED_TO_JOIN: &str = "InternalMemberClusterFailedToJoin";
    /// Joined, false.
    pub const LEFT: &str = "InternalMemberClusterLeft";
    /// Joined, unknown: leaving failed.
    pub const FAILED_TO_LEAVE: &str = "InternalMemberClusterFailedToLeave";
    /// Healthy, true.
    pub const HEALTHY: &str = "InternalMemberClusterHealthy";
    /// Healthy, false.
    pub const UNHEALTHY: &str = "InternalMemberClusterUnhealthy";
}

/// Reasons on cluster profiles.
pub mod profile_reason {
    /// ControlPlaneHealthy, true.
    pub const API_SERVER_HEALTHY: &str = "MemberClusterAPIServerHealthy";
    /// ControlPlaneHealthy, false.
    pub const API_SERVER_UNHEALTHY: &str = "MemberClusterAPIServerUnhealthy";
    /// ControlPlaneHealthy, false: the agent has gone quiet.
    pub const HEARTBEAT_LOST: &str = "MemberAgentHeartbeatLost";
    /// ControlPlaneHealthy, unknown: the agent has never reported.
    pub const NO_STATUS: &str = "MemberAgentReportedNoStatus";
    /// ControlPlaneHealthy, unknown: the agent has not said whether the cluster is healthy.
    pub const NO_HEALTH_INFO: &str = "MemberAgentReportedNoHealthInfo";
}
