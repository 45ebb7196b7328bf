//! Runs parts one after the other, each in a process of its own, and writes the report.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use xtask::bed::{self, BED_DIR, BED_KUBECONFIG, BED_MODE, Bed};

use super::report::{Figure, Report};
use super::{PARTS, Part};

/// What to measure, and where to say it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The parts; all when empty.
    pub names: Vec<String>,
    /// Print JSON instead of the table.
    pub json: bool,
    /// Where the JSON is written as well.
    pub file: Option<PathBuf>,
}

/// Measures, prints and writes. Says whether everything could be measured; a budget that is not
/// met is no failure.
///
/// # Errors
/// When a name is unknown, or the report cannot be written.
#[expect(clippy::print_stdout, reason = "the report is what it is for")]
pub fn run(options: &Options) -> Result<bool> {
    let parts = chosen(&options.names)?;
    let (mut figures, mut failed) = (vec![], BTreeMap::new());
    let mut bed = TestBed::NotAsked;
    for part in &parts {
        if part.needs_bed
            && let Err(error) = bed.start()
        {
            failed.insert(part.name.to_owned(), format!("no test bed: {error:#}"));
            continue;
        }
        eprintln!("bench: {}", part.name);
        if let Err(error) = run_part(part, &bed, &mut figures) {
            eprintln!("bench: {}: {error:#}", part.name);
            failed.insert(part.name.to_owned(), format!("{error:#}"));
        }
    }
    drop(bed);
    let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
    let report = Report::of(&names, &figures, &failed);
    let json = serde_json::to_string_pretty(&report)?;
    if let Some(file) = &options.file {
        std::fs::write(file, &json).with_context(|| format!("write {}", file.display()))?;
    }
    println!("{}", if options.json { json } else { report.table() });
    Ok(!report.is_incomplete() && failed.is_empty())
}

/// The parts that were asked for, in the order in which they run.
fn chosen(names: &[String]) -> Result<Vec<Part>> {
    let unknown = names.iter().find(|name| !PARTS.iter().any(|part| part.name == **name));
    if let Some(unknown) = unknown {
        let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        bail!("there is no part {unknown:?}; there are: {}", known.join(", "));
    }
    let wanted = |part: &&Part| names.is_empty() || names.iter().any(|name| name == part.name);
    Ok(PARTS.iter().filter(wanted).copied().collect())
}

/// The bed, started when a part first needs it.
enum TestBed {
    NotAsked,
    /// Whoever started this process has one, and named it in the environment.
    Given,
    Own(Box<Bed>),
    Failed(String),
}

impl TestBed {
    fn start(&mut self) -> Result<()> {
        if let Self::NotAsked = self {
            let started = if env::var_os(BED_DIR).is_some() {
                Ok(Self::Given)
            } else {
                let started = bed::build().and_then(|()| bed::start_shareable());
                started.map(|bed| Self::Own(Box::new(bed)))
            };
            *self = started.unwrap_or_else(|error| Self::Failed(format!("{error:#}")));
        }
        match self {
            Self::Failed(why) => bail!("{why}"),
            Self::NotAsked | Self::Given | Self::Own(_) => Ok(()),
        }
    }
}

fn run_part(part: &Part, bed: &TestBed, figures: &mut Vec<Figure>) -> Result<()> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["part", part.name]).stdin(Stdio::null()).stdout(Stdio::piped());
    if let TestBed::Own(bed) = bed {
        let place: [(&str, &Path); 2] =
            [(BED_DIR, bed.dir()), (BED_KUBECONFIG, &bed.kubeconfig_path())];
        command.envs(place).env(BED_MODE, "required");
    }
    let mut process = command.spawn().context("start the process that measures")?;
    let output = process.stdout.take().context("its output is piped")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        match serde_json::from_str::<Figure>(&line) {
            Ok(figure) => {
                eprintln!("bench: {} {}: {:.2}", figure.part, figure.key, figure.figure);
                figures.push(figure);
            }
            Err(_) => eprintln!("{line}"),
        }
    }
    let status = process.wait()?;
    if !status.success() {
        bail!("it failed ({status}): what it said is above");
    }
    Ok(())
}
