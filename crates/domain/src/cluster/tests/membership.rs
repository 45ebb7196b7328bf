//! Registered, changed, removed, registered again.

use super::{assign, available, eu_1, joined, observe, registered, remove, well};
use crate::cluster::Membership;

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
