use domain::Decider as _;
use domain::cluster::Cluster;
use events::cluster::{
    ClusterCredentialChanged, ClusterCredentialExpiring, ClusterEvent, ClusterHealthLost,
    ClusterHealthRestored, ClusterJoined, ClusterLeft, ClusterLinkFailed, ClusterRegistered,
    LinkProblem,
};

use super::*;

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A cluster to which this happened, one each second.
fn after(happened: impl IntoIterator<Item = ClusterEvent>) -> ClusterState {
    let registered = ClusterRegistered {
        uid: "uid".to_owned(),
        labels: BTreeMap::new(),
        taints: vec![],
        heartbeat_period_seconds: 60,
    };
    let mut state = ClusterState::default();
    let all = std::iter::once(registered.into()).chain(happened);
    for (second, event) in (0..).zip(all) {
        Cluster::evolve(&mut state, &event, moment(second));
    }
    state
}

fn joined() -> ClusterEvent {
    let (identity, kubernetes_version) = ("id".to_owned(), "v1.36.4".to_owned());
    ClusterJoined { identity, kubernetes_version, taken_from: None }.into()
}

fn link_failed(message: &str) -> ClusterEvent {
    let message = message.to_owned();
    ClusterLinkFailed { problem: LinkProblem::Unauthorized, message }.into()
}

fn health_lost(message: &str) -> ClusterEvent {
    ClusterHealthLost { message: message.to_owned() }.into()
}

fn inputs(state: &ClusterState) -> MemberStatusInputs<'_> {
    MemberStatusInputs {
        name: "eu-1",
        generation: 3,
        state,
        probe: None,
        shown: None,
        now: moment(1_000),
    }
}

/// A member that says this about itself, with that much of its CPU free.
fn probe(at: i64, free: Option<&str>) -> LastProbe {
    let amount = |amount: &str| BTreeMap::from([("cpu".to_owned(), amount.to_owned())]);
    let mut properties = BTreeMap::from([
        ("kubernetes-fleet.io/node-count".to_owned(), "2".to_owned()),
        ("resources.kubernetes-fleet.io/total-cpu".to_owned(), "8".to_owned()),
    ]);
    properties.extend(
        free.map(|free| {
            ("resources.kubernetes-fleet.io/available-cpu".to_owned(), free.to_owned())
        }),
    );
    let usage = delivery::ResourceUsage {
        age: std::time::Duration::from_secs(7),
        capacity: amount("8"),
        allocatable: amount("8"),
        available: free.map(amount).unwrap_or_default(),
    };
    let seen = delivery::Probe {
        ready: true,
        properties,
        usage: Some(usage),
        incomplete: free
            .is_none()
            .then(|| "pods: it answers with 403".to_owned())
            .into_iter()
            .collect(),
        ..delivery::Probe::default()
    };
    LastProbe { at: moment(at), seen }
}

/// Conditions as one line each: type, status, reason, message.
fn lines(conditions: &[Condition]) -> Vec<String> {
    let line = |c: &Condition| {
        assert_eq!(c.observed_generation, Some(3), "{}", c.type_);
        format!("{} {} {}: {}", c.type_, c.status, c.reason, c.message)
    };
    conditions.iter().map(line).collect()
}

/// The conditions of a member, and those of its agent.
fn shown(state: &ClusterState) -> (Vec<String>, Vec<String>) {
    let status = member_status(&inputs(state));
    let [agent] = &status.agent_status[..] else { panic!("{:?}", status.agent_status) };
    assert_eq!(agent.agent_type, MEMBER_AGENT);
    (lines(&status.conditions), lines(&agent.conditions))
}

const READY: &str = "ReadyToJoin True MemberClusterReadyToJoin: the hub knows the cluster";
const JOINED: &str = "Joined True MemberClusterJoined: the cluster has joined the fleet";
const AGENT_JOINED: &str =
    "Joined True InternalMemberClusterJoined: the cluster has joined the fleet";

#[test]
fn a_cluster_joins() {
    let (member, agent) = shown(&after([]));
    let unknown = "Joined Unknown MemberClusterJoinStateUnknown: the cluster is being asked for \
                   the first time";
    assert_eq!(member, [READY, unknown]);
    assert_eq!(agent, [""; 0]);

    let (member, agent) = shown(&after([link_failed("renew it")]));
    assert_eq!(member, [READY, "Joined Unknown MemberClusterJoinStateUnknown: renew it"]);
    assert_eq!(agent, ["Joined False InternalMemberClusterFailedToJoin: renew it"]);

    let (member, agent) = shown(&after([joined()]));
    let healthy = "Healthy True InternalMemberClusterHealthy: the cluster answers that it is well";
    assert_eq!(member, [READY, JOINED]);
    assert_eq!(agent, [AGENT_JOINED, healthy]);
}

#[test]
fn a_credential_that_ends_soon_is_shown_until_there_is_another() {
    let changed = |at| ClusterCredentialChanged { expires_at: Some(moment(at)) }.into();
    let expiring = ClusterCredentialExpiring { expires_at: moment(60) };
    assert_eq!(shown(&after([joined(), changed(60)])).0, [READY, JOINED]);
    let told = "CredentialExpiring True CredentialExpiresSoon: the credential of the link ends at \
                1970-01-01T00:01:00Z; renew it with: taffrail join eu-1 --member-kubeconfig FILE";
    let soon = [joined(), changed(60), expiring.into()];
    assert_eq!(shown(&after(soon.clone())).0, [READY, JOINED, told]);
    let renewed = soon.into_iter().chain([changed(600)]);
    assert_eq!(shown(&after(renewed)).0, [READY, JOINED]);
}

#[test]
fn a_member_falls_ill_recovers_and_leaves() {
    let ill = |events: &[ClusterEvent]| shown(&after([&[joined()], events].concat()));
    let unhealthy = |why| format!("Healthy False InternalMemberClusterUnhealthy: {why}");
    let (member, agent) = ill(&[health_lost("etcd is slow")]);
    assert_eq!(member, [READY, JOINED]);
    assert_eq!(agent, [AGENT_JOINED.to_owned(), unhealthy("etcd is slow")]);
    // What is wrong with its link says more than that it is unwell.
    let (_, agent) = ill(&[link_failed("renew it"), health_lost("no answer")]);
    assert_eq!(agent, [AGENT_JOINED.to_owned(), unhealthy("renew it")]);
    let (_, agent) = ill(&[health_lost("etcd is slow"), ClusterHealthRestored {}.into()]);
    assert!(agent[1].starts_with("Healthy True"), "{agent:?}");

    let (member, agent) = ill(&[ClusterLeft { orphaned: vec![] }.into()]);
    let left = "the cluster has left the fleet";
    let stays = "; what was placed on it stays there";
    assert_eq!(member, [format!("Joined False MemberClusterLeft: {left}{stays}")]);
    assert_eq!(agent, [format!("Joined False InternalMemberClusterLeft: {left}")]);
}

#[test]
fn a_condition_keeps_the_time_of_its_last_change() {
    let state = after([joined()]);
    let first = member_status(&MemberStatusInputs { now: moment(10), ..inputs(&state) });
    let again = member_status(&MemberStatusInputs { shown: Some(&first), ..inputs(&state) });
    assert_eq!(again, first);
}

#[test]
fn usage_is_that_of_the_last_answer_whatever_is_on_record() {
    let state = after([joined()]);
    let status = |probe: &LastProbe, shown: Option<&MemberClusterStatus>| {
        member_status(&MemberStatusInputs { probe: Some(probe), shown, ..inputs(&state) })
    };
    let first = status(&probe(100, Some("6")), None);
    let usage = first.resource_usage.clone().unwrap();
    assert_eq!(usage.available["cpu"], Quantity("6".to_owned()));
    assert_eq!(usage.observation_time, Some(time(moment(93))), "when the pods were counted");
    assert_eq!(first.agent_status[0].last_received_heartbeat, Some(time(moment(100))));
    let collected = "ClusterPropertyCollectionSucceeded True PropertiesCollected: the properties \
                     of the cluster are collected";
    assert_eq!(lines(&first.conditions)[2], collected);

    let second = status(&probe(160, Some("5")), Some(&first));
    assert_eq!(second.resource_usage.as_ref().unwrap().available["cpu"], Quantity("5".to_owned()));
    let count = &second.properties["kubernetes-fleet.io/node-count"];
    assert_eq!((count.value.as_str(), &count.observation_time), ("2", &time(moment(100))));
    assert_eq!(second.properties.len(), 1, "amounts are in the usage");

    // What is no longer collected is not shown as if it were.
    let third = status(&probe(220, None), Some(&second));
    assert!(third.resource_usage.as_ref().unwrap().available.is_empty());
    let incomplete = "ClusterPropertyCollectionSucceeded False PropertiesIncomplete: pods: it \
                      answers with 403";
    assert_eq!(lines(&third.conditions)[2], incomplete);

    // A hub that has not asked yet shows what was shown.
    let restarted = member_status(&MemberStatusInputs { shown: Some(&second), ..inputs(&state) });
    assert_eq!(restarted.resource_usage, second.resource_usage);
    assert_eq!(restarted.properties, second.properties);
    assert_eq!(restarted.agent_status, second.agent_status);
}
