//! Thousands of members in one process: what an idle one costs, and that each is a cluster of
//! its own all the same. A program of its own, since it looks at the memory of the process.

#![allow(clippy::print_stdout, reason = "a test prints what it measured")]

use serde_json::{Value, json};
use simulator::{ClusterHandle, ClusterOptions, Fleet, Request, Response, watch_events};

const MEMBERS: usize = 2_000;

/// What an idle member with three nodes and the member CRD may cost. It measures 39 KiB; were the
/// compiled CRD or the documents not shared, it would be several times as much.
const BYTES_PER_MEMBER_MAX: usize = 96 * 1024;

const CRD: &str =
    include_str!("../../../deploy/crds/placement.kubernetes-fleet.io_appliedworks.yaml");
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// From Linux: what of this process is in memory.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes = line.trim().trim_end_matches(" kB").parse::<usize>().unwrap();
    kibibytes * 1024
}

fn member(fleet: &Fleet, number: usize, crd: &Value) -> ClusterHandle {
    let options = ClusterOptions { seed: number as u64, ..ClusterOptions::default() };
    let name = format!("member-{number}");
    let member = fleet.add_cluster(&name, options.with_nodes(3, 4, 16)).unwrap();
    assert_eq!(member.request(&Request::post(CRDS, crd)).unwrap().status, 201);
    member
}

/// The documents that a client reads first.
fn told(member: &ClusterHandle) -> [bytes::Bytes; 3] {
    let mut aggregated = Request::get("/apis");
    aggregated.accept =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList".to_owned();
    let version = "/openapi/v3/apis/placement.kubernetes-fleet.io/v1beta1";
    [aggregated, Request::get("/apis"), Request::get(version)].map(|request| {
        let reply = member.request(&request).unwrap();
        assert_eq!(reply.status, 200);
        reply.body
    })
}

#[test]
fn thousands_of_members_share_what_is_the_same() {
    let fleet = Fleet::manual("2026-01-01T00:00:00Z".parse().unwrap());
    let crd: Value = serde_yaml_ng::from_str(CRD).unwrap();
    // The first pays for what all share.
    let first = told(&member(&fleet, 0, &crd));
    let before = resident_bytes();
    let members: Vec<ClusterHandle> =
        (1..=MEMBERS).map(|number| member(&fleet, number, &crd)).collect();
    let each = resident_bytes().saturating_sub(before) / MEMBERS;
    println!("{each} bytes for each of {MEMBERS} idle members");
    assert!(each < BYTES_PER_MEMBER_MAX, "{each}");

    for member in [&members[0], &members[MEMBERS / 2], &members[MEMBERS - 1]] {
        let same = first.iter().zip(told(member)).all(|(a, b)| a.as_ptr() == b.as_ptr());
        assert!(same, "documents are shared: {}", member.name());
        let Response::Watch(watch) = member.handle(&Request::get(&format!(
            "{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Da"
        ))) else {
            panic!("a watch was asked for")
        };
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
                         "data": {"where": member.name()}});
        assert_eq!(member.request(&Request::post(CONFIG_MAPS, &map)).unwrap().status, 201);
        let lines = member.with_cluster(|cluster, now| cluster.poll_watch(now, watch)).lines;
        let events = watch_events(&lines);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["object"]["data"]["where"], member.name());
    }
    let others = members[1].request(&Request::get(&format!("{CONFIG_MAPS}/a"))).unwrap();
    assert_eq!(others.status, 404, "a write is for one member alone");
}
