//! What is noted of single objects, and what comes of it.

use events::cluster::{Note, ObjectNote};

use super::{assign, joined, removal_with, report_with, withdraw};
use crate::cluster::{DeliveryOutcome, Notes};
use crate::testing::make::failure;

const AVAILABLE: DeliveryOutcome = DeliveryOutcome::Available { untracked: 0 };

fn notes(notes: &[(&str, Note)]) -> Notes {
    let note = |(name, note): &(&str, Note)| ObjectNote {
        object: failure(name).object,
        note: note.clone(),
    };
    Notes { notes: notes.iter().map(note).collect(), more: 0 }
}

fn kept() -> Note {
    Note::Kept { why: "Boat shop/one is placed".to_owned() }
}

#[test]
fn what_was_adopted_is_noted_once() {
    let adopted = || notes(&[("a", Note::Adopted)]);
    let mut cluster = joined().after(assign(1, 0));
    let told = cluster.when(report_with(1, AVAILABLE, adopted()));
    let noted =
        "DeliveryNoted cluster/web g1: ConfigMap shop/a adopted: it was on the member before";
    assert_eq!(
        told[..3],
        ["DeliveryApplied cluster/web g1", noted, "DeliveryAvailable cluster/web g1, 0 untracked"]
    );
    let remark = "(ConfigMap shop/a was on the member before and is adopted)";
    assert!(told.iter().any(|line| line.ends_with(remark)), "{told:?}");
    assert_eq!(cluster.when(report_with(1, AVAILABLE, adopted())), [""; 0]);

    // A later assignment knows it still, and so does the withdrawal.
    let mut cluster = cluster.after(assign(2, 1));
    let told = cluster.when(report_with(2, AVAILABLE, adopted()));
    assert!(told.iter().all(|line| !line.starts_with("DeliveryNoted")), "{told:?}");
}

#[test]
fn what_is_kept_is_an_order_s_business_until_it_is_gone() {
    let mut cluster = joined().after(assign(1, 0)).after(report_with(1, AVAILABLE, notes(&[])));
    cluster = cluster.after(assign(2, 1));
    let told = cluster.when(report_with(2, AVAILABLE, notes(&[("crd", kept())])));
    assert!(
        told.contains(
            &"DeliveryNoted cluster/web g2: ConfigMap shop/crd kept: Boat shop/one is placed"
                .to_owned()
        )
    );
    let remark = "ConfigMap shop/crd is not selected any more and is kept while its objects are \
                  placed";
    assert!(told.iter().any(|line| line.contains(remark)), "{told:?}");

    let told = cluster.when(assign(3, 2));
    let order = "=> deliver cluster/web on eu-1 g3 r2 after [r1] and [ConfigMap shop/crd]";
    assert!(told.contains(&order.to_owned()), "{told:?}");
    let told = cluster.when(report_with(3, AVAILABLE, notes(&[])));
    assert!(!told.iter().any(|line| line.contains("kept")), "{told:?}");
    let told = cluster.when(withdraw(4));
    assert!(told.iter().all(|line| !line.contains("crd")), "{told:?}");
}

#[test]
fn what_is_kept_goes_with_a_withdrawal() {
    let mut cluster = joined().after(assign(1, 0));
    cluster = cluster.after(report_with(1, AVAILABLE, notes(&[("crd", kept())])));
    let told = cluster.when(withdraw(2));
    let order = "=> withdraw cluster/web on eu-1 g2 after [r0] and [ConfigMap shop/crd]";
    assert!(told.contains(&order.to_owned()), "{told:?}");
    let released = Note::Released { why: "others own it too".to_owned() };
    let told = cluster.when(removal_with(2, notes(&[("crd", released)])));
    assert_eq!(
        told[..2],
        [
            "DeliveryNoted cluster/web g2: ConfigMap shop/crd let go: others own it too",
            "DeliveryRemoved cluster/web g2",
        ]
    );
}

#[test]
fn what_failed_is_noted_too() {
    let mut cluster = joined().after(assign(1, 0));
    let failed = DeliveryOutcome::Failed(vec![failure("b")]);
    let told = cluster.when(report_with(1, failed, notes(&[("a", Note::Adopted)])));
    assert!(told[0].starts_with("DeliveryNoted cluster/web g1"), "{told:?}");
    assert!(told[1].starts_with("DeliveryFailed cluster/web g1"), "{told:?}");
}
