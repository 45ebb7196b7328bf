//! Hubs and simulated members as processes of their own.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::ground::{Ground, SimulatedFleet};

/// A hub in a process of its own. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct HubProcess {
    child: Child,
}

/// How a hub is started.
#[derive(Debug, Clone)]
pub(super) struct HubPlace<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// A file that leads to its API server.
    pub(super) kubeconfig: &'a Path,
    /// Its directory.
    pub(super) data: &'a Path,
    /// Its log, as `hub_process` wants it.
    pub(super) log: &'a str,
}

impl HubProcess {
    /// Starts a hub, and returns as soon as its process runs.
    pub(super) fn spawn(place: &HubPlace<'_>) -> Result<Self> {
        Self::run(place, Stdio::null())
    }

    fn run(place: &HubPlace<'_>, output: Stdio) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("hub_process");
        let child = Command::new(&program)
            .arg(place.name)
            .args([place.kubeconfig, place.data])
            .arg(place.log)
            .stdin(Stdio::null())
            .stdout(output)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Self { child })
    }

    /// Starts a hub, and returns when it decides.
    pub(super) fn start(place: &HubPlace<'_>) -> Result<Self> {
        let mut hub = Self::run(place, Stdio::piped())?;
        let output = hub.child.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line == "ready");
        ensure!(ready, "the hub ended before it was ready");
        // What it prints further is thrown away.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(hub)
    }

    /// Kills it, as a crash would.
    pub(super) fn kill(mut self) -> Result<Instant> {
        let at = Instant::now();
        self.child.kill()?;
        self.child.wait()?;
        Ok(at)
    }

    /// Asks it to end in order. Says when it was asked.
    pub(super) fn ask_to_end(&self) -> Result<Instant> {
        let at = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        Ok(at)
    }

    /// Waits until it has ended by itself.
    pub(super) fn wait(mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "the hub did not end in order: {status}");
        Ok(())
    }

    /// Its memory now, and the most that it ever had, in bytes.
    pub(super) fn memory(&self) -> Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kibibytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            number.with_context(|| format!("/proc says no {field}"))
        };
        Ok(Memory { now: kibibytes("VmRSS:")? * 1_024, peak: kibibytes("VmHWM:")? * 1_024 })
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Resident memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) now: u64,
    pub(super) peak: u64,
}

pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// Simulated clusters in a process of their own, which ends with this.
#[derive(Debug)]
pub(super) struct Simulator {
    child: Child,
    /// The process ends when this is closed.
    _alive: ChildStdin,
}

/// Where simulated clusters are: what their process says when it is ready.
#[derive(Debug, Serialize, Deserialize)]
struct Addresses {
    /// The name and the kubeconfig of each, the hub first.
    clusters: Vec<(String, String)>,
}

impl Simulator {
    /// Starts a hub and members, and gives the ground that they are.
    pub(super) async fn start(members: usize) -> Result<(Self, Ground)> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["simulate", &members.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the simulator")?;
        let alive = child.stdin.take().context("its input is piped")?;
        let output = child.stdout.take().context("its output is piped")?;
        let simulator = Self { child, _alive: alive };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let addresses: Addresses =
            serde_json::from_str(&line).context("the simulator's clusters")?;
        let ground = Ground::at(addresses.clusters).await;
        Ok((simulator, ground))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Simulated clusters until standard input is closed, said on standard output in one line.
///
/// # Errors
/// When nobody reads the line.
pub fn simulate(members: usize) -> Result<()> {
    let fleet = SimulatedFleet::start(members);
    let line = serde_json::to_string(&Addresses { clusters: fleet.kubeconfigs() })?;
    let mut output = std::io::stdout();
    writeln!(output, "{line}")?;
    output.flush()?;
    let mut ignored = vec![];
    std::io::stdin().read_to_end(&mut ignored)?;
    drop(fleet);
    Ok(())
}

/// How long to wait before looking again whether something in another process came about.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);
