//! Ending a bed from outside, as far as its record tells what it started.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use rustix::process::Signal;

use super::{
    process::{POLL, STOP_DEADLINE},
    state::{Started, State},
};

/// How long killed processes may take to disappear.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// Ends the bed in `dir`: servers by TERM and, when they take too long, by KILL; etcd last,
/// since the others still write to it; then the owner, and with it the watchdog. Only processes
/// of the record are touched, and only if they are still the same ones. Returns how many lived.
///
/// # Errors
/// There is no bed, or something could not be ended.
pub fn stop(dir: &Path) -> Result<usize> {
    let mut state = State::read(dir)?;
    let alive: Vec<Started> =
        state.processes.iter().filter(|started| started.process.is_alive()).cloned().collect();
    let (own, servers): (Vec<_>, Vec<_>) =
        alive.iter().cloned().partition(|started| started.name == "watchdog");
    let (etcd, servers): (Vec<_>, Vec<_>) =
        servers.into_iter().partition(|started| started.name == "etcd");
    end(&servers)?;
    end(&etcd)?;
    if state.owner.pid != std::process::id() {
        state.owner.signal(Signal::TERM)?;
    }
    wait_gone(&own, KILL_DEADLINE);
    kill(&own)?;
    state.ready = false;
    state.processes.clear();
    state.write(dir)?;
    Ok(alive.len())
}

fn end(processes: &[Started]) -> Result<()> {
    for started in processes {
        started.process.signal(Signal::TERM)?;
    }
    wait_gone(processes, STOP_DEADLINE);
    kill(processes)
}

fn kill(processes: &[Started]) -> Result<()> {
    for started in processes.iter().filter(|started| started.process.is_alive()) {
        started.process.signal(Signal::KILL)?;
    }
    if !wait_gone(processes, KILL_DEADLINE) {
        let left: Vec<_> = processes.iter().filter(|started| started.process.is_alive()).collect();
        bail!("these did not end: {left:?}");
    }
    Ok(())
}

/// Waits until all are gone; false when the deadline passed first.
fn wait_gone(processes: &[Started], deadline: Duration) -> bool {
    let begin = Instant::now();
    while processes.iter().any(|started| started.process.is_alive()) {
        if begin.elapsed() > deadline {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}
