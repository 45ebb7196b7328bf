//! The whole life of a placement, as a transcript.

use std::fmt::Write as _;

use events::placement::TargetPhase;

use super::{delete, refuse, report, reschedule, submit, web_in};
use crate::placement::PlacementCommand;
use crate::testing::make::{everywhere, fixed};

#[test]
fn the_whole_life_of_a_placement() {
    let steps: Vec<(&str, PlacementCommand)> = vec![
        ("its selectors are wrong", refuse("p1", 1, "ConfigMap web/a is selected twice")),
        ("somebody looks at the fleet", reschedule()),
        ("the selectors are corrected", submit("p1", 2, "a", everywhere())),
        ("eu-1 takes note", report("eu-1", 1, TargetPhase::Assigned)),
        ("eu-1 is done", report("eu-1", 1, TargetPhase::Available)),
        ("eu-2 fails", report("eu-2", 2, TargetPhase::ApplyFailed)),
        ("one of the objects changes", submit("p1", 2, "b", everywhere())),
        ("eu-2 reports on the revision before", report("eu-2", 2, TargetPhase::Available)),
        ("eu-2 is done", report("eu-2", 4, TargetPhase::Available)),
        ("it is narrowed to eu-2", submit("p1", 3, "b", fixed(&["eu-2"]))),
        ("eu-1 is empty", report("eu-1", 5, TargetPhase::Removed)),
        ("it is deleted", delete("p1")),
        ("eu-2 is empty", report("eu-2", 6, TargetPhase::Removed)),
        ("it is created again", submit("p2", 1, "b", everywhere())),
    ];
    let mut web = web_in(&[("eu-1", ""), ("eu-2", "")]);
    let mut transcript = String::new();
    for (sequence, (what, command)) in (1..).zip(steps) {
        writeln!(transcript, "# {what}").unwrap();
        web.on_evidence(sequence);
        for line in web.when(command) {
            writeln!(transcript, "{line}").unwrap();
        }
    }
    insta::assert_snapshot!(transcript);
}
