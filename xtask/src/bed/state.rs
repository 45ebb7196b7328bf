//! `bed.json`: what a bed consists of, written by the process that owns it and read by those who
//! attach to it, show it or end it.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A bed as others see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The process that owns the bed: when it ends, everything ends.
    pub owner: ProcessId,
    /// Everything is started and was seen to work.
    pub ready: bool,
    /// What the bed started, in this order.
    pub processes: Vec<Started>,
    /// The clusters: the hub first.
    pub clusters: Vec<ClusterState>,
    /// Kafka's `bootstrap.servers`, if the bed has Kafka.
    pub kafka_bootstrap: Option<String>,
    /// The members have nodes, and pods run on them.
    pub pods_run: bool,
    /// etcd's port on 127.0.0.1; 0 in the record of a bed that an earlier version started.
    #[serde(default)]
    pub etcd_port: u16,
}

/// A server that runs, or ran.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Started {
    /// Such as `member-1/kube-apiserver`.
    pub name: String,
    /// Its process.
    pub process: ProcessId,
}

/// A cluster's place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClusterState {
    /// Its context in the kubeconfig, and its directory in the bed's.
    pub name: String,
    /// The API server's port on 127.0.0.1.
    pub port: u16,
}

/// A process id that cannot be mistaken for a later process with the same number: it comes with
/// the start time, in clock ticks since boot, that Linux has in `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number.
    pub pid: u32,
    /// Clock ticks from boot to the process's start.
    pub started: u64,
}

impl ProcessId {
    /// The identity of a process that runs; `None` when there is none, or only a zombie.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses and may contain anything.
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        if matches!(fields.first(), Some(&("Z" | "X"))) {
            return None;
        }
        Some(Self { pid, started: fields.get(19)?.parse().ok()? })
    }

    /// Whether this very process still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends a signal to this very process; a process that is gone counts as signalled.
    pub(crate) fn signal(self, signal: Signal) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{} is no process id", self.pid))?;
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("signal process {}", self.pid)),
        }
    }
}

/// The file of a bed's directory.
pub(crate) fn file(dir: &Path) -> PathBuf {
    dir.join("bed.json")
}

impl State {
    /// Reads the state of the bed in `dir`.
    ///
    /// # Errors
    /// There is no bed, or its file cannot be read.
    pub fn read(dir: &Path) -> Result<Self> {
        Self::find(dir)?.with_context(|| {
            format!("no test bed in {}: start one with `cargo xtask bed up`", dir.display())
        })
    }

    /// Reads the state of the bed in `dir`, if there was ever one.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn find(dir: &Path) -> Result<Option<Self>> {
        let path = file(dir);
        let unreadable = || format!("read {}", path.display());
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).with_context(unreadable),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(unreadable),
        }
    }

    /// Replaces the file at once, so that a reader sees one state or the other.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let path = file(dir);
        let fresh = path.with_extension("json.fresh");
        fs::write(&fresh, serde_json::to_vec_pretty(self)?)
            .and_then(|()| fs::rename(&fresh, &path))
            .with_context(|| format!("write {}", path.display()))
    }

    /// Whether anything of the bed runs, be it ready or not.
    pub fn runs(&self) -> bool {
        self.owner.is_alive() || self.processes.iter().any(|it| it.process.is_alive())
    }

    /// Whether the bed works as far as its record tells: it became ready and its owner lives.
    pub fn is_up(&self) -> bool {
        self.ready && self.owner.is_alive()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::Signal;

    use super::ProcessId;

    #[test]
    fn a_later_process_with_the_same_number_is_another_one() {
        let this = ProcessId::of(std::process::id()).expect("this process runs");
        assert!(this.is_alive());
        let earlier = ProcessId { started: this.started - 1, ..this };
        assert!(!earlier.is_alive());
        earlier.signal(Signal::KILL).expect("a process that is gone counts as signalled");
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep runs");
        let id = ProcessId::of(child.id()).expect("it runs");
        id.signal(Signal::KILL).expect("it can be killed");
        while id.is_alive() {
            std::thread::yield_now();
        }
        child.wait().expect("only now it is reaped");
    }
}
