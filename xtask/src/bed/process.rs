//! One server of a bed: how to start it, stop it, kill it and start it again.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::group::Group;

/// How long a server may take after TERM before it is killed. kube-apiserver waits for its
/// watchers, Kafka for its log: both are done within two seconds when nothing is wrong.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// How often a wait looks again.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// How many lines of a log an error shows.
const LOG_TAIL_LINES: usize = 15;

/// A server with its command line; running or not.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    program: PathBuf,
    args: Vec<OsString>,
    log: PathBuf,
    group: Arc<Group>,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Describes a server without starting it. Its output goes to the end of `log`.
    pub(crate) fn new<Arg: Into<OsString>>(
        group: &Arc<Group>,
        name: impl Into<String>,
        log: PathBuf,
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = Arg>,
    ) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            log,
            group: Arc::clone(group),
            child: Mutex::new(None),
        }
    }

    /// Starts it. Returns where in its log the output of this run begins.
    pub(crate) fn start(&self) -> Result<u64> {
        let mut child = self.child();
        if let Some(running) = child.as_mut()
            && running.try_wait()?.is_none()
        {
            bail!("{} runs already, as process {}", self.name, running.id());
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("open {}", self.log.display()))?;
        let begin = log.metadata()?.len();
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let started = self
            .group
            .spawn(&mut command)
            .with_context(|| format!("start {} ({})", self.name, self.program.display()))?;
        *child = Some(started);
        Ok(begin)
    }

    /// The process id, if it was started and not stopped or killed since.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// Fails with the end of its log if the server has ended by itself.
    pub(crate) fn check(&self) -> Result<()> {
        let mut child = self.child();
        let Some(running) = child.as_mut() else { bail!("{} is not running", self.name) };
        match running.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{}", self.ended(status)),
        }
    }

    /// Kills it at once, as a crash would.
    pub(crate) fn kill(&self) -> Result<()> {
        self.signal_and_wait(Signal::KILL, STOP_DEADLINE)
    }

    /// Keeps it from running until [`Process::resume`]: it answers nothing, and nothing it has open
    /// is closed.
    pub(crate) fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let slot = self.child();
        let Some(child) = slot.as_ref() else { bail!("{} is not running", self.name) };
        kill_process(Pid::from_child(child), signal)
            .with_context(|| format!("signal {}", self.name))
    }

    /// Asks it to stop; kills it when it has not within [`STOP_DEADLINE`].
    pub(crate) fn stop(&self) -> Result<()> {
        self.stop_within(STOP_DEADLINE)
    }

    /// Like [`Process::stop`], with a deadline of its own.
    pub(crate) fn stop_within(&self, deadline: Duration) -> Result<()> {
        self.signal_and_wait(Signal::TERM, deadline)
    }

    /// Waits until `ready` says so, the server ends, or the deadline passes.
    pub(crate) fn wait_until(
        &self,
        deadline: Duration,
        ready: impl Fn() -> Result<bool>,
    ) -> Result<()> {
        let begin = Instant::now();
        loop {
            self.check()?;
            let last = ready();
            if matches!(last, Ok(true)) {
                return Ok(());
            }
            if begin.elapsed() > deadline {
                let why = last.err().map_or_else(String::new, |error| format!(": {error:#}"));
                bail!("{} was not ready after {deadline:?}{why}\n{}", self.name, self.log_tail());
            }
            thread::sleep(POLL);
        }
    }

    /// Kills it and reaps it, if it runs. A bed that ends holds nothing worth a slow goodbye.
    pub(crate) fn end(&self) {
        if let Some(mut child) = self.child().take() {
            let ended = child.kill().and_then(|()| child.wait());
            if let Err(error) = ended {
                eprintln!("bed: end {}: {error}", self.name);
            }
        }
    }

    fn signal_and_wait(&self, signal: Signal, deadline: Duration) -> Result<()> {
        let mut slot = self.child();
        let Some(mut child) = slot.take() else { bail!("{} is not running", self.name) };
        // Not reaped yet, so the id is still this child's, also when it has ended by itself.
        kill_process(Pid::from_child(&child), signal)
            .with_context(|| format!("signal {}", self.name))?;
        let begin = Instant::now();
        while child.try_wait()?.is_none() {
            if begin.elapsed() > deadline {
                child.kill().with_context(|| format!("kill {}", self.name))?;
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn ended(&self, status: ExitStatus) -> String {
        format!("{} ended: {status}\n{}", self.name, self.log_tail())
    }

    fn log_tail(&self) -> String {
        log_tail(&self.log)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// The last lines of a log file, to be shown in an error.
pub(crate) fn log_tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n");
    format!("the end of {}:\n{tail}", path.display())
}
