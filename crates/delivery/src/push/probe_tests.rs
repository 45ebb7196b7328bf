use serde_json::json;

use super::*;

#[test]
fn what_pods_on_nodes_asked_for_is_not_available() {
    let mut allocatable = Amounts::new();
    for _ in 0..2 {
        add(&mut allocatable, &json!({ "cpu": "3920m", "memory": "8Gi", "pods": "110" }));
    }
    let requests = |cpu: &str, memory: &str| json!({ "resources": { "requests": { "cpu": cpu, "memory": memory } } });
    let pods = [
        json!({ "spec": {
            "nodeName": "n1", "containers": [requests("500m", "1Gi"), requests("340m", "512Mi")],
        } }),
        json!({ "spec": { "nodeName": "n2", "containers": [{ "name": "no-requests" }] } }),
        json!({ "spec": { "containers": [requests("100", "100Gi")] } }),
    ];
    let available = minus_requests(allocatable, &pods);
    assert_eq!(
        written(&available),
        BTreeMap::from([("cpu".into(), "7".into()), ("memory".into(), "14848Mi".into())])
    );
}

#[test]
fn amounts_are_told_by_their_public_names() {
    let mut probe = Probe::default();
    let mut amounts = Amounts::new();
    add(&mut amounts, &json!({ "cpu": "4", "memory": "16Gi" }));
    tell(&mut probe, "total", &amounts);
    assert_eq!(
        probe.properties,
        BTreeMap::from([
            ("resources.kubernetes-fleet.io/total-cpu".into(), "4".into()),
            ("resources.kubernetes-fleet.io/total-memory".into(), "16Gi".into()),
        ])
    );
}

#[test]
fn the_checks_that_failed_are_named() {
    let answer = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n[-]informer-sync failed: \
                  reason withheld\nreadyz check failed\n";
    assert_eq!(failed_checks(answer), ": etcd, informer-sync");
    assert_eq!(failed_checks("the server is unable to handle the request"), "");
}
