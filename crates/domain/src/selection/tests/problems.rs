//! What is wrong with selectors, in the words that the person who wrote them reads.

use std::fmt::Write as _;

use events::PlacementScope::{self, Cluster};
use events::placement::{
    LabelOperator, LabelRequirement, LabelSelector, RefusalReason, ResourceSelector,
};
use serde_json::json;

use super::catalogue::{Hub, all, inside, labelled, named, only, picking};
use crate::selection::{KindRules, Limits, NamespaceRules, SelectionProblem, SelectionRules};

fn shop() -> Hub {
    Hub::with(&[
        "Namespace shop team=a",
        "Deployment shop/web app=web tier=front",
        "ConfigMap shop/settings",
        "ConfigMap default/settings",
        "ClusterRole reader team=a",
        "Namespace default",
        "PriorityClass system-node-critical",
    ])
}

fn requirement(operator: LabelOperator, values: &[&str]) -> ResourceSelector {
    let values = values.iter().map(|&value| value.to_owned()).collect();
    let requirement = LabelRequirement { key: "team".to_owned(), operator, values };
    let labels = LabelSelector { match_labels: [].into(), match_expressions: vec![requirement] };
    ResourceSelector { labels: Some(labels), ..all("ClusterRole") }
}

#[test]
fn every_problem_says_what_to_change() {
    let named_and_labelled =
        ResourceSelector { name: "reader".to_owned(), ..labelled("ClusterRole", "team", "a") };
    let retired = ResourceSelector { version: "v1alpha1".to_owned(), ..all("ClusterRole") };
    let cases: Vec<(&str, PlacementScope, Vec<ResourceSelector>)> = vec![
        ("more selectors than possible", Cluster, vec![all("ClusterRole"); 101]),
        ("a name and labels", Cluster, vec![all("PriorityClass"), named_and_labelled]),
        ("In nothing", Cluster, vec![requirement(LabelOperator::In, &[])]),
        ("NotIn nothing", Cluster, vec![requirement(LabelOperator::NotIn, &[])]),
        ("Exists with values", Cluster, vec![requirement(LabelOperator::Exists, &["a"])]),
        (
            "DoesNotExist with values",
            Cluster,
            vec![requirement(LabelOperator::DoesNotExist, &["a"])],
        ),
        ("an unknown kind", Cluster, vec![all("Widget")]),
        ("a version that is not served", Cluster, vec![retired]),
        ("a kind that is never placed", inside("shop"), vec![all("Pod")]),
        ("a namespaced kind, cluster scope", Cluster, vec![named("ConfigMap", "settings")]),
        (
            "a namespaced kind beside a namespace alone",
            Cluster,
            vec![only(named("Namespace", "shop")), all("ConfigMap")],
        ),
        ("a cluster-scoped kind, namespace scope", inside("shop"), vec![all("ClusterRole")]),
        ("a namespace, namespace scope", inside("shop"), vec![named("Namespace", "shop")]),
        ("a namespace of the system", Cluster, vec![named("Namespace", "default")]),
        ("a namespace of the system alone", Cluster, vec![only(named("Namespace", "kube-system"))]),
        (
            "selectors in a namespace of the system",
            Cluster,
            vec![picking(named("Namespace", "fleet-system")), all("ConfigMap")],
        ),
        ("inside a namespace of the system", inside("default"), vec![all("ConfigMap")]),
        (
            "selectors in a namespace that is not there",
            Cluster,
            vec![picking(named("Namespace", "missing")), all("ConfigMap")],
        ),
        (
            "what every API server makes, by name",
            Cluster,
            vec![named("PriorityClass", "system-node-critical")],
        ),
        ("an envelope by name", Cluster, vec![named("ClusterResourceEnvelope", "hooks")]),
        ("envelopes", inside("shop"), vec![all("ResourceEnvelope")]),
        (
            "selectors in namespaces by labels",
            Cluster,
            vec![all("ClusterRole"), picking(labelled("Namespace", "team", "a"))],
        ),
        (
            "selectors in two namespaces",
            Cluster,
            vec![picking(named("Namespace", "shop")), picking(named("Namespace", "blog"))],
        ),
        (
            "selectors in one namespace and another one",
            Cluster,
            vec![only(named("Namespace", "blog")), picking(named("Namespace", "shop"))],
        ),
        (
            "one object by name and by labels",
            Cluster,
            vec![named("ClusterRole", "reader"), labelled("ClusterRole", "team", "a")],
        ),
        (
            "one namespace by name and by labels",
            Cluster,
            vec![named("Namespace", "shop"), only(labelled("Namespace", "team", "a"))],
        ),
        (
            "one object by two labels",
            inside("shop"),
            vec![labelled("Deployment", "app", "web"), labelled("Deployment", "tier", "front")],
        ),
    ];
    let mut transcript = String::new();
    for (what, scope, selectors) in cases {
        let problem = shop().select(&scope, &selectors).expect_err(what);
        assert_eq!(problem.refusal_reason(), RefusalReason::InvalidResourceSelectors);
        writeln!(transcript, "{what}:\n  {problem}").unwrap();
    }
    insta::assert_snapshot!(transcript);
}

#[test]
fn two_versions_of_an_api_show_the_same_object() {
    let old = ResourceSelector { version: "v1beta1".to_owned(), ..named("Deployment", "web") };
    let problem = shop().select(&inside("shop"), &[old, named("Deployment", "web")]).unwrap_err();
    assert!(matches!(problem, SelectionProblem::SelectedTwice { first: 1, second: 2, .. }));
}

#[test]
fn a_configured_namespace_is_a_problem_when_it_is_named() {
    let rules =
        SelectionRules { namespaces: NamespaceRules::parse("shop"), ..SelectionRules::default() };
    let problem = shop().select_with(&Cluster, &[named("Namespace", "shop")], &rules).unwrap_err();
    assert_eq!(problem, SelectionProblem::ExcludedNamespace { namespace: "shop".to_owned() });
}

#[test]
fn a_configured_kind_is_a_problem_when_it_is_named() {
    let kinds = KindRules::parse("", "rbac.authorization.k8s.io").unwrap();
    let rules = SelectionRules { kinds, ..SelectionRules::default() };
    let problem = shop().select_with(&Cluster, &[all("ClusterRole")], &rules).unwrap_err();
    assert!(matches!(problem, SelectionProblem::ExcludedKind { selector: 1, .. }));
}

#[test]
fn as_many_objects_as_possible_and_no_more() {
    let mut hub = Hub::default();
    for number in 0..3 {
        hub.add(&format!("ClusterRole r{number}"), json!({}));
    }
    let with_max = |objects| SelectionRules {
        limits: Limits { objects, ..Limits::default() },
        ..SelectionRules::default()
    };
    let select = |max| hub.select_with(&Cluster, &[all("ClusterRole")], &with_max(max));
    assert_eq!(select(3).unwrap().len(), 3);
    assert_eq!(
        select(2).unwrap_err().to_string(),
        "the resource selectors select more than 2 objects: divide them among several placements"
    );
}

#[test]
fn an_object_as_large_as_possible_and_no_larger() {
    let mut hub = Hub::default();
    // {"apiVersion":"v1","kind":"Namespace","metadata":{"annotations":{"a":"x"},"name":"n"}}
    hub.add("Namespace n", json!({"annotations": {"a": "x"}, "resourceVersion": "123456"}));
    let with_max = |object_bytes| SelectionRules {
        limits: Limits { object_bytes, ..Limits::default() },
        ..SelectionRules::default()
    };
    let select = |max| hub.select_with(&Cluster, &[named("Namespace", "n")], &with_max(max));
    assert_eq!(select(86).unwrap(), ["Namespace n"]);
    assert_eq!(
        select(85).unwrap_err().to_string(),
        "Namespace n has 86 bytes without what the hub added, a placed object at most 85: divide it"
    );
}
