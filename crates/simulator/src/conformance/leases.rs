//! Leases, as leaders and kubelets use them.

use serde_json::json;

use super::name_cases;
use super::server::{Server, text};

name_cases![leases_are_renewed_by_whoever_saw_them_last, leases_are_checked, leases_are_applied];

async fn leases_are_renewed_by_whoever_saw_them_last(server: Server) {
    let leases = server.grouped("coordination.k8s.io/v1", "leases");
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "l"}, "spec": {"holderIdentity": "one", "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T00:00:00.123456Z",
            "renewTime": "2026-01-01T00:00:00.123456Z", "leaseTransitions": 0}});
    let made = server.post(&leases, &lease).await.ok();
    assert_eq!(made["spec"], lease["spec"]);
    assert!(made["metadata"].get("generation").is_none());

    let path = format!("{leases}/l");
    let mut renewed = made.clone();
    renewed["spec"]["renewTime"] = json!("2026-01-01T00:00:05.000000Z");
    let renewed = server.put(&path, &renewed).await.ok();
    assert_eq!(renewed["spec"]["renewTime"], "2026-01-01T00:00:05.000000Z");
    let mut taken = made.clone();
    taken["spec"]["holderIdentity"] = json!("two");
    server.put(&path, &taken).await.fails(409, "Conflict");
    taken["metadata"].as_object_mut().expect("metadata").remove("resourceVersion");
    let status = server.put(&path, &taken).await.fails(422, "Invalid");
    assert_eq!(status["details"]["causes"][0]["field"], "metadata.resourceVersion");

    let mut table = "application/json;as=Table;v=v1;g=meta.k8s.io".to_owned();
    table.push_str(",application/json");
    let table = server.get_as(&path, &table).await.ok();
    assert_eq!(table["rows"][0]["cells"][0], "l");
    assert_eq!(table["rows"][0]["cells"][1], "one");
}

async fn leases_are_checked(server: Server) {
    let leases = server.grouped("coordination.k8s.io/v1", "leases");
    let cases = [
        (json!({"leaseDurationSeconds": 0}), "spec.leaseDurationSeconds"),
        (json!({"leaseTransitions": -1}), "spec.leaseTransitions"),
    ];
    for (spec, field) in cases {
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "l"}, "spec": spec});
        let status = server.post(&leases, &lease).await.fails(422, "Invalid");
        assert_eq!(status["details"]["causes"][0]["field"], field);
        assert_eq!(status["details"]["kind"], "Lease");
    }
}

async fn leases_are_applied(server: Server) {
    let leases = server.grouped("coordination.k8s.io/v1", "leases");
    let lease = |holder: &str| {
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "l"}, "spec": {"holderIdentity": holder}})
    };
    let path = |manager: &str| format!("{leases}/l?fieldManager={manager}");
    server.apply(&path("one"), &lease("one")).await.ok();
    let status = server.apply(&path("two"), &lease("two")).await.fails(409, "Conflict");
    assert_eq!(text(&status, "/details/causes/0/field"), ".spec.holderIdentity");
    let forced = format!("{}&force=true", path("two"));
    assert_eq!(server.apply(&forced, &lease("two")).await.ok()["spec"]["holderIdentity"], "two");
}
