//! What a change can affect: the packages that it touches, and those that build on them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::workspace::{self, Package};

/// Files outside of the packages that some package reads, by how their paths start.
const READ_BY: [(&str, &[&str]); 3] = [
    ("deploy/crds/", &["api", "simulator"]),
    ("deploy/", &["taffrail"]),
    ("examples/", &["taffrail"]),
];

/// Files that everything is built with.
const FOR_ALL: [&str; 4] =
    ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo/config.toml"];

/// Folders of a package that nobody else sees.
const INNER: [&str; 3] = ["tests", "examples", "benches"];

/// What of the tasks is a library that tests use; the rest is theirs alone.
const TASKS_FOR_TESTS: [&str; 3] = ["src/bed", "src/lib.rs", "src/trial.rs"];

/// The packages that the changes since `base` can affect.
pub(super) fn packages(base: &str) -> Result<BTreeSet<String>> {
    Ok(affected(&changed_files(base)?, &Packages::read()?))
}

/// The packages whose tests may use the test bed.
pub(super) fn users_of_the_bed() -> Result<BTreeSet<String>> {
    let packages = Packages::read()?;
    Ok(packages.that_build_on(["xtask".to_owned()].into()))
}

struct Packages {
    root: PathBuf,
    all: Vec<Package>,
}

/// What differs from where `base` and this branch have parted, and what is new.
fn changed_files(base: &str) -> Result<Vec<PathBuf>> {
    let since = git(&["merge-base", base, "HEAD"])?;
    let changed = git(&["diff", "--name-only", "--no-renames", since.trim()])?;
    let new = git(&["ls-files", "--others", "--exclude-standard"])?;
    Ok(changed.lines().chain(new.lines()).map(PathBuf::from).collect())
}

fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(workspace::root())
        .output()
        .context("run git")?;
    if !output.status.success() {
        bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn affected(files: &[PathBuf], packages: &Packages) -> BTreeSet<String> {
    let (mut inside, mut through) = (BTreeSet::new(), BTreeSet::new());
    for file in files {
        if FOR_ALL.iter().any(|it| file == Path::new(it)) {
            return packages.all.iter().map(|package| package.name.clone()).collect();
        }
        match packages.holding(file) {
            Some((package, path)) if is_seen_by_others(&package.name, path) => {
                through.insert(package.name.clone());
            }
            Some((package, path)) if path.extension() != Some("md".as_ref()) => {
                inside.insert(package.name.clone());
            }
            Some(_) => {}
            None => {
                let readers =
                    READ_BY.iter().find(|(start, _)| file.to_string_lossy().starts_with(start));
                let readers = readers.map(|(_, readers)| *readers).unwrap_or_default();
                inside.extend(readers.iter().map(|it| (*it).to_owned()));
            }
        }
    }
    let mut affected = packages.that_build_on(through);
    affected.extend(inside);
    affected
}

fn is_seen_by_others(package: &str, path: &Path) -> bool {
    if package == "xtask" {
        return TASKS_FOR_TESTS.iter().any(|it| path.starts_with(it));
    }
    !INNER.iter().any(|it| path.starts_with(it)) && path.extension() != Some("md".as_ref())
}

impl Packages {
    fn read() -> Result<Self> {
        Ok(Self { root: workspace::root(), all: workspace::metadata(false)?.packages })
    }

    /// The package that a file of the workspace is in, and the file's path there.
    fn holding<'a>(&self, file: &'a Path) -> Option<(&Package, &'a Path)> {
        self.all.iter().find_map(|package| {
            let dir = package.manifest_path.parent()?.strip_prefix(&self.root).ok()?;
            Some((package, file.strip_prefix(dir).ok()?))
        })
    }

    /// These packages and all whose code or tests build on them. What tests build on reaches no
    /// further than the tests.
    fn that_build_on(&self, mut found: BTreeSet<String>) -> BTreeSet<String> {
        let uses = |package: &Package, found: &BTreeSet<String>, in_tests: bool| {
            let mut dependencies = package.dependencies.iter();
            dependencies.any(|it| {
                found.contains(&it.name) && (in_tests || it.kind.as_deref() != Some("dev"))
            })
        };
        loop {
            let more = self.all.iter().filter(|it| uses(it, &found, false));
            let count = found.len();
            let more: Vec<String> = more.map(|it| it.name.clone()).collect();
            found.extend(more);
            if found.len() == count {
                break;
            }
        }
        let in_tests = self.all.iter().filter(|it| uses(it, &found, true));
        let in_tests: Vec<String> = in_tests.map(|it| it.name.clone()).collect();
        found.extend(in_tests);
        found
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Packages, affected};

    fn found(files: &[&str]) -> Vec<String> {
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let packages = Packages::read().expect("the workspace can be read");
        affected(&files, &packages).into_iter().collect()
    }

    #[test]
    fn documents_affect_nothing() {
        assert!(found(&["docs/getting-started.md", "README.md", ".ci/run"]).is_empty());
    }

    #[test]
    fn tests_affect_nobody_else() {
        assert_eq!(found(&["crates/events/tests/it/ids.rs"]), ["events"]);
        assert_eq!(found(&["tests/tests/acceptance/kill.rs"]), ["acceptance"]);
        assert_eq!(found(&["xtask/src/sim.rs"]), ["xtask"]);
    }

    #[test]
    fn code_affects_all_that_build_on_it() {
        assert_eq!(found(&["crates/hub/src/lib.rs"]), ["acceptance", "hub", "taffrail"]);
        let all = found(&["crates/events/src/lib.rs"]);
        assert!(all.contains(&"projections".to_owned()) && !all.contains(&"api".to_owned()));
        assert!(found(&["xtask/src/bed/mod.rs"]).contains(&"event-log-kafka".to_owned()));
    }

    #[test]
    fn the_lock_file_affects_everything() {
        assert!(found(&["Cargo.lock"]).len() > 10);
    }

    #[test]
    fn files_that_a_package_reads_affect_it() {
        assert_eq!(found(&["examples/shop/cart.yaml"]), ["taffrail"]);
        assert_eq!(found(&["deploy/crds/any.yaml"]), ["api", "simulator"]);
    }
}
