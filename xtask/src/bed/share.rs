//! One bed for all tests of a run.
//!
//! `cargo xtask test` starts a bed and names it in the environment; every test process attaches
//! to it. A plain `cargo test` of one crate uses the bed that `cargo xtask bed up` left running,
//! or starts one for the test process if the parts are built. Otherwise it says that it skips: a
//! first build takes minutes and is not what somebody asked for who ran one crate's tests.

use std::{
    env,
    fs::File,
    io::{self, Write as _},
    path::Path,
    sync::OnceLock,
    thread,
};

use anyhow::Result;

use super::{Bed, default_dir, parts};

/// Names the directory of a running bed to attach to.
pub const BED_DIR: &str = "TAFFRAIL_BED_DIR";
/// Names the kubeconfig of that bed, for tests that are not written against this crate.
pub const BED_KUBECONFIG: &str = "TAFFRAIL_BED_KUBECONFIG";
/// `off` skips tests that need real parts; `required` makes a missing bed a failure.
pub const BED_MODE: &str = "TAFFRAIL_BED";

/// What a test that cannot run says, once, on standard error; `cargo xtask test` counts it.
pub const SKIPPED: &str = "skipped: no test bed";

/// The members of a shared bed.
const MEMBERS: usize = 3;

/// The bed that the tests of this run share: a hub, three members on which pods run, and Kafka
/// with one node. `None`, and a line that says so, when there cannot be one.
///
/// A test that breaks a server starts one of its own instead, if [`wanted`].
///
/// # Panics
/// There should be a bed, and there is none.
pub fn shared() -> Option<&'static Bed> {
    static SHARED: OnceLock<Bed> = OnceLock::new();
    if !wanted() {
        return None;
    }
    Some(SHARED.get_or_init(|| {
        let bed = match env::var_os(BED_DIR) {
            Some(dir) => Bed::attach(Path::new(&dir)),
            None => Bed::attach(&default_dir())
                .ok()
                .filter(Bed::is_shareable)
                .map_or_else(start_shareable, Ok),
        };
        bed.unwrap_or_else(|error| panic!("there should be a test bed: {error:#}"))
    }))
}

/// Starts a bed as [`shared`] promises it.
///
/// # Errors
/// As for [`super::Builder::start`].
pub fn start_shareable() -> Result<Bed> {
    Bed::builder().members(u32::try_from(MEMBERS)?).kafka_nodes(1).kwok(true).start()
}

/// Whether tests that need real parts run. If not, says that the calling test is skipped.
pub fn wanted() -> bool {
    let Some(reason) = reason_to_skip() else { return true };
    let test = thread::current().name().unwrap_or("a test").to_owned();
    // Not `eprintln!`, which the test harness captures and shows for failed tests only.
    let line = format!("{SKIPPED}: {test} ({reason})\n");
    if let Err(error) = std::io::stderr().write_all(line.as_bytes()) {
        panic!("cannot say that {test} is skipped: {error}");
    }
    false
}

/// The clusters of a bed, for as long as this is held. Tests of several processes share them.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits until nobody else uses the bed's clusters, and keeps them: one hub rules a fleet, and
    /// what it does not know of its members is in its way.
    ///
    /// # Panics
    /// The bed's directory cannot be written to.
    pub fn alone(bed: &Bed) -> Self {
        Self::take(bed, File::lock)
    }

    /// Waits until nobody has the bed's clusters alone, and keeps it so: for tests that keep to
    /// names of their own, beside each other.
    ///
    /// # Panics
    /// As for [`Self::alone`].
    pub fn beside_others(bed: &Bed) -> Self {
        Self::take(bed, File::lock_shared)
    }

    fn take(bed: &Bed, lock: impl FnOnce(&File) -> io::Result<()>) -> Self {
        let path = bed.dir().join("clusters.lock");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.and_then(|file| lock(&file).map(|()| file));
        Self { _lock: file.unwrap_or_else(|error| panic!("lock {}: {error}", path.display())) }
    }
}

fn reason_to_skip() -> Option<&'static str> {
    match env::var(BED_MODE).as_deref() {
        Ok("off") => return Some("this run does without"),
        Ok("required") => return None,
        _ => {}
    }
    if env::var_os(BED_DIR).is_some() || parts::built().unwrap_or(false) {
        return None;
    }
    Some("its parts are not built: `cargo xtask bed build`")
}

impl Bed {
    /// Whether a running bed is what [`shared`] promises. A hand-started one may be less.
    fn is_shareable(&self) -> bool {
        let members = self.contexts().len().saturating_sub(1);
        members >= MEMBERS && self.kafka.is_some() && self.pods_run
    }

    /// [`shared`].
    ///
    /// # Panics
    /// As for [`shared`].
    pub fn shared() -> Option<&'static Self> {
        shared()
    }
}
