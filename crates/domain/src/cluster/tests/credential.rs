//! The credential of a link: somebody is told before it ends.

use events::Timestamp;

use super::super::{CheckCredential, Cluster, ClusterCommand, ReportCredential};
use super::{joined, registered};
use crate::Decider;
use crate::testing::make::moment;

const NOTHING: [&str; 0] = [];
const DAY: i64 = 24 * 60 * 60;

fn credential(expires_at: Option<Timestamp>) -> ClusterCommand {
    ClusterCommand::ReportCredential(ReportCredential { expires_at })
}

fn check() -> ClusterCommand {
    ClusterCommand::CheckCredential(CheckCredential {})
}

fn wakes_at(cluster: &crate::testing::Scene<Cluster>) -> Option<Timestamp> {
    Cluster::wake_up(&cluster.state).map(|wake_up| {
        assert_eq!(wake_up.command, check().into());
        wake_up.at
    })
}

#[test]
fn a_credential_is_told_of_a_week_before_it_ends_and_once() {
    let mut cluster = joined();
    assert_eq!(wakes_at(&cluster), None);
    let ends = moment(90 * DAY);
    let seen = [format!("ClusterCredentialChanged, ends {ends}")];
    assert_eq!(cluster.when(credential(Some(ends))), seen);
    assert_eq!(cluster.when(credential(Some(ends))), NOTHING);
    assert_eq!(wakes_at(&cluster), Some(moment(83 * DAY)));

    cluster.now = moment(83 * DAY - 1);
    assert_eq!(cluster.when(check()), NOTHING, "too early");
    cluster.now = moment(84 * DAY);
    assert_eq!(cluster.when(check()), [format!("ClusterCredentialExpiring, ends {ends}")]);
    assert_eq!(cluster.when(check()), NOTHING);
    assert_eq!(wakes_at(&cluster), None);
}

#[test]
fn one_that_lives_for_minutes_is_told_of_in_its_last_third() {
    let cluster = joined().after(credential(Some(moment(600))));
    assert_eq!(wakes_at(&cluster), Some(moment(400)));
}

#[test]
fn one_that_has_ended_is_told_of_at_once() {
    let cluster = joined().after(credential(Some(moment(-5))));
    assert_eq!(wakes_at(&cluster), Some(moment(-5)));
}

#[test]
fn a_new_credential_begins_anew_and_one_without_an_end_is_not_told_of() {
    let mut cluster = joined().after(credential(Some(moment(600))));
    cluster.now = moment(500);
    let mut cluster = cluster.after(check());
    assert_eq!(wakes_at(&cluster), None);
    let renewed = moment(500 + 600);
    assert_eq!(
        cluster.when(credential(Some(renewed))),
        [format!("ClusterCredentialChanged, ends {renewed}")]
    );
    assert_eq!(wakes_at(&cluster), Some(moment(900)));
    assert_eq!(cluster.when(credential(None)), ["ClusterCredentialChanged, without an end"]);
    assert_eq!(wakes_at(&cluster), None);
    assert_eq!(cluster.when(check()), NOTHING);
}

#[test]
fn a_cluster_that_is_gone_is_not_woken_up() {
    let cluster = registered().after(credential(Some(moment(600)))).after(super::remove("u1"));
    assert_eq!(wakes_at(&cluster), None);
}
