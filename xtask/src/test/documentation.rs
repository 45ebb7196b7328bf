//! Examples in the documentation, and the documentation itself.
//!
//! `cargo doc` checks every dependency anew, for it needs less of them than a build. Rustdoc is
//! content with what the build has made, and `cargo test --doc` calls it so. Where warnings are
//! errors, this program stands in for rustdoc there: it writes the pages of a crate first.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

use super::{
    build::Selection,
    plan::{Job, Needs, Size},
};
use crate::workspace;

/// Makes this program rustdoc, and says where the real one is.
const REAL_RUSTDOC: &str = "XTASK_RUSTDOC";

/// Links to private items are for whoever reads the source.
const STRICT: [&str; 4] = ["-D", "warnings", "-A", "rustdoc::private_intra_doc_links"];

/// Options of rustdoc that are about running examples, and whether a value follows.
const OF_EXAMPLES: [(&str, bool); 7] = [
    ("--test", false),
    ("--no-run", false),
    ("--nocapture", false),
    ("--no-capture", false),
    ("--test-args", true),
    ("--test-run-directory", true),
    ("--test-runtool", true),
];

/// The job that runs the examples of the documentation.
pub(super) fn job(selection: &Selection) -> Result<Job> {
    let mut command = selection.cargo_test();
    command.arg("--doc").arg("--").args(&selection.program);
    if selection.is_strict {
        let real = env::var_os("RUSTDOC").unwrap_or_else(|| "rustdoc".into());
        command.env(REAL_RUSTDOC, real);
        command.env("RUSTDOC", env::current_exe().context("where this program is")?);
    }
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    let environment = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    Ok(Job {
        name: "documentation".to_owned(),
        again: if selection.is_strict { "--strict -- --doc" } else { "-- --doc" }.to_owned(),
        program: command.get_program().into(),
        arguments: command.get_args().map(text).collect(),
        environment: environment.map(|(name, value)| (text(name), text(value))).collect(),
        dir: workspace::root(),
        needs: Needs::Nothing,
        size: Size::Program,
    })
}

/// Acts as rustdoc if this program was started for it.
pub(crate) fn as_rustdoc() -> Option<ExitCode> {
    let real = env::var_os(REAL_RUSTDOC)?;
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let run = |arguments: &[OsString]| {
        let status = Command::new(&real).args(arguments).status();
        status.is_ok_and(|status| status.success())
    };
    let is_fine = pages(&arguments).is_none_or(|pages| run(&pages)) && run(&arguments);
    Some(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The arguments that write a crate's pages, from those that run its examples; `None` when they
/// are about something else.
fn pages(arguments: &[OsString]) -> Option<Vec<OsString>> {
    if !arguments.iter().any(|it| it == "--test") {
        return None;
    }
    let mut pages = vec![];
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match OF_EXAMPLES.iter().find(|(option, _)| argument == option) {
            Some((_, true)) => drop(arguments.next()),
            Some((_, false)) => {}
            None => pages.push(argument.clone()),
        }
    }
    pages.extend(["--out-dir".into(), workspace::target_dir().join("doc").into()]);
    pages.extend(STRICT.map(OsString::from));
    Some(pages)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::pages;

    #[test]
    fn pages_are_written_from_what_examples_are_run_with() {
        let line = "--edition=2024 --crate-name gadget --test src/lib.rs --test-run-directory . \
                    --extern serde=libserde.rlib";
        let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let pages = pages(&arguments).expect("examples are run");
        let kept = "--edition=2024 --crate-name gadget src/lib.rs --extern serde=libserde.rlib";
        let kept: Vec<OsString> = kept.split_whitespace().map(OsString::from).collect();
        assert_eq!(pages[..kept.len()], kept);
        assert!(pages.contains(&"warnings".into()));
        assert_eq!(super::pages(&["-vV".into()]), None);
    }
}
