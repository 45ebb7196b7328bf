//! The cache of built parts: `$XDG_CACHE_HOME/taffrail/bed/<component>-<version>/`, or the same
//! under `~/.cache`.
//!
//! Several `cargo xtask` and test processes may want the same part at once. A lock file for each
//! part lets one of them build while the others wait; the build happens in a scratch directory
//! that is renamed into place when it is complete, so a directory with the final name is always
//! a finished one, whatever was killed when.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The directory of all built parts.
pub(super) fn root() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .context("no cache directory: set HOME or XDG_CACHE_HOME")?;
    let root = base.join("taffrail").join("bed");
    fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
    Ok(root)
}

/// The directory of one part, whether it is built or not.
pub(crate) fn entry(name: &str) -> Result<PathBuf> {
    Ok(root()?.join(name))
}

/// Holds a lock of the cache until it is dropped.
pub(crate) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

/// Waits for the lock `<name>.lock`, telling once that somebody else has it.
pub(crate) fn lock(name: &str) -> Result<Lock> {
    lock_in(&root()?, name)
}

/// The directory of a part; built by `build` in a scratch directory when it is missing.
pub(crate) fn ensure(name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    ensure_in(&root()?, name, build)
}

fn lock_in(root: &Path, name: &str) -> Result<Lock> {
    let path = root.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => {
            eprintln!("bed: another process prepares {name}; waiting for it");
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("lock {}", path.display()));
        }
    }
    file.lock().with_context(|| format!("lock {}", path.display()))?;
    Ok(Lock(file))
}

fn ensure_in(root: &Path, name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let done = root.join(name);
    if done.is_dir() {
        return Ok(done);
    }
    let _lock = lock_in(root, name)?;
    if done.is_dir() {
        return Ok(done);
    }
    let scratch = tempfile::Builder::new()
        .prefix(&format!(".{name}-"))
        .tempdir_in(root)
        .with_context(|| format!("create a scratch directory for {name}"))?;
    build(scratch.path())?;
    let scratch = scratch.keep();
    fs::rename(&scratch, &done)
        .with_context(|| format!("move {} to {}", scratch.display(), done.display()))?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::atomic::{AtomicU32, Ordering},
        thread,
        time::Duration,
    };

    use anyhow::bail;

    use super::ensure_in;

    #[test]
    fn one_builds_while_the_others_wait() {
        let root = tempfile::tempdir().expect("a directory");
        let builds = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let part = ensure_in(root.path(), "part-1", |dir| {
                        builds.fetch_add(1, Ordering::Relaxed);
                        // Gives the others time to come here too, were they let in.
                        thread::sleep(Duration::from_millis(50));
                        Ok(fs::write(dir.join("program"), "done")?)
                    });
                    let program = part.expect("it builds").join("program");
                    assert_eq!(fs::read_to_string(program).expect("it is there"), "done");
                });
            }
        });
        assert_eq!(builds.into_inner(), 1);
    }

    #[test]
    fn a_failed_build_leaves_nothing_and_can_be_repeated() {
        let root = tempfile::tempdir().expect("a directory");
        ensure_in(root.path(), "part-1", |dir| {
            fs::write(dir.join("half"), "a program")?;
            bail!("out of luck")
        })
        .expect_err("it fails");
        let left: Vec<_> = fs::read_dir(root.path()).expect("it is there").collect();
        assert_eq!(left.len(), 1, "the lock file only: {left:?}");
        ensure_in(root.path(), "part-1", |_| Ok(())).expect("the next one may build");
    }
}
