//! The order of the objects of a revision: the one in which they can be installed.

use std::cmp::Ordering;

use events::ObjectId;

/// What others need comes first (reference §2.3; the order is the one that Helm installs in).
const INSTALL_ORDER: [(&str, &str); 32] = [
    ("scheduling.k8s.io", "PriorityClass"),
    ("", "Namespace"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("", "ResourceQuota"),
    ("", "LimitRange"),
    ("policy", "PodDisruptionBudget"),
    ("", "ServiceAccount"),
    ("", "Secret"),
    ("", "ConfigMap"),
    ("storage.k8s.io", "StorageClass"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("", "Service"),
    ("apps", "DaemonSet"),
    ("", "Pod"),
    ("", "ReplicationController"),
    ("apps", "ReplicaSet"),
    ("apps", "Deployment"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("apps", "StatefulSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("networking.k8s.io", "IngressClass"),
    ("networking.k8s.io", "Ingress"),
    ("apiregistration.k8s.io", "APIService"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
];

/// Compares two objects by the place of their kinds in the table, unknown kinds last; then by
/// group, version and kind, then by namespace and name. A kind of another group that has the name
/// of a built-in one is an unknown kind.
#[must_use]
pub fn install_order(a: &ObjectId, b: &ObjectId) -> Ordering {
    rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))
}

fn rank(id: &ObjectId) -> usize {
    let is_kind = |(group, kind): &(&str, &str)| id.group == *group && id.kind == *kind;
    INSTALL_ORDER.iter().position(is_kind).unwrap_or(INSTALL_ORDER.len())
}
