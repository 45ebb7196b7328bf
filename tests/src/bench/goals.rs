//! The figures, and what they should be. A figure that is not in this list cannot be reported, and
//! one that is in it and was not measured is shown as not taken.

use serde::Serialize;

use Budget::{AtLeast, AtMost};
use Unit::{Count, Mebibytes, Milliseconds, PerSecond, Ratio, Seconds};

/// A figure, and what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Goal {
    /// The part that measures it.
    pub part: &'static str,
    /// Names it within its part.
    pub key: &'static str,
    /// What it is, in words.
    pub what: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// What it should be; `None` for what is shown for comparison.
    pub budget: Option<Budget>,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

/// In what a figure is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Of something, in a second.
    PerSecond,
    /// Time.
    Milliseconds,
    /// Time.
    Seconds,
    /// Memory.
    Mebibytes,
    /// So many times something else.
    Ratio,
    /// So many.
    Count,
}

impl Budget {
    /// Whether a figure is within it.
    #[must_use]
    pub fn is_met_by(self, figure: f64) -> bool {
        match self {
            AtMost(most) => figure <= most,
            AtLeast(least) => figure >= least,
        }
    }
}

const fn goal(
    part: &'static str,
    key: &'static str,
    what: &'static str,
    unit: Unit,
    budget: Option<Budget>,
) -> Goal {
    Goal { part, key, what, unit, budget }
}

/// All figures, in the order of the table.
#[rustfmt::skip]
pub const GOALS: &[Goal] = &[
    goal("embedded", "1.decisions", "decisions, embedded log, 1 partition", PerSecond, Some(AtLeast(20_000.0))),
    goal("embedded", "1.hop.p50", "hop p50, embedded log, 1 partition", Milliseconds, Some(AtMost(5.0))),
    goal("embedded", "1.hop.p99", "hop p99, embedded log, 1 partition", Milliseconds, None),
    goal("embedded", "32.decisions", "decisions, embedded log, 32 partitions", PerSecond, Some(AtLeast(50_000.0))),
    goal("embedded", "32.hop.p50", "hop p50, embedded log, 32 partitions", Milliseconds, Some(AtMost(5.0))),
    goal("embedded", "32.hop.p99", "hop p99, embedded log, 32 partitions", Milliseconds, None),
    goal("embedded", "32.moves", "decisions while placements move, embedded log, 32 partitions", PerSecond, None),
    goal("replay", "evolve", "replay: decode, evolve", PerSecond, Some(AtLeast(500_000.0))),
    goal("replay", "fold", "replay: accept (with hash chain), fold", PerSecond, None),
    goal("replay", "verify", "replay: decide everything again, compare", PerSecond, None),
    goal("fan-out", "p50", "one placement → 100 simulated members, p50", Milliseconds, None),
    goal("fan-out", "p99", "one placement → 100 simulated members, p99", Milliseconds, Some(AtMost(2_000.0))),
    goal("scale", "time", "1,000 placements × 100 simulated members, all available", Seconds, None),
    goal("scale", "memory", "1,000 placements × 100 simulated members: peak memory of the hub", Mebibytes, Some(AtMost(1_024.0))),
    goal("scale", "restart", "1,000 placements × 100 simulated members: killed hub started → next decision", Seconds, Some(AtMost(5.0))),
    goal("kafka", "1.decisions", "decisions, Kafka (one node), 1 partition", PerSecond, Some(AtLeast(20_000.0))),
    goal("kafka", "1.hop.p50", "hop p50, Kafka (one node), 1 partition", Milliseconds, Some(AtMost(4.0))),
    goal("kafka", "1.hop.p99", "hop p99, Kafka (one node), 1 partition", Milliseconds, None),
    goal("kafka", "32.decisions", "decisions, Kafka (one node), 32 partitions", PerSecond, Some(AtLeast(50_000.0))),
    goal("kafka", "32.hop.p50", "hop p50, Kafka (one node), 32 partitions", Milliseconds, Some(AtMost(4.0))),
    goal("kafka", "32.hop.p99", "hop p99, Kafka (one node), 32 partitions", Milliseconds, None),
    goal("kafka", "32.moves", "decisions while placements move, Kafka (one node), 32 partitions", PerSecond, None),
    goal("propagation", "placed.p50", "placement created → on 3 real members, p50", Milliseconds, Some(AtMost(100.0))),
    goal("propagation", "placed.p99", "placement created → on 3 real members, p99", Milliseconds, None),
    goal("propagation", "available.p50", "placement created → Available in its status, p50", Milliseconds, Some(AtMost(200.0))),
    goal("propagation", "available.p99", "placement created → Available in its status, p99", Milliseconds, None),
    goal("propagation", "changed.p50", "object changed on the hub → on 3 real members, p50", Milliseconds, Some(AtMost(150.0))),
    goal("propagation", "changed.p99", "object changed on the hub → on 3 real members, p99", Milliseconds, None),
    goal("burst", "hub", "200 placements at once → 600 targets on 3 real members", Seconds, None),
    goal("burst", "bare", "the same objects, written by a bare client", Seconds, None),
    goal("burst", "ratio", "200 placements at once: hub / bare client", Ratio, Some(AtMost(1.5))),
    goal("burst", "available", "200 placements at once → all Available in their status", Seconds, None),
    goal("restart", "p50", "killed hub with 200 placements started → next placement on 3 real members, p50", Milliseconds, None),
    goal("restart", "worst", "killed hub with 200 placements started → next placement on 3 real members, worst", Milliseconds, Some(AtMost(1_000.0))),
    goal("hand-over", "killed.p50", "owner killed → another decides, Kafka, p50", Seconds, None),
    goal("hand-over", "killed.worst", "owner killed → another decides, Kafka, worst", Seconds, Some(AtMost(5.0))),
    goal("hand-over", "planned.p50", "owner ends in order → another owns its partitions, Kafka, p50", Milliseconds, None),
    goal("hand-over", "planned.worst", "owner ends in order → another owns its partitions, Kafka, worst", Milliseconds, Some(AtMost(300.0))),
    goal("hand-over", "lost", "lost over all these", Count, Some(AtMost(0.0))),
    goal("hand-over", "duplicated", "duplicated over all these", Count, Some(AtMost(0.0))),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Budget, GOALS};
    use crate::bench::PARTS;

    #[test]
    fn every_goal_is_named_once_and_belongs_to_a_part() {
        let names: BTreeSet<_> = GOALS.iter().map(|goal| (goal.part, goal.key)).collect();
        assert_eq!(names.len(), GOALS.len());
        let measured: BTreeSet<_> = GOALS.iter().map(|goal| goal.part).collect();
        let parts: BTreeSet<_> = PARTS.iter().map(|part| part.name).collect();
        assert_eq!(measured, parts);
    }

    #[test]
    fn a_budget_holds_at_its_bound() {
        assert!(Budget::AtMost(5.0).is_met_by(5.0) && !Budget::AtMost(5.0).is_met_by(5.1));
        assert!(Budget::AtLeast(5.0).is_met_by(5.0) && !Budget::AtLeast(5.0).is_met_by(4.9));
    }
}
