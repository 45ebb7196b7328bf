//! One process group for everything that a bed starts, and a watchdog that ends it.
//!
//! Nothing may be left over, also when the process that owns the bed is killed with SIGKILL and
//! runs no destructor. `PR_SET_PDEATHSIG` is the wrong tool: it fires when the *thread* that
//! started the child ends, and the tests of a run come and go on threads while they share a bed.
//! Instead, the leader of the group is a shell that reads from a pipe whose only other end is in
//! the owner. The kernel closes that end however the owner dies; the shell then ends its whole
//! group, itself included. Pipes of the standard library are close-on-exec, so no sibling keeps
//! the end open.
//!
//! There is no gap either: a child enters the group before it executes its program. If the owner
//! dies in between and the group is gone, entering fails and the child never becomes the program.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

/// Ends its group when its standard input ends: politely, then for certain. `$1` is a directory
/// to remove, or empty. The shell itself ignores TERM, which it sends to its own group.
const WATCHDOG: &str = r#"
trap '' HUP INT TERM
read -r _
kill -TERM 0
sleep 0.5
if [ -n "$1" ]; then rm -rf -- "$1"; fi
kill -KILL 0
"#;

/// A process group that dies with its owner.
#[derive(Debug)]
pub(crate) struct Group {
    id: Pid,
    watchdog: Mutex<Option<Child>>,
}

impl Group {
    /// Starts the watchdog. It removes `scratch`, if given, when the owner dies without having
    /// dropped this value.
    pub(crate) fn start(scratch: Option<&Path>) -> Result<Self> {
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "taffrail-bed-watchdog"])
            .arg(scratch.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start the watchdog (sh) of the test bed")?;
        let id = Pid::from_child(&watchdog);
        Ok(Self { id, watchdog: Mutex::new(Some(watchdog)) })
    }

    /// The process id of the watchdog, until the group has ended.
    pub(crate) fn watchdog(&self) -> Option<u32> {
        let watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
        watchdog.as_ref().map(Child::id)
    }

    /// Starts a program inside the group; an error when the group has ended.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
        if watchdog.is_none() {
            return Err(io::Error::other("the test bed has ended"));
        }
        command.process_group(self.id.as_raw_nonzero().get()).spawn()
    }

    /// Kills whatever is left of the group; nothing can be started in it after that. The
    /// watchdog is reaped last, so its id cannot have become somebody else's before.
    pub(crate) fn end(&self) {
        let mut watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut watchdog) = watchdog.take() else { return };
        if let Err(error) = kill_process_group(self.id, Signal::KILL) {
            eprintln!("bed: end the process group {}: {error}", self.id.as_raw_nonzero());
        }
        if let Err(error) = watchdog.wait() {
            eprintln!("bed: wait for the watchdog: {error}");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}
