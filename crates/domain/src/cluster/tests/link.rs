//! The link of a cluster: where it leads, and how it is.

use events::cluster::{ClusterJoined, ClusterRegistered, LinkProblem};
use events::event::ClusterEvent;

use super::{
    ClusterCommand, ReportLink, ReportLinkProblem, assign, available, health, joined, link,
    link_problem, registered, seen, unwell, well, withdraw,
};
use crate::ClusterView;
use crate::cluster::Unhealthy;
use crate::testing::Scene;
use crate::testing::make::moment;

const NOTHING: [&str; 0] = [];

/// Another member with this identity.
fn other_member(cluster: &mut Scene<crate::cluster::Cluster>, name: &str, identity: &str) {
    let view = ClusterView { identity: Some(identity.to_owned()), ..ClusterView::default() };
    cluster.fleet.clusters.insert(name.to_owned(), view);
}

/// Another member that joined as the same cluster.
fn other_joined(cluster: &mut Scene<crate::cluster::Cluster>, name: &str, at: i64) {
    other_member(cluster, name, "id-eu-1");
    cluster.fleet.clusters.get_mut(name).unwrap().joined_at = Some(moment(at));
}

#[test]
fn a_cluster_joins_with_its_first_working_link() {
    let mut cluster = registered();
    cluster.now = moment(5);
    assert_eq!(cluster.when(link("id-eu-1")), ["ClusterJoined id-eu-1 v1.36.4"]);
    assert_eq!(cluster.when(link("id-eu-1")), NOTHING);
    let member = cluster.state.member().unwrap();
    assert_eq!(member.joined_at, Some(moment(5)));
}

#[test]
fn a_link_to_the_hub_itself_does_not_join() {
    let mut cluster = registered();
    assert_eq!(cluster.when(link("id-hub")), ["ClusterLinkFailed IsHub"]);
    assert_eq!(cluster.when(link("id-hub")), NOTHING);
    assert!(!cluster.state.is_joined());
}

#[test]
fn a_link_to_a_member_of_another_name_does_not_join() {
    let mut cluster = registered();
    other_member(&mut cluster, "eu-2", "id-eu-1");
    assert_eq!(cluster.when(link("id-eu-1")), ["ClusterLinkFailed DuplicateOf eu-2"]);
    assert_eq!(cluster.when(link("id-eu-1")), NOTHING);
    let failure = cluster.state.member().unwrap().link_failure.clone().unwrap();
    assert!(failure.message.contains("eu-2"), "{}", failure.message);

    cluster.fleet.clusters.clear();
    assert_eq!(cluster.when(link("id-eu-1")), ["ClusterJoined id-eu-1 v1.36.4"]);
}

#[test]
fn a_member_keeps_its_place_when_a_later_one_has_its_identity() {
    let mut cluster = joined();
    other_joined(&mut cluster, "eu-2", 5);
    assert_eq!(cluster.when(link("id-eu-1")), NOTHING);
}

/// Both names joined before either could see the other.
#[test]
fn regression_of_two_names_for_one_cluster_the_first_to_join_stays() {
    let mut first = joined();
    first.now = moment(9);
    other_joined(&mut first, "eu-2", 5);
    assert_eq!(first.when(link("id-eu-1")), NOTHING, "it joined at 0");

    let mut second = joined().after(assign(1, 0));
    other_joined(&mut second, "eu-0", 0);
    let gone = [
        "ClusterLeft, orphaned [cluster/web g1]",
        "-> placement/cluster/web: ReportTarget eu-1 g1 Removed",
        "=> forget cluster/web on eu-1",
        "ClusterRegistered u1 labels [env=prod] taints []",
        "ClusterLinkFailed DuplicateOf eu-0",
    ];
    assert_eq!(second.when(link("id-eu-1")), gone, "of the same moment, the name decides");
    assert_eq!(second.when(link("id-eu-1")), NOTHING);
    assert!(!second.state.is_joined());
}

#[test]
fn its_own_entry_in_the_view_is_no_duplicate() {
    let mut cluster = registered();
    other_member(&mut cluster, "eu-1", "id-eu-1");
    assert_eq!(cluster.when(link("id-eu-1")), ["ClusterJoined id-eu-1 v1.36.4"]);
}

#[test]
fn a_problem_with_the_link_is_recorded_once() {
    let mut cluster = registered();
    let unauthorized = || link_problem(LinkProblem::Unauthorized);
    assert_eq!(cluster.when(unauthorized()), ["ClusterLinkFailed Unauthorized"]);
    assert_eq!(cluster.when(unauthorized()), NOTHING);
    assert_eq!(
        cluster.when(link_problem(LinkProblem::Unreachable)),
        ["ClusterLinkFailed Unreachable"]
    );
    assert_eq!(cluster.when(link("id-eu-1")), ["ClusterJoined id-eu-1 v1.36.4"]);
    assert_eq!(cluster.state.member().unwrap().link_failure, None);
}

#[test]
fn a_member_whose_link_breaks_is_unwell_until_it_works_again() {
    let mut cluster = joined();
    assert_eq!(
        cluster.when(link_problem(LinkProblem::Unreachable)),
        ["ClusterLinkFailed Unreachable", "ClusterHealthLost: the link is broken"]
    );
    assert_eq!(cluster.when(link_problem(LinkProblem::Unreachable)), NOTHING);
    assert_eq!(cluster.when(link("id-eu-1")), ["ClusterJoined id-eu-1 v1.36.4"]);
    let member = cluster.state.member().unwrap();
    assert_eq!((&member.unhealthy, &member.link_failure), (&None, &None));
}

#[test]
fn a_member_that_answers_again_has_a_working_link() {
    let mut cluster = joined().after(link_problem(LinkProblem::Unreachable));
    assert_eq!(cluster.when(well()), ["ClusterHealthRestored"]);
    assert_eq!(cluster.state.member().unwrap().link_failure, None);
    assert_eq!(cluster.when(link("id-eu-1")), NOTHING);
}

#[test]
fn only_the_edges_of_health_are_recorded() {
    let mut cluster = joined();
    assert_eq!(cluster.when(well()), NOTHING);
    cluster.now = moment(10);
    assert_eq!(cluster.when(unwell("readyz says no")), ["ClusterHealthLost: readyz says no"]);
    cluster.now = moment(20);
    assert_eq!(cluster.when(unwell("no answer")), NOTHING);
    let unhealthy = cluster.state.member().unwrap().unhealthy.clone();
    let message = "readyz says no".to_owned();
    assert_eq!(unhealthy, Some(Unhealthy { since: moment(10), message, is_grace_over: false }));
    assert_eq!(cluster.when(well()), ["ClusterHealthRestored"]);
    assert_eq!(cluster.when(well()), NOTHING);
}

#[test]
fn properties_are_recorded_when_they_move() {
    let mut cluster = joined();
    let nodes = |count: &str| health(true, "", Some(&format!("nodes={count}")));
    assert_eq!(cluster.when(nodes("3")), ["ClusterPropertiesChanged [nodes=3]"]);
    assert_eq!(cluster.when(nodes("3")), NOTHING);
    assert_eq!(
        cluster.when(health(false, "dying", Some("nodes=2"))),
        ["ClusterHealthLost: dying", "ClusterPropertiesChanged [nodes=2]"]
    );
    assert_eq!(cluster.when(unwell("silent")), NOTHING, "no answer says nothing about properties");
}

/// What is free on a member moves with every pod that comes or goes.
#[test]
fn regression_small_moves_of_amounts_are_no_events() {
    let free = |cpu: &str| health(true, "", Some(&format!("available-cpu={cpu}")));
    let mut cluster = joined().after(free("40"));
    assert_eq!(cluster.when(free("37")), NOTHING);
    assert_eq!(cluster.when(free("43500m")), NOTHING, "compared with what is on record");
    assert_eq!(cluster.when(free("36")), ["ClusterPropertiesChanged [available-cpu=36]"]);
    let more = health(true, "", Some("available-cpu=36 version=v1.36.4"));
    assert_eq!(
        cluster.when(more),
        ["ClusterPropertiesChanged [available-cpu=36, version=v1.36.4]"]
    );
    let newer = health(true, "", Some("available-cpu=36 version=v1.36.5"));
    assert_eq!(
        cluster.when(newer),
        ["ClusterPropertiesChanged [available-cpu=36, version=v1.36.5]"]
    );
}

#[test]
fn another_message_is_told_where_it_says_what_to_mend() {
    let problem = |problem, message: &str| {
        let message = message.to_owned();
        ClusterCommand::ReportLinkProblem(ReportLinkProblem {
            problem,
            message,
            is_new_link: false,
        })
    };
    let mut cluster = registered();
    let told = ["ClusterLinkFailed InvalidKubeconfig"];
    assert_eq!(cluster.when(problem(LinkProblem::InvalidKubeconfig, "no context")), told);
    assert_eq!(cluster.when(problem(LinkProblem::InvalidKubeconfig, "no context")), NOTHING);
    assert_eq!(cluster.when(problem(LinkProblem::InvalidKubeconfig, "no user")), told);
    let told = ["ClusterLinkFailed Unreachable"];
    assert_eq!(cluster.when(problem(LinkProblem::Unreachable, "timed out")), told);
    assert_eq!(cluster.when(problem(LinkProblem::Unreachable, "refused")), NOTHING);
}

#[test]
fn regression_what_is_said_of_another_link_is_told() {
    let unreachable = |message: &str, is_new_link| {
        let (problem, message) = (LinkProblem::Unreachable, message.to_owned());
        ClusterCommand::ReportLinkProblem(ReportLinkProblem { problem, message, is_new_link })
    };
    let told = ["ClusterLinkFailed Unreachable"];
    let mut cluster = registered();
    assert_eq!(cluster.when(unreachable("https://a: refused", true)), told);
    assert_eq!(cluster.when(unreachable("https://a: timed out", false)), NOTHING);
    assert_eq!(cluster.when(unreachable("https://a: refused", true)), NOTHING, "the same again");
    assert_eq!(cluster.when(unreachable("https://b: refused", true)), told);
    assert_eq!(cluster.when(unreachable("https://b: refused", false)), NOTHING);
}

#[test]
fn what_is_outstanding_is_tried_again_when_a_member_is_back() {
    let mut cluster = joined().after(assign(1, 0)).after(unwell("away"));
    assert_eq!(
        cluster.when(well()),
        ["ClusterHealthRestored", "=> deliver cluster/web on eu-1 g1 r0"]
    );
    let mut cluster = cluster.after(available(1)).after(unwell("away"));
    assert_eq!(cluster.when(well()), ["ClusterHealthRestored"]);

    let mut cluster = cluster.after(link_problem(LinkProblem::Unauthorized)).after(withdraw(2));
    assert_eq!(
        cluster.when(link("id-eu-1")),
        ["ClusterJoined id-eu-1 v1.36.4", "=> withdraw cluster/web on eu-1 g2 after [r0]"]
    );
}

/// The credential was replaced, and the address now leads to a cluster that holds nothing: rebuilt,
/// or the wrong one.
#[test]
fn regression_a_link_that_leads_to_another_cluster_waits_for_somebody_to_confirm_it() {
    let mut cluster = joined().after(assign(4, 0)).after(available(4));
    assert_eq!(
        cluster.when(link("id-rebuilt")),
        ["ClusterLinkFailed OtherCluster id-rebuilt".to_owned(), lost(&cluster)]
    );
    assert_eq!(cluster.when(link("id-rebuilt")), NOTHING);
    let message = cluster.state.member().unwrap().link_failure.clone().unwrap().message;
    for named in ["id-rebuilt", "id-eu-1", "taffrail join eu-1 --replace", "confirmed-cluster="] {
        assert!(message.contains(named), "{named}: {message}");
    }
    let for_another = ReportLink { confirmed: Some("id-eu-7".to_owned()), ..seen("id-rebuilt") };
    assert_eq!(cluster.when(ClusterCommand::ReportLink(for_another)), NOTHING);

    let confirmed = ReportLink { confirmed: Some("id-rebuilt".to_owned()), ..seen("id-rebuilt") };
    let confirmed = ClusterCommand::ReportLink(confirmed);
    assert_eq!(
        cluster.when(confirmed.clone()),
        [
            "ClusterLeft, orphaned [cluster/web g4]",
            "-> placement/cluster/web: ReportTarget eu-1 g4 Removed",
            "=> forget cluster/web on eu-1",
            "ClusterRegistered u1 labels [env=prod] taints []",
            "ClusterJoined id-rebuilt v1.36.4",
        ]
    );
    assert_eq!(cluster.when(confirmed), NOTHING);
}

/// The message with which a member fell ill last.
fn lost(cluster: &Scene<crate::cluster::Cluster>) -> String {
    let message = cluster.state.member().unwrap().unhealthy.clone().unwrap().message;
    format!("ClusterHealthLost: {message}")
}

#[test]
fn a_link_that_leads_home_again_needs_nobody_to_confirm_it() {
    let mut cluster = joined().after(assign(4, 0)).after(available(4)).after(link("id-wrong"));
    assert_eq!(cluster.when(link("id-eu-1")), ["ClusterJoined id-eu-1 v1.36.4"]);
    assert!(cluster.state.deliveries.len() == 1, "nothing was moved");
}

#[test]
fn whom_a_cluster_was_taken_over_from_is_recorded_once() {
    let taken = || ReportLink { taken_from: Some("theirs".to_owned()), ..seen("id-eu-1") };
    let taken = || ClusterCommand::ReportLink(taken());
    let theirs = || link_problem(LinkProblem::OtherDeployment("theirs".to_owned()));
    let mut cluster = registered();
    assert_eq!(cluster.when(theirs()), ["ClusterLinkFailed OtherDeployment theirs"]);
    assert!(!cluster.state.is_joined());
    assert_eq!(cluster.when(taken()), ["ClusterJoined id-eu-1 v1.36.4 from theirs"]);
    assert_eq!(cluster.when(taken()), NOTHING);

    let mut cluster = cluster.after(link_problem(LinkProblem::Unreachable));
    assert_eq!(cluster.when(taken()), ["ClusterJoined id-eu-1 v1.36.4"], "it was away");
    let mut cluster = cluster.after(theirs());
    assert_eq!(cluster.when(taken()), ["ClusterJoined id-eu-1 v1.36.4 from theirs"]);
}

#[test]
fn evolve_takes_events_in_any_order() {
    let joined = ClusterEvent::ClusterJoined(ClusterJoined {
        identity: "id".to_owned(),
        kubernetes_version: "v1".to_owned(),
        taken_from: None,
    });
    let registered = ClusterEvent::ClusterRegistered(ClusterRegistered {
        uid: "u1".to_owned(),
        labels: [].into(),
        taints: vec![],
        heartbeat_period_seconds: 60,
    });
    assert!(!super::eu_1().given([joined.clone()]).state.is_joined());
    assert!(super::eu_1().given([registered, joined]).state.is_joined());
}
