//! How much a partition takes in at once.

/// How many asks may wait for one aggregate; a direct one beyond it is answered with *busy*. A
/// cluster that gets a thousand assignments at once is served in a few batches; twice as many would
/// only wait longer for the same frames.
const ASKS_PER_AGGREGATE_MAX: usize = 512;

/// How many follow-ups are taken in and not decided. A rollout to a thousand clusters is taken in
/// at once; at twice this, 32 partitions would hold 100 MB of commands that the inbox holds as
/// well.
const FOLLOW_UPS_MAX: usize = 4_096;

/// How many submitted commands are taken in and not decided; the stream is not read on above it.
/// Four full proposals: twice as many would wait behind the same frames.
const SUBMITTED_MAX: usize = 1_024;

/// How much a partition takes in at once. Histories that have to get to the bounds choose narrower
/// ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Asks that wait for one aggregate, before direct ones are answered with *busy*.
    pub asks_per_aggregate: usize,
    /// Follow-ups.
    pub follow_ups: usize,
    /// Submitted commands.
    pub submitted: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            asks_per_aggregate: ASKS_PER_AGGREGATE_MAX,
            follow_ups: FOLLOW_UPS_MAX,
            submitted: SUBMITTED_MAX,
        }
    }
}
