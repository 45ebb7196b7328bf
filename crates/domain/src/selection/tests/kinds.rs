//! Kinds and namespaces that are never placed.

use crate::selection::{GroupVersionKind, InvalidKindList, KindRules, NamespaceRules};

fn gvk(api_version: &str, kind: &str) -> GroupVersionKind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    GroupVersionKind::new(group, version, kind)
}

#[test]
fn what_is_about_the_fleet_or_about_one_cluster_is_never_placed() {
    let rules = KindRules::default();
    let excluded = [
        ("cluster.kubernetes-fleet.io/v1beta1", "MemberCluster"),
        ("cluster.kubernetes-fleet.io/v1", "InternalMemberCluster"),
        ("placement.kubernetes-fleet.io/v1beta1", "ClusterResourcePlacement"),
        ("placement.kubernetes-fleet.io/v1", "Work"),
        ("placement.kubefleet.dev/v1alpha1", "PlacementPolicy"),
        ("taffrail.dev/v1alpha1", "Anything"),
        ("networking.fleet.azure.com/v1alpha1", "ServiceImport"),
        ("networking.fleet.azure.com/v1beta1", "TrafficManagerProfile"),
        ("networking.fleet.azure.com/v1beta1", "TrafficManagerBackend"),
        ("events.k8s.io/v1", "Event"),
        ("coordination.k8s.io/v1", "Lease"),
        ("metrics.k8s.io/v1beta1", "PodMetrics"),
        ("custom.metrics.k8s.io/v1beta2", "MetricValueList"),
        ("external.metrics.k8s.io/v1beta1", "ExternalMetricValueList"),
        ("v1", "Event"),
        ("v1", "Node"),
        ("v1", "Pod"),
    ];
    for (api_version, kind) in excluded {
        assert!(rules.excludes(&gvk(api_version, kind)), "{api_version} {kind}");
    }
}

#[test]
fn everything_else_may_be_placed_envelopes_too() {
    let rules = KindRules::default();
    let placed = [
        ("v1", "ConfigMap"),
        ("v1", "Namespace"),
        ("apps/v1", "Deployment"),
        ("example.com/v1", "Pod"),
        ("networking.fleet.azure.com/v1alpha1", "ServiceExport"),
        ("placement.kubernetes-fleet.io/v1beta1", "ClusterResourceEnvelope"),
        ("placement.kubernetes-fleet.io/v1beta1", "ResourceEnvelope"),
    ];
    for (api_version, kind) in placed {
        assert!(!rules.excludes(&gvk(api_version, kind)), "{api_version} {kind}");
    }
}

#[test]
fn a_version_of_a_group_is_excluded_when_all_that_could_be_in_it_is() {
    let cases = [
        ("", "", "metrics.k8s.io", "v1beta1", true),
        ("", "", "example.com", "v1", false),
        ("", "example.com", "example.com", "v1", true),
        ("", "example.com/v1", "example.com", "v1", true),
        ("", "example.com/v1", "example.com", "v2", false),
        ("", "example.com/v1/Widget", "example.com", "v1", false),
        ("apps", "", "example.com", "v1", true),
        ("example.com/v1/Widget", "", "example.com", "v1", false),
        ("metrics.k8s.io", "", "metrics.k8s.io", "v1beta1", false),
    ];
    for (allowed, skipped, group, version, excluded) in cases {
        let rules = KindRules::parse(allowed, skipped).unwrap();
        let case = format!("allowed {allowed:?}, skipped {skipped:?}: {group}/{version}");
        assert_eq!(rules.excludes_version(group, version), excluded, "{case}");
    }
}

#[test]
fn the_skip_list_adds_groups_versions_and_kinds() {
    let skipped = "example.com; batch/v1beta1;networking.k8s.io/v1/ingress, IngressClass;v1/Secret";
    let rules = KindRules::parse("", skipped).unwrap();
    let cases = [
        ("example.com/v1", "Widget", true),
        ("example.com/v2", "Gadget", true),
        ("sub.example.com/v1", "Widget", false),
        ("batch/v1beta1", "CronJob", true),
        ("batch/v1", "CronJob", false),
        ("networking.k8s.io/v1", "Ingress", true),
        ("networking.k8s.io/v1", "IngressClass", true),
        ("networking.k8s.io/v1", "NetworkPolicy", false),
        ("v1", "Secret", true),
        ("v1", "ConfigMap", false),
        ("v1", "Pod", true),
    ];
    for (api_version, kind, excluded) in cases {
        assert_eq!(rules.excludes(&gvk(api_version, kind)), excluded, "{api_version} {kind}");
    }
}

#[test]
fn an_allow_list_leaves_nothing_else() {
    let allowed = "apps/v1;v1/ConfigMap,Pod;cluster.kubernetes-fleet.io";
    let rules = KindRules::parse(allowed, "apps/v1/DaemonSet").unwrap();
    let cases = [
        ("apps/v1", "Deployment", false),
        ("apps/v1", "DaemonSet", true),
        ("v1", "ConfigMap", false),
        ("v1", "Secret", true),
        ("v1", "Pod", false),
        ("cluster.kubernetes-fleet.io/v1", "MemberCluster", true),
    ];
    for (api_version, kind, excluded) in cases {
        assert_eq!(rules.excludes(&gvk(api_version, kind)), excluded, "{api_version} {kind}");
    }
}

#[test]
fn lists_that_mean_nothing_are_refused() {
    for entry in ["a/b/c/d", "apps//Deployment", "/v1", "v1/", "apps/v1/"] {
        let refused = KindRules::parse("", &format!("batch/v1;{entry}"));
        assert_eq!(refused, Err(InvalidKindList { entry: entry.to_owned() }));
        assert!(KindRules::parse(entry, "").is_err());
    }
    assert_eq!(KindRules::parse(" ;; ", ""), Ok(KindRules::default()));
}

#[test]
fn namespaces_of_kubernetes_and_of_the_fleet_are_never_placed() {
    let rules = NamespaceRules::parse("build;scratch, ops ;");
    let cases = [
        ("default", true),
        ("kube-system", true),
        ("kube-public", true),
        ("fleet-system", true),
        ("fleet-member-eu-1", true),
        ("build", true),
        ("scratch", true),
        ("ops", true),
        ("kubernetes-dashboard", false),
        ("fleet", false),
        ("default-backend", false),
        ("web", false),
        ("", false),
    ];
    for (namespace, excluded) in cases {
        assert_eq!(rules.excludes(namespace), excluded, "{namespace:?}");
    }
    assert_eq!(NamespaceRules::parse(""), NamespaceRules::default());
}
