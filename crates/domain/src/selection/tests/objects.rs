//! Objects that the hub made for itself.

use serde_json::{Value, json};

use crate::selection::{
    GroupVersionKind, HubObject, NamelessObject, SkipReason, canonical_json, reason_skipped,
};

fn read(api_version: &str, kind: &str, object: Value) -> HubObject {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    HubObject::read(&GroupVersionKind::new(group, version, kind), object).unwrap()
}

fn named(name: &str) -> Value {
    json!({"metadata": {"namespace": "web", "name": name}})
}

fn owned() -> Value {
    json!({"metadata": {"namespace": "web", "name": "a", "ownerReferences": [{"uid": "1"}]}})
}

fn controlled(api_version: &str, kind: &str) -> Value {
    let owner = json!({"apiVersion": api_version, "kind": kind, "name": "o", "controller": true});
    json!({"metadata": {"namespace": "web", "name": "a", "ownerReferences": [owner]}})
}

fn cluster_scoped(name: &str, more: Value) -> Value {
    let mut metadata = more;
    metadata["name"] = name.into();
    json!({ "metadata": metadata })
}

fn labelled(key: &str) -> Value {
    json!({"metadata": {"namespace": "web", "name": "a", "labels": {key: "x"}}})
}

#[test]
fn what_the_hub_made_for_itself_is_skipped_and_says_why() {
    let token = json!({
        "metadata": {"namespace": "web", "name": "t"},
        "type": "kubernetes.io/service-account-token",
    });
    let link =
        json!({"metadata": {"namespace": "web", "name": "l"}, "type": "taffrail.dev/member-link"});
    let deleted = json!({"metadata": {"namespace": "web", "name": "gone",
        "deletionTimestamp": "2026-03-01T00:00:00Z"}});
    let slice_label = "endpointslice.kubernetes.io/managed-by";
    let cases = [
        ("apps/v1", "ReplicaSet", owned(), SkipReason::MadeByWorkload),
        ("apps/v1", "ControllerRevision", owned(), SkipReason::MadeByWorkload),
        ("v1", "ConfigMap", named("kube-root-ca.crt"), SkipReason::MadeForNamespace),
        ("v1", "ServiceAccount", named("default"), SkipReason::MadeForNamespace),
        ("v1", "Secret", token, SkipReason::ServiceAccountToken),
        ("v1", "Secret", link, SkipReason::MemberLink),
        ("v1", "Secret", labelled("taffrail.dev/member-link"), SkipReason::MemberLink),
        ("discovery.k8s.io/v1", "EndpointSlice", labelled(slice_label), SkipReason::MadeForService),
        ("apps/v1", "Deployment", deleted, SkipReason::BeingDeleted),
        ("batch/v1", "Job", controlled("batch/v1", "CronJob"), SkipReason::MadeByWorkload),
    ];
    for (api_version, kind, object, expected) in cases {
        let object = read(api_version, kind, object);
        assert_eq!(reason_skipped(&object, false, |_, _| false), Some(expected), "{kind}");
    }
}

#[test]
fn what_only_looks_like_it_is_placed() {
    let opaque = json!({"metadata": {"namespace": "web", "name": "s"}, "type": "Opaque"});
    let unowned = json!({"metadata": {"namespace": "web", "name": "a", "ownerReferences": []}});
    let cases = [
        ("apps/v1", "ReplicaSet", named("by-hand")),
        ("apps/v1", "ReplicaSet", unowned),
        ("apps/v1", "ControllerRevision", named("by-hand")),
        ("apps/v1", "Deployment", owned()),
        ("apps/v1", "Deployment", controlled("example.com/v1", "App")),
        ("batch/v1", "Job", named("by-hand")),
        ("batch/v1", "Job", owned()),
        ("batch/v1", "Job", controlled("example.com/v1", "CronJob")),
        ("example.com/v1", "ReplicaSet", owned()),
        ("v1", "ConfigMap", named("settings")),
        ("v1", "ConfigMap", named("default")),
        ("v1", "ServiceAccount", named("builder")),
        ("v1", "Secret", opaque),
        ("v1", "Secret", labelled("app")),
        ("v1", "ConfigMap", labelled("taffrail.dev/member-link")),
        ("discovery.k8s.io/v1", "EndpointSlice", labelled("app")),
        ("v1", "Endpoints", named("a")),
        ("v1", "PersistentVolumeClaim", named("data")),
    ];
    for (api_version, kind, object) in cases {
        let object = read(api_version, kind, object);
        assert_eq!(reason_skipped(&object, false, |_, _| false), None, "{kind}");
    }
}

#[test]
fn what_an_api_server_makes_for_itself_is_skipped_and_what_people_made_is_not() {
    let rbac = "rbac.authorization.k8s.io/v1";
    let flow = "flowcontrol.apiserver.k8s.io/v1";
    let label = |key: &str, value: &str| json!({"labels": {key: value}});
    let bootstrap = label("kubernetes.io/bootstrapping", "rbac-defaults");
    let kept_up =
        |value: &str| json!({"annotations": {"apf.kubernetes.io/autoupdate-spec": value}});
    let automanaged = label("kube-aggregator.kubernetes.io/automanaged", "onstart");
    let allocated = label("ipaddress.kubernetes.io/managed-by", "ipallocator");
    let networking = "networking.k8s.io/v1";
    let cases = [
        (rbac, "ClusterRole", "admin", bootstrap.clone(), true),
        (rbac, "ClusterRoleBinding", "admin", bootstrap.clone(), true),
        (rbac, "Role", "reader", bootstrap.clone(), true),
        (rbac, "RoleBinding", "reader", bootstrap.clone(), true),
        (rbac, "ClusterRole", "system:mine", json!({}), false),
        (rbac, "ClusterRole", "mine", label("kubernetes.io/bootstrapping", "mine"), false),
        ("example.com/v1", "ClusterRole", "admin", bootstrap, false),
        ("scheduling.k8s.io/v1", "PriorityClass", "system-node-critical", json!({}), true),
        ("scheduling.k8s.io/v1", "PriorityClass", "systematic", json!({}), false),
        ("apiregistration.k8s.io/v1", "APIService", "v1.apps", automanaged, true),
        ("apiregistration.k8s.io/v1", "APIService", "v1.mine", json!({}), false),
        (flow, "FlowSchema", "exempt", kept_up("true"), true),
        (flow, "PriorityLevelConfiguration", "exempt", kept_up("true"), true),
        (flow, "FlowSchema", "global-default", kept_up("false"), false),
        (networking, "IPAddress", "10.0.0.1", allocated, true),
        (networking, "ServiceCIDR", "kubernetes", json!({}), true),
        (networking, "ServiceCIDR", "more", json!({}), false),
    ];
    for (api_version, kind, name, more, is_skipped) in cases {
        let object = read(api_version, kind, cluster_scoped(name, more));
        let wanted = is_skipped.then_some(SkipReason::MadeByApiServer);
        assert_eq!(object.skip, wanted, "{kind} {name}");
    }
}

#[test]
fn crds_of_the_fleet_are_skipped_and_others_are_not() {
    let crd = |group: &str| {
        let crd =
            json!({"metadata": {"name": format!("things.{group}")}, "spec": {"group": group}});
        read("apiextensions.k8s.io/v1", "CustomResourceDefinition", crd).skip
    };
    assert_eq!(crd("placement.kubernetes-fleet.io"), Some(SkipReason::FleetApi));
    assert_eq!(crd("cluster.kubernetes-fleet.io"), Some(SkipReason::FleetApi));
    assert_eq!(crd("example.com"), None);
}

#[test]
fn of_an_envelope_nothing_is_kept_that_could_be_stored() {
    let envelope = json!({"metadata": {"namespace": "web", "name": "e"},
        "data": {"s.yaml": {"kind": "Secret", "data": {"k": "aHVudGVy"}}}});
    let envelope = read("placement.kubernetes-fleet.io/v1beta1", "ResourceEnvelope", envelope);
    assert_eq!((envelope.skip, envelope.manifest), (Some(SkipReason::Envelope), vec![]));
}

#[test]
fn endpoints_of_a_service_of_the_same_name_are_skipped() {
    let endpoints = read("v1", "Endpoints", named("shop"));
    let services = [("web", "shop")];
    let has_service = |namespace: &str, name: &str| services.contains(&(namespace, name));
    assert_eq!(reason_skipped(&endpoints, false, has_service), Some(SkipReason::MadeForService));

    let by_hand = read("v1", "Endpoints", named("database"));
    assert_eq!(reason_skipped(&by_hand, false, has_service), None);
}

#[test]
fn claims_are_skipped_when_workloads_run_on_the_hub() {
    let claim = read("v1", "PersistentVolumeClaim", named("data"));
    let skipped = reason_skipped(&claim, true, |_, _| false);
    assert_eq!(skipped, Some(SkipReason::ClaimOfHubWorkload));
    let other = read("v1", "ConfigMap", named("data"));
    assert_eq!(reason_skipped(&other, true, |_, _| true), None);
}

#[test]
fn an_object_is_read_with_its_kind_sanitised_and_canonical() {
    let item = json!({
        "metadata": {"name": "a", "namespace": "web", "labels": {"app": "x"}, "uid": "1"},
        "data": {"b": "2", "a": "1"},
    });
    let object = read("v1", "ConfigMap", item);
    let expected = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "web", "labels": {"app": "x"}},
        "data": {"a": "1", "b": "2"},
    });
    assert_eq!(object.manifest, canonical_json(&expected));
    assert_eq!(object.id.to_string(), "ConfigMap web/a");
    assert_eq!(object.labels.get("app").map(String::as_str), Some("x"));
}

#[test]
fn what_only_the_hub_changed_does_not_change_the_manifest() {
    let at = |version: &str, ready: u32| {
        let metadata = json!({"name": "web", "namespace": "web", "resourceVersion": version});
        read("apps/v1", "Deployment", json!({"metadata": metadata, "status": {"ready": ready}}))
    };
    assert_eq!(at("1", 0).manifest, at("2", 3).manifest);
}

#[test]
fn an_object_without_a_name_is_refused() {
    let kind = GroupVersionKind::new("", "v1", "ConfigMap");
    for object in [json!({}), json!([]), json!(null), json!({"metadata": {"generateName": "a-"}})] {
        assert_eq!(HubObject::read(&kind, object), Err(NamelessObject { kind: kind.clone() }));
    }
}

#[test]
fn the_values_of_secrets_do_not_get_into_logs() {
    let secret = json!({"metadata": {"namespace": "web", "name": "s"}, "data": {"k": "aHVudGVy"}});
    let secret = read("v1", "Secret", secret);
    assert_eq!(format!("{secret:?}"), "HubObject(Secret web/s)");
}
