//! The order in which objects are written: what others need comes first.

use events::ObjectId;

/// A step of a delivery. Objects of one wave are written side by side, waves one after the other;
/// removal goes through them backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wave {
    /// Namespaces and priority classes.
    Scopes,
    /// What workloads and custom resources refer to.
    Definitions,
    /// Roles.
    Roles,
    /// Bindings of roles.
    RoleBindings,
    /// Services and everything that runs.
    Workloads,
    /// What intercepts requests to the API server.
    Interceptors,
    /// Everything else, all custom resources among it.
    Others,
}

/// The wave of an object, by the table of the public behaviour (reference §2.8). A kind of another
/// group that happens to have the name of a built-in one is a custom resource.
#[must_use]
pub fn wave_of(object: &ObjectId) -> Wave {
    match (object.group.as_str(), object.kind.as_str()) {
        ("", "Namespace") | ("scheduling.k8s.io", "PriorityClass") => Wave::Scopes,
        (
            "",
            "ConfigMap"
            | "LimitRange"
            | "PersistentVolume"
            | "PersistentVolumeClaim"
            | "ResourceQuota"
            | "Secret"
            | "ServiceAccount",
        )
        | ("apiextensions.k8s.io", "CustomResourceDefinition")
        | ("networking.k8s.io", "IngressClass" | "NetworkPolicy")
        | ("policy", "PodDisruptionBudget" | "PodSecurityPolicy")
        | ("storage.k8s.io", "StorageClass") => Wave::Definitions,
        ("rbac.authorization.k8s.io", "ClusterRole" | "Role") => Wave::Roles,
        ("rbac.authorization.k8s.io", "ClusterRoleBinding" | "RoleBinding") => Wave::RoleBindings,
        ("", "Pod" | "ReplicationController" | "Service")
        | ("apps", "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet")
        | ("autoscaling", "HorizontalPodAutoscaler")
        | ("batch", "CronJob" | "Job")
        | ("networking.k8s.io", "Ingress") => Wave::Workloads,
        ("apiregistration.k8s.io", "APIService")
        | (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => Wave::Interceptors,
        _ => Wave::Others,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(group: &str, kind: &str) -> Wave {
        wave_of(&ObjectId {
            group: group.to_owned(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: String::new(),
            name: "x".to_owned(),
        })
    }

    #[test]
    fn what_others_need_comes_first() {
        let in_order = [
            wave("", "Namespace"),
            wave("apiextensions.k8s.io", "CustomResourceDefinition"),
            wave("rbac.authorization.k8s.io", "Role"),
            wave("rbac.authorization.k8s.io", "RoleBinding"),
            wave("apps", "Deployment"),
            wave("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
            wave("example.com", "Widget"),
        ];
        assert!(in_order.is_sorted());
        assert_eq!(wave("", "ConfigMap"), wave("apiextensions.k8s.io", "CustomResourceDefinition"));
        assert_eq!(wave("", "Service"), wave("batch", "Job"));
    }

    #[test]
    fn a_custom_kind_with_a_built_in_name_is_a_custom_resource() {
        assert_eq!(wave("serving.example.com", "Service"), Wave::Others);
        assert_eq!(wave("example.com", "Namespace"), Wave::Others);
    }
}
