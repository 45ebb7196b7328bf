//! How long a job may take, and its end when it takes longer.

use std::{
    collections::BTreeMap,
    fs,
    process::Child,
    time::{Duration, Instant},
};

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

/// Several times what the slowest test takes on a busy machine. A test says itself what it waits
/// for in vain, after a minute; this is for one that says nothing any more.
const ORDINARY: Duration = Duration::from_secs(600);

/// Hundreds of rounds.
const SOAK: Duration = Duration::from_secs(3 * 3_600);

/// How often a process is asked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(super) fn of(is_soak: bool) -> Duration {
    if is_soak { SOAK } else { ORDINARY }
}

/// Waits for a process; whether it ended well, or `None` when it had to be ended.
pub(super) fn wait(child: &mut Child, deadline: Duration) -> Result<Option<bool>> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if begin.elapsed() > deadline {
            end_with_descendants(child.id());
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Ends a process and everything that it started: hubs that run as processes of their own would
/// go on with the clusters that the next test uses.
fn end_with_descendants(root: u32) {
    let parents = parents();
    let mut found = vec![root];
    let mut looked_at = 0;
    while let Some(parent) = found.get(looked_at).copied() {
        found.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(pid, _)| *pid));
        looked_at += 1;
    }
    for pid in found.into_iter().filter_map(|pid| i32::try_from(pid).ok()) {
        // A process that has ended by itself needs no signal.
        if let Some(pid) = Pid::from_raw(pid) {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// From Linux: each process and who started it.
fn parents() -> BTreeMap<u32, u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses and may contain anything.
        let (_, rest) = stat.rsplit_once(") ")?;
        rest.split(' ').nth(1)?.parse().ok()
    };
    let ids = processes.filter_map(|it| it.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|pid| Some((pid, parent(pid)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
        time::Duration,
    };

    use super::wait;

    #[test]
    fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 600 & echo started; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut lines = BufReader::new(shell.stdout.take().expect("it is piped")).lines();
        assert_eq!(lines.next().expect("a line").expect("a line"), "started");
        assert_eq!(wait(&mut shell, Duration::ZERO).expect("it is our child"), None);
        // The other end of the pipe is closed when the sleeping process has ended as well.
        assert!(lines.next().is_none());
    }

    #[test]
    fn what_ends_by_itself_says_how() {
        for (program, well) in [("true", true), ("false", false)] {
            let mut child = Command::new(program).spawn().expect("it can be run");
            let ended = wait(&mut child, Duration::from_secs(60)).expect("it is our child");
            assert_eq!(ended, Some(well));
        }
    }
}
