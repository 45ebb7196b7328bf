//! Compiles the tests, and says which programs came of it.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace;

/// What is compiled and run.
#[derive(Debug)]
pub(super) struct Selection {
    /// For `cargo test`, before its `--`.
    cargo: Vec<String>,
    /// For the programs: filters and flags.
    pub(super) program: Vec<String>,
    /// Whether examples in the documentation are among it.
    pub(super) has_documentation: bool,
    /// Whether there is nothing else.
    is_documentation: bool,
    /// Whether warnings are errors.
    pub(super) is_strict: bool,
}

/// Options of `cargo test` whose value is the next argument.
const WITH_VALUE: [&str; 17] = [
    "-p",
    "--package",
    "--exclude",
    "--test",
    "--bin",
    "--example",
    "--bench",
    "-F",
    "--features",
    "-j",
    "--jobs",
    "--profile",
    "--target",
    "--target-dir",
    "--manifest-path",
    "--config",
    "-Z",
];

/// Options of `cargo test` that leave the documentation out.
const WITHOUT_DOCUMENTATION: [&str; 10] = [
    "--lib",
    "--bins",
    "--bin",
    "--tests",
    "--test",
    "--examples",
    "--example",
    "--benches",
    "--bench",
    "--all-targets",
];

impl Selection {
    /// Reads what stands after `cargo xtask test --`, as `cargo test` would.
    pub(super) fn of(arguments: &[String], is_strict: bool) -> Self {
        let (for_cargo, program) = match arguments.iter().position(|it| it == "--") {
            Some(end) => (&arguments[..end], arguments[end + 1..].to_vec()),
            None => (arguments, vec![]),
        };
        let mut selection = Self {
            cargo: vec![],
            program,
            has_documentation: true,
            is_documentation: false,
            is_strict,
        };
        let mut takes_value = false;
        for argument in for_cargo {
            let is_option = argument.starts_with('-');
            if !is_option && !takes_value {
                selection.program.insert(0, argument.clone());
                continue;
            }
            if argument == "--doc" {
                selection.is_documentation = true;
                continue;
            }
            takes_value = is_option && WITH_VALUE.contains(&argument.as_str());
            let name = argument.split('=').next().unwrap_or_default();
            selection.has_documentation &= !WITHOUT_DOCUMENTATION.contains(&name);
            selection.cargo.push(argument.clone());
        }
        if selection.cargo.is_empty() {
            selection.cargo.push("--workspace".to_owned());
        }
        selection
    }

    /// `cargo test` for this selection. Strict compiling has Clippy's driver as the compiler of the
    /// workspace's crates, as `cargo clippy` does, but compiles them whole: so that tests, lints and
    /// documentation share one build.
    pub(super) fn cargo_test(&self) -> Command {
        let mut command = workspace::cargo();
        command.arg("test").args(&self.cargo).current_dir(workspace::root());
        if self.is_strict {
            command.arg("--locked").envs(strict());
        }
        command
    }
}

/// The environment in which every warning of the workspace's crates is an error.
fn strict() -> [(&'static str, String); 2] {
    // What `cargo clippy -- -D warnings` sets; Cargo compiles again when it changes.
    let arguments = "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__".to_owned();
    [("RUSTC_WORKSPACE_WRAPPER", "clippy-driver".to_owned()), ("CLIPPY_ARGS", arguments)]
}

/// A program with tests in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Program {
    pub(super) package: String,
    /// The target's name.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    /// The package's directory, in which Cargo runs tests.
    pub(super) dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The tests in a library: many, small, and together in one process.
    Library,
    /// The tests in a program.
    Binary,
    /// Tests from outside, in `tests/`.
    Integration,
}

impl Kind {
    /// How `cargo test` is told of such a target.
    pub(super) fn flag(self, name: &str) -> String {
        match self {
            Self::Library => "--lib".to_owned(),
            Self::Binary => format!("--bin {name}"),
            Self::Integration => format!("--test {name}"),
        }
    }
}

/// The part of Cargo's messages that tells of programs.
#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    manifest_path: PathBuf,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    test: bool,
}

/// Compiles what is selected.
pub(super) fn programs(selection: &Selection) -> Result<Vec<Program>> {
    if selection.is_documentation {
        return Ok(vec![]);
    }
    let packages = package_names()?;
    let mut command = selection.cargo_test();
    command.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let mut cargo = command.stdout(Stdio::piped()).spawn().context("run cargo")?;
    let mut programs = vec![];
    for line in BufReader::new(cargo.stdout.take().context("cargo's output")?).lines() {
        let line = line.context("read what cargo says")?;
        let message = serde_json::from_str(&line).context("read what cargo says")?;
        programs.extend(program(message, &packages));
    }
    if !cargo.wait()?.success() {
        bail!("the tests do not compile");
    }
    programs.sort();
    Ok(programs)
}

fn package_names() -> Result<BTreeMap<PathBuf, String>> {
    let packages = workspace::metadata(false)?.packages;
    Ok(packages.into_iter().map(|package| (package.manifest_path, package.name)).collect())
}

fn program(message: Message, packages: &BTreeMap<PathBuf, String>) -> Option<Program> {
    let is_test = message.profile.is_some_and(|profile| profile.test);
    let (path, target) = message.executable.filter(|_| is_test).zip(message.target)?;
    let kind = match target.kind.first()?.as_str() {
        "test" => Kind::Integration,
        "bin" => Kind::Binary,
        _ => Kind::Library,
    };
    let package = packages.get(&message.manifest_path)?.clone();
    let dir = message.manifest_path.parent().map(Path::to_owned)?;
    Some(Program { package, name: target.name, kind, path, dir })
}

#[cfg(test)]
mod tests {
    use super::Selection;

    fn selection(line: &str) -> Selection {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Selection::of(&words, false)
    }

    #[test]
    fn without_arguments_it_is_the_workspace() {
        let it = selection("");
        assert_eq!((it.cargo, it.program), (vec!["--workspace".to_owned()], vec![]));
        assert!(it.has_documentation);
    }

    #[test]
    fn filters_go_to_the_programs_and_the_rest_to_cargo() {
        let it = selection("-p acceptance --test=acceptance journey -- --exact");
        assert_eq!(it.cargo, ["-p", "acceptance", "--test=acceptance"]);
        assert_eq!(it.program, ["journey", "--exact"]);
        assert!(!it.has_documentation);
        assert!(selection("-p domain").has_documentation);
        let it = selection("-p domain --doc");
        assert!(it.has_documentation && it.is_documentation);
        assert_eq!(it.cargo, ["-p", "domain"]);
    }
}
