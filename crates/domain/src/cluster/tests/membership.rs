//! Registered, changed, removed, registered again.

use events::PlacementKey;
use events::cluster::{DeliveryAssigned, ORPHANS_PER_EVENT_MAX};

use super::{assign, available, eu_1, joined, link, observe, registered, remove, well};
use crate::cluster::{
    AssignDelivery, Cluster, ClusterCommand, HoldCluster, Membership, ObserveCluster,
    ReleaseOrphans, ReportDelivery,
};
use crate::testing::Scene;
use crate::testing::make::{labels, revision};

const NOTHING: [&str; 0] = [];

#[test]
fn a_cluster_that_is_seen_is_registered_once() {
    let mut cluster = eu_1();
    assert_eq!(
        cluster.when(observe("u1", "env=prod", "gpu=yes")),
        ["ClusterRegistered u1 labels [env=prod] taints [gpu=yes]"]
    );
    assert_eq!(cluster.when(observe("u1", "env=prod", "gpu=yes")), NOTHING);
    assert!(!cluster.state.is_joined());
}

#[test]
fn labels_and_taints_that_move_are_recorded_those_that_stay_are_not() {
    let mut cluster = registered();
    assert_eq!(cluster.when(observe("u1", "env=test", "")), ["ClusterLabelsChanged [env=test]"]);
    assert_eq!(
        cluster.when(observe("u1", "env=test", "gpu=yes")),
        ["ClusterTaintsChanged [gpu=yes]"]
    );
    assert_eq!(
        cluster.when(observe("u1", "", "")),
        ["ClusterLabelsChanged []", "ClusterTaintsChanged []"]
    );
    assert_eq!(cluster.when(observe("u1", "", "")), NOTHING);
}

#[test]
fn a_cluster_leaves_at_once_and_nothing_on_it_is_touched() {
    let mut cluster = joined().after(assign(4, 0)).after(available(4));
    assert_eq!(
        cluster.when(remove("u1")),
        [
            "ClusterLeft, orphaned [cluster/web g4]",
            "-> placement/cluster/web: ReportTarget eu-1 g4 Removed",
            "=> forget cluster/web on eu-1",
        ]
    );
    assert_eq!(cluster.state.membership, Membership::Left);
    assert_eq!(cluster.outstanding(), NOTHING);
    assert_eq!(cluster.when(remove("u1")), NOTHING);
}

#[test]
fn removing_what_was_never_there_does_nothing() {
    assert_eq!(eu_1().when(remove("u1")), NOTHING);
}

#[test]
fn the_deletion_of_an_earlier_object_does_not_remove_the_cluster() {
    let mut cluster = eu_1().after(observe("u2", "", ""));
    assert_eq!(
        cluster.when(remove("u1")),
        ["refused: it is about another MemberCluster object of this name"]
    );
    assert!(cluster.state.member().is_some());
}

#[test]
fn another_object_under_the_name_is_another_membership() {
    let mut cluster = joined().after(assign(4, 0)).after(available(4));
    assert_eq!(
        cluster.when(observe("u2", "env=prod", "")),
        [
            "ClusterLeft, orphaned [cluster/web g4]",
            "-> placement/cluster/web: ReportTarget eu-1 g4 Removed",
            "=> forget cluster/web on eu-1",
            "ClusterRegistered u2 labels [env=prod] taints []",
        ]
    );
    assert!(!cluster.state.is_joined());
    assert!(cluster.state.deliveries.is_empty());
}

#[test]
fn a_cluster_that_left_can_come_back() {
    let mut cluster = joined().after(remove("u1"));
    assert_eq!(
        cluster.when(observe("u2", "env=prod", "")),
        ["ClusterRegistered u2 labels [env=prod] taints []"]
    );
    assert!(!cluster.state.is_joined());
}

#[test]
fn what_is_no_member_cannot_report() {
    let reports = [
        well(),
        super::link("id-eu-1"),
        super::link_problem(events::cluster::LinkProblem::Missing),
    ];
    for report in reports {
        let refused = ["refused: the cluster is not a member"];
        assert_eq!(eu_1().when(report.clone()), refused);
        assert_eq!(joined().after(remove("u1")).when(report), refused);
    }
}

fn numbered(index: usize) -> PlacementKey {
    PlacementKey::cluster(format!("p{index:04}"))
}

/// A member with so many deliveries, each of generation 4.
fn busy(deliveries: usize) -> Scene<Cluster> {
    let assigned = |index| {
        DeliveryAssigned {
            placement: numbered(index),
            generation: 4,
            revision: revision(0, "r0"),
            apply: Default::default(),
        }
        .into()
    };
    joined().given((0..deliveries).map(assigned))
}

fn release(through: usize) -> ClusterCommand {
    ClusterCommand::ReleaseOrphans(ReleaseOrphans { through: numbered(through) })
}

fn starting<'a>(lines: &'a [String], with: &str) -> Vec<&'a str> {
    lines.iter().map(String::as_str).filter(|line| line.starts_with(with)).collect()
}

#[test]
fn a_cluster_with_many_deliveries_lets_go_of_them_in_portions() {
    const PORTION: usize = ORPHANS_PER_EVENT_MAX;
    let mut cluster = busy(2 * PORTION + 10);
    let left = cluster.when(remove("u1"));
    assert_eq!(starting(&left, "-> placement/").len(), PORTION);
    assert_eq!(starting(&left, "=> forget").len(), 2 * PORTION + 10, "everything stops at once");
    assert_eq!(
        starting(&left, "-> cluster/"),
        [
            format!("-> cluster/eu-1: ReleaseOrphans through cluster/p{:04}", 2 * PORTION - 1),
            format!("-> cluster/eu-1: ReleaseOrphans through cluster/p{:04}", 2 * PORTION + 9),
        ]
    );
    assert_eq!(cluster.state.membership, Membership::Left);
    assert_eq!(cluster.outstanding(), NOTHING);

    let released = cluster.when(release(2 * PORTION - 1));
    assert_eq!(starting(&released, "DeliveryRemoved").len(), PORTION);
    assert_eq!(
        released[1],
        format!("-> placement/cluster/p{PORTION:04}: ReportTarget eu-1 g4 Removed")
    );
    assert_eq!(cluster.when(release(2 * PORTION - 1)), NOTHING);
    let released = cluster.when(release(2 * PORTION + 9));
    assert_eq!(starting(&released, "DeliveryRemoved").len(), 10);
    assert!(cluster.state.orphans.is_empty());
}

/// A cluster that comes back at once, and gets a placement again before all that the membership
/// before it held was let go of.
#[test]
fn what_an_earlier_membership_held_does_not_cost_what_this_one_holds() {
    let last = ORPHANS_PER_EVENT_MAX;
    let mut cluster = busy(last + 1).after(remove("u1")).after(observe("u2", "", ""));
    cluster =
        cluster.after(link("id-eu-1")).after(ClusterCommand::AssignDelivery(AssignDelivery {
            placement: numbered(last),
            generation: 5,
            revision: revision(0, "r0"),
            apply: Default::default(),
        }));
    let name = format!("cluster/p{last:04}");
    assert_eq!(
        cluster.when(release(last)),
        [
            format!("DeliveryRemoved {name} g4"),
            format!("-> placement/{name}: ReportTarget eu-1 g4 Removed"),
        ]
    );
    let report = ReportDelivery {
        placement: numbered(last),
        generation: 5,
        outcome: crate::cluster::DeliveryOutcome::Available { untracked: 0 },
        notes: crate::cluster::Notes::default(),
    };
    let told = cluster.when(ClusterCommand::ReportDelivery(report));
    assert_eq!(starting(&told, "DeliveryAvailable").len(), 1);
}

#[test]
fn regression_another_heartbeat_period_is_recorded() {
    let mut cluster = registered();
    let every = |seconds| {
        ClusterCommand::ObserveCluster(ObserveCluster {
            uid: "u1".to_owned(),
            labels: labels("env=prod"),
            taints: vec![],
            heartbeat_period_seconds: seconds,
        })
    };
    assert_eq!(cluster.when(every(60)), NOTHING);
    assert_eq!(cluster.when(every(5)), ["ClusterHeartbeatPeriodChanged 5 s"]);
    assert_eq!(cluster.state.member().unwrap().heartbeat_period_seconds, 5);
    assert_eq!(cluster.when(every(5)), NOTHING);
}

#[test]
fn a_member_whose_object_is_gone_stays_a_member_until_it_is_there_again() {
    let hold = |uid: &str| {
        let (uid, token, message) = (uid.to_owned(), "t1".to_owned(), "it is gone".to_owned());
        ClusterCommand::HoldCluster(HoldCluster { uid, token, message })
    };
    let mut eu_1 = joined();
    assert_eq!(eu_1.when(hold("u1")), ["ClusterHeld u1"]);
    assert_eq!(eu_1.when(hold("u1")), [""; 0]);
    assert!(eu_1.state.is_joined());
    assert_eq!(eu_1.when(observe("u1", "env=prod", "")), ["ClusterHoldEnded"]);
    assert_eq!(
        eu_1.when(hold("u2")),
        ["refused: it is about another MemberCluster object of this name"]
    );
    assert_eq!(super::eu_1().when(hold("u1")), ["refused: the cluster is not a member"]);
}
