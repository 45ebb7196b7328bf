//! The grace period of an unwell member ends by the clock.

use events::Timestamp;

use super::super::{CheckHealthGrace, Cluster, ClusterCommand, ReportCredential};
use super::{joined, unwell, well};
use crate::testing::Scene;
use crate::testing::make::moment;
use crate::{Decider, DomainCommand};

const NOTHING: [&str; 0] = [];
const GRACE: i64 = 300;

fn check() -> ClusterCommand {
    ClusterCommand::CheckHealthGrace(CheckHealthGrace {})
}

fn wakes(cluster: &Scene<Cluster>) -> Option<(Timestamp, DomainCommand)> {
    Cluster::wake_up(&cluster.state).map(|wake_up| (wake_up.at, wake_up.command))
}

#[test]
fn the_end_of_the_grace_period_is_recorded_once() {
    let mut cluster = joined();
    assert_eq!((cluster.when(check()), wakes(&cluster)), (vec![], None), "it is well");
    cluster.now = moment(10);
    cluster.when(unwell("no answer"));
    assert_eq!(wakes(&cluster), Some((moment(10 + GRACE), check().into())));

    cluster.now = moment(10 + GRACE - 1);
    assert_eq!(cluster.when(check()), NOTHING, "too early");
    cluster.now = moment(10 + GRACE);
    let ended = format!("ClusterHealthGraceEnded, unwell since {}", moment(10));
    assert_eq!(cluster.when(check()), [ended]);
    assert_eq!((cluster.when(check()), wakes(&cluster)), (vec![], None));
}

#[test]
fn a_member_that_was_well_in_between_has_the_whole_period_again() {
    let mut cluster = joined().after(unwell("no answer"));
    cluster.now = moment(200);
    let mut cluster = cluster.after(well());
    assert_eq!(wakes(&cluster), None);
    cluster.now = moment(250);
    let mut cluster = cluster.after(unwell("no answer"));
    cluster.now = moment(GRACE);
    assert_eq!(cluster.when(check()), NOTHING);
    assert_eq!(wakes(&cluster), Some((moment(250 + GRACE), check().into())));
}

/// The clock of the one who saw it was wrong: the period is late then, and never early.
#[test]
fn a_time_to_come_ends_nothing() {
    let mut cluster = joined();
    cluster.now = moment(3_600);
    let mut cluster = cluster.after(unwell("no answer"));
    cluster.now = moment(GRACE);
    assert_eq!(cluster.when(check()), NOTHING);
}

#[test]
fn what_is_due_first_wakes_first() {
    let credential = |ends| {
        let expires_at = Some(moment(ends));
        ClusterCommand::ReportCredential(ReportCredential { expires_at })
    };
    let cluster = joined().after(credential(600)).after(unwell("no answer"));
    assert_eq!(wakes(&cluster), Some((moment(GRACE), check().into())));
    let cluster = joined().after(credential(90)).after(unwell("no answer"));
    assert_eq!(wakes(&cluster).unwrap().0, moment(60));
}
