//! Members hold moves that are not on record: the log is an older copy of itself.

use events::placement::TargetPhase;

use super::{delete, placed, report, reschedule, web_in};
use crate::placement::{PlacementCommand, RaiseMoves};

fn raise(above: u64) -> PlacementCommand {
    PlacementCommand::RaiseMoves(RaiseMoves { above })
}

#[test]
fn every_target_moves_again_above_what_members_hold() {
    let mut web = placed();
    let moved = [
        "MovesRaised above g40",
        "TargetsMoved [eu-1 g41 r0, eu-2 g42 r0]",
        "-> cluster/eu-1: AssignDelivery cluster/web g41 r0",
        "-> cluster/eu-2: AssignDelivery cluster/web g42 r0",
    ];
    assert_eq!(web.when(raise(40)), moved);
    assert_eq!(web.when(raise(40)), [""; 0], "once");
    assert_eq!(web.when(raise(7)), [""; 0], "what is below is above already");
    assert_eq!(web.when(reschedule()), [""; 0]);
}

#[test]
fn a_removal_is_raised_as_well() {
    let mut web = placed().after(delete("p1"));
    assert_eq!(
        web.when(raise(40))[..2],
        ["MovesRaised above g40", "TargetsMoved [eu-1 g41 nothing, eu-2 g42 nothing]"]
    );
    web.on_evidence(11);
    web.when(report("eu-1", 41, TargetPhase::Removed));
    web.on_evidence(12);
    let last = web.when(report("eu-2", 42, TargetPhase::Removed));
    assert_eq!(last.last().unwrap(), "PlacementDeleted p1");
    assert_eq!(web.state.moved_again_through, 40, "whoever takes the name next counts on");
}

#[test]
fn nothing_is_raised_that_is_nowhere() {
    assert_eq!(web_in(&[]).when(raise(40)), ["refused: there is no such placement"]);
}
