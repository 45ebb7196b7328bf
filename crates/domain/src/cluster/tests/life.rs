//! The whole life of a cluster, as a transcript.

use std::fmt::Write as _;

use events::cluster::LinkProblem;

use super::{
    assign, available, eu_1, link, link_problem, observe, remove, report, unwell, well, withdraw,
};
use crate::cluster::{ClusterCommand, DeliveryOutcome};
use crate::testing::make::failure;

#[test]
fn the_whole_life_of_a_cluster() {
    let failed = DeliveryOutcome::Failed(vec![failure("settings")]);
    let steps: Vec<(&str, ClusterCommand)> = vec![
        ("its MemberCluster object is created", observe("u1", "env=prod", "")),
        ("its kubeconfig is wrong", link_problem(LinkProblem::Unauthorized)),
        ("it is corrected", link("id-eu-1")),
        ("a placement wants it", assign(1, 0)),
        ("a quota is in the way", report(1, failed)),
        ("it goes away", unwell("no answer for 60 s")),
        ("the placement changes meanwhile", assign(2, 1)),
        ("it comes back", well()),
        ("it takes the new revision", available(2)),
        ("somebody relabels it", observe("u1", "env=test", "")),
        ("the placement does not want it any more", withdraw(3)),
        ("it is removed before that is done", remove("u1")),
        ("a late report", available(2)),
        ("it is created again", observe("u2", "env=prod", "")),
        ("it joins", link("id-eu-1")),
        ("the placement wants it again", assign(4, 1)),
        ("it takes it", available(4)),
    ];
    let mut cluster = eu_1();
    let mut transcript = String::new();
    for (what, command) in steps {
        writeln!(transcript, "# {what}").unwrap();
        for line in cluster.when(command) {
            writeln!(transcript, "{line}").unwrap();
        }
    }
    insta::assert_snapshot!(transcript);
}
