//! What selectors select.

use events::PlacementScope::Cluster;
use serde_json::json;

use super::catalogue::{Hub, all, inside, labelled, named, only, picking};
use crate::selection::{KindRules, NamespaceRules, SelectionRules, resolve};

fn shop() -> Hub {
    Hub::with(&[
        "Deployment shop/web app=web",
        "Service shop/web app=web",
        "Endpoints shop/web app=web",
        "Endpoints shop/database",
        "ConfigMap shop/settings app=web",
        "ConfigMap shop/kube-root-ca.crt",
        "ServiceAccount shop/default",
        "Pod shop/web-1",
        "Event shop/web-1.17",
        "Secret shop/password",
        "Namespace shop team=a",
        "Namespace blog team=a",
        "ConfigMap blog/settings",
        "Namespace kube-system team=a",
        "ConfigMap kube-system/coredns",
        "ClusterRole reader aggregate=yes",
        "ClusterRole writer",
        "PriorityClass high",
    ])
}

#[test]
fn a_namespace_brings_all_that_is_in_it_except_what_the_hub_made() {
    let selected = shop().select(&Cluster, &[named("Namespace", "shop")]).unwrap();
    let expected = [
        "Namespace shop",
        "Secret shop/password",
        "ConfigMap shop/settings",
        "Service shop/web",
        "Deployment shop/web",
        "Endpoints shop/database",
    ];
    assert_eq!(selected, expected);
}

#[test]
fn a_namespace_alone_brings_nothing() {
    let selected = shop().select(&Cluster, &[only(named("Namespace", "shop"))]).unwrap();
    assert_eq!(selected, ["Namespace shop"]);
}

#[test]
fn a_namespace_with_resource_selectors_brings_what_they_pick_in_it() {
    let selectors = [
        named("Deployment", "web"),
        picking(named("Namespace", "shop")),
        labelled("ConfigMap", "app", "web"),
        all("Secret"),
        named("ClusterRole", "reader"),
    ];
    let selected = shop().select(&Cluster, &selectors).unwrap();
    let expected = [
        "Namespace shop",
        "Secret shop/password",
        "ConfigMap shop/settings",
        "ClusterRole reader",
        "Deployment shop/web",
    ];
    assert_eq!(selected, expected);
    let alone = shop().select(&Cluster, &[picking(named("Namespace", "shop"))]).unwrap();
    assert_eq!(alone, ["Namespace shop"]);
}

#[test]
fn terms_are_ored() {
    let selectors = [
        named("ClusterRole", "writer"),
        labelled("ClusterRole", "aggregate", "yes"),
        all("PriorityClass"),
    ];
    let selected = shop().select(&Cluster, &selectors).unwrap();
    assert_eq!(selected, ["PriorityClass high", "ClusterRole reader", "ClusterRole writer"]);
}

#[test]
fn a_term_without_name_and_labels_selects_every_object_of_its_kind() {
    let selected = shop().select(&Cluster, &[all("ClusterRole")]).unwrap();
    assert_eq!(selected, ["ClusterRole reader", "ClusterRole writer"]);
}

#[test]
fn namespaces_chosen_by_labels_leave_out_those_of_the_system() {
    let selected = shop().select(&Cluster, &[only(labelled("Namespace", "team", "a"))]).unwrap();
    assert_eq!(selected, ["Namespace blog", "Namespace shop"]);
    let with_content = shop().select(&Cluster, &[labelled("Namespace", "team", "a")]).unwrap();
    assert!(with_content.contains(&"ConfigMap blog/settings".to_owned()));
    assert!(!with_content.iter().any(|object| object.contains("kube-system")));
}

#[test]
fn a_resource_placement_selects_in_its_own_namespace() {
    let selectors = [all("ConfigMap"), named("Deployment", "web"), named("Secret", "settings")];
    let selected = shop().select(&inside("shop"), &selectors).unwrap();
    assert_eq!(selected, ["ConfigMap shop/settings", "Deployment shop/web"]);
    let selected = shop().select(&inside("blog"), &selectors).unwrap();
    assert_eq!(selected, ["ConfigMap blog/settings"]);
}

#[test]
fn what_is_not_there_yet_is_selected_once_it_is() {
    let mut hub = shop();
    let selectors = [named("Namespace", "later"), named("ClusterRole", "later")];
    assert_eq!(hub.select(&Cluster, &selectors).unwrap(), [""; 0]);
    hub.add("ClusterRole later", json!({}));
    hub.add("ConfigMap later/a", json!({}));
    hub.add("Namespace later", json!({}));
    let expected = ["Namespace later", "ConfigMap later/a", "ClusterRole later"];
    assert_eq!(hub.select(&Cluster, &selectors).unwrap(), expected);
}

#[test]
fn nothing_is_taken_from_a_namespace_that_is_being_deleted() {
    let mut hub = Hub::with(&["ConfigMap old/a", "ConfigMap new/a", "Namespace new team=a"]);
    hub.add(
        "Namespace old",
        json!({"deletionTimestamp": "2026-03-01T00:00:00Z", "labels": {"team": "a"}}),
    );
    let by_name = hub.select(&Cluster, &[named("Namespace", "old")]).unwrap();
    assert_eq!(by_name, [""; 0]);
    let by_labels = hub.select(&Cluster, &[labelled("Namespace", "team", "a")]).unwrap();
    assert_eq!(by_labels, ["Namespace new", "ConfigMap new/a"]);
    let picked = [picking(named("Namespace", "old")), all("ConfigMap")];
    assert_eq!(hub.select(&Cluster, &picked).unwrap(), [""; 0]);
}

#[test]
fn what_is_being_deleted_is_not_taken_even_by_name() {
    let mut hub = Hub::with(&[]);
    hub.add("ClusterRole old", json!({"deletionTimestamp": "2026-03-01T00:00:00Z"}));
    assert_eq!(hub.select(&Cluster, &[named("ClusterRole", "old")]).unwrap(), [""; 0]);
    assert_eq!(hub.select(&Cluster, &[all("ClusterRole")]).unwrap(), [""; 0]);
}

#[test]
fn the_configuration_narrows_what_a_namespace_brings() {
    let rules = SelectionRules {
        kinds: KindRules::parse("", "v1/Secret;apps").unwrap(),
        namespaces: NamespaceRules::parse("blog"),
        ..SelectionRules::default()
    };
    let selected = shop().select_with(&Cluster, &[labelled("Namespace", "team", "a")], &rules);
    let expected = [
        "Namespace shop",
        "ConfigMap shop/settings",
        "Service shop/web",
        "Endpoints shop/database",
    ];
    assert_eq!(selected.unwrap(), expected);
}

#[test]
fn claims_stay_on_a_hub_that_runs_workloads() {
    let hub = Hub::with(&["PersistentVolumeClaim shop/data", "ConfigMap shop/settings"]);
    let selectors = [all("PersistentVolumeClaim"), all("ConfigMap")];
    let selected = hub.select(&inside("shop"), &selectors).unwrap();
    assert_eq!(selected, ["ConfigMap shop/settings", "PersistentVolumeClaim shop/data"]);
    let rules = SelectionRules { hub_runs_workloads: true, ..SelectionRules::default() };
    let selected = hub.select_with(&inside("shop"), &selectors, &rules).unwrap();
    assert_eq!(selected, ["ConfigMap shop/settings"]);
}

#[test]
fn the_order_of_selectors_and_of_the_hub_does_not_matter() {
    let mut selectors =
        [all("ClusterRole"), named("Namespace", "shop"), only(named("Namespace", "blog"))];
    let hub = shop();
    let rules = SelectionRules::default();
    let forwards = resolve(&Cluster, &selectors, &hub, &rules).unwrap();
    selectors.reverse();
    let backwards = resolve(&Cluster, &selectors, &hub, &rules).unwrap();
    assert_eq!(forwards.objects, backwards.objects);
    assert_eq!(forwards.objects.len(), 9);
}

#[test]
fn what_a_controller_made_for_something_selected_is_left_out_with_all_that_hangs_on_it() {
    let made_by = |kind: &str, name: &str| {
        json!({"ownerReferences": [{
            "apiVersion": if kind == "Deployment" { "apps/v1" } else { "example.com/v1" },
            "kind": kind, "name": name, "controller": true,
        }]})
    };
    let mut hub = Hub::with(&["Namespace shop", "App shop/web", "ConfigMap shop/by-hand"]);
    hub.add("Deployment shop/web", made_by("App", "web"));
    hub.add("ConfigMap shop/generated", made_by("Deployment", "web"));
    hub.add("Secret shop/orphan", made_by("App", "gone"));
    let whole = hub.select(&Cluster, &[named("Namespace", "shop")]).unwrap();
    assert_eq!(
        whole,
        ["Namespace shop", "Secret shop/orphan", "ConfigMap shop/by-hand", "App shop/web"]
    );
    // Without its owner it is wanted for itself.
    let alone = hub.select(&inside("shop"), &[named("Deployment", "web")]).unwrap();
    assert_eq!(alone, ["Deployment shop/web"]);
}

#[test]
fn single_objects_of_an_allowed_namespace_are_placed_and_nothing_else_of_it() {
    let hub = Hub::with(&["Namespace kube-system", "RoleBinding kube-system/reader"]);
    let namespaces = NamespaceRules::default().allowing(["kube-system".to_owned()]).unwrap();
    let rules = SelectionRules { namespaces, ..SelectionRules::default() };
    let system = inside("kube-system");
    let select = |scope, selector| hub.select_with(scope, &[selector], &rules);
    let selected = select(&system, named("RoleBinding", "reader")).unwrap();
    assert_eq!(selected, ["RoleBinding kube-system/reader"]);
    let refused = [
        (&system, all("RoleBinding"), "select them by name"),
        (&Cluster, named("Namespace", "kube-system"), "are not placed"),
        (&Cluster, only(named("Namespace", "kube-system")), "are not placed"),
    ];
    for (scope, selector, says) in refused {
        let problem = select(scope, selector).unwrap_err().to_string();
        assert!(problem.contains(says), "{problem}");
    }
    let fleet = NamespaceRules::default().allowing(["fleet-system".to_owned()]).unwrap_err();
    assert!(fleet.to_string().contains("remove it from the list"), "{fleet}");
}
