//! The benchmarks: what the budgets of the design say, measured.
//!
//! Each part measures a few of the figures in [`goals`] and runs in a process of its own, so that
//! what one leaves behind costs the next nothing and a part that fails fails alone. Parts that do
//! without the test bed come first, while no server idles beside them.

mod arrivals;
mod burst;
mod driver;
mod engine;
mod fan_out;
pub mod goals;
mod hand_over;
mod log_follower;
mod processes;
mod propagation;
mod replay;
pub mod report;
mod restart;
mod samples;
mod scale;
mod stage;
mod workload;

use anyhow::{Result, bail};

pub use driver::{Options, run};
pub use processes::simulate;
use report::Recorder;

/// A part of the benchmarks: what can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Whether it needs the test bed.
    pub needs_bed: bool,
}

/// All parts, in the order in which they run.
pub const PARTS: &[Part] = &[
    Part { name: "embedded", needs_bed: false },
    Part { name: "replay", needs_bed: false },
    Part { name: "fan-out", needs_bed: false },
    Part { name: "scale", needs_bed: false },
    Part { name: "kafka", needs_bed: true },
    Part { name: "propagation", needs_bed: true },
    Part { name: "burst", needs_bed: true },
    Part { name: "restart", needs_bed: true },
    Part { name: "hand-over", needs_bed: true },
];

/// Measures one part in this process. Each figure is said as soon as it is known.
///
/// # Errors
/// When it could not be measured.
pub async fn measure(part: &str) -> Result<()> {
    let recorder = Recorder::of(part);
    match part {
        "embedded" => engine::on_embedded(&recorder).await,
        "replay" => replay::measure(&recorder).await,
        "fan-out" => fan_out::measure(&recorder).await,
        "scale" => scale::measure(&recorder).await,
        "kafka" => engine::on_kafka(&recorder).await,
        "propagation" => propagation::measure(&recorder).await,
        "burst" => burst::measure(&recorder).await,
        "restart" => restart::measure(&recorder).await,
        "hand-over" => hand_over::measure(&recorder).await,
        other => bail!("there is no part {other:?}"),
    }
}
