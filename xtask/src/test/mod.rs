//! `cargo xtask test`: all tests of the workspace against one shared test bed.
//!
//! Everything is compiled before the bed starts, so that no server idles through a build. Then
//! several tests run side by side, as [`plan`] says, each test outside of a crate in a process of
//! its own. What a test prints is kept and shown if it fails. The last line is the sum.

mod build;
mod changed;
mod deadline;
mod documentation;
mod plan;
mod pool;
mod report;
mod results;

use anyhow::Result;
use clap::Args;
use xtask::{
    bed::{self, BED_DIR, BED_KUBECONFIG, BED_MODE, Bed},
    trial,
};

pub(crate) use self::documentation::as_rustdoc;
use self::{build::Selection, plan::Job, report::Report};

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Without the bed: tests that need real servers say that they are skipped.
    #[arg(long)]
    fast: bool,
    /// Only what the changes since BASE can affect, those that are not committed included.
    #[arg(long, value_name = "BASE", num_args = 0..=1, default_missing_value = "origin/main")]
    changed: Option<String>,
    /// Hundreds of rounds where an ordinary run has some: kills, seeds.
    #[arg(long)]
    soak: bool,
    /// The seed that a failed test has named, for the tests that take one.
    #[arg(long)]
    seed: Option<u64>,
    /// Compile with Clippy and make every warning an error, those of the documentation too.
    #[arg(long)]
    strict: bool,
    /// Only compile.
    #[arg(long)]
    no_run: bool,
    /// How many tests run at once.
    #[arg(long, default_value_t = pool::JOBS, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// Arguments for `cargo test` instead of `--workspace`, such as `-- -p domain`.
    #[arg(last = true)]
    cargo_args: Vec<String>,
}

pub(crate) fn run(options: &Test) -> Result<()> {
    let affected = match &options.changed {
        Some(base) => match changed::packages(base)? {
            packages if packages.is_empty() => {
                println!("nothing that changed since {base} can affect a test");
                println!("0 passed, 0 failed");
                return Ok(());
            }
            packages => Some(packages),
        },
        None => None,
    };
    let selection = Selection::of(&options.cargo_args, options.strict);
    let mut programs = build::programs(&selection)?;
    if options.no_run {
        return Ok(());
    }
    if let Some(packages) = &affected {
        println!("changed: {}", packages.iter().cloned().collect::<Vec<_>>().join(", "));
        programs.retain(|program| packages.contains(&program.package));
    }
    let needs_bed = !options.fast && {
        let users = changed::users_of_the_bed()?;
        programs.iter().any(|program| users.contains(&program.package))
    };
    let mut plan = plan::of(&programs, &selection)?;
    if selection.has_documentation {
        plan.jobs.push(documentation::job(&selection)?);
    }
    let bed = if needs_bed { Some(start_bed()?) } else { None };
    for job in &mut plan.jobs {
        tell(job, options, bed.as_ref());
    }
    let done = pool::run(plan.jobs, options.jobs.into(), deadline::of(options.soak))?;
    drop(bed);
    let report = Report::of(&done, plan.ignored);
    report.print();
    report.outcome(needs_bed)
}

fn start_bed() -> Result<Bed> {
    bed::build()?;
    bed::start_shareable()
}

/// Tells a job through its environment where the bed is, and how hard to try.
fn tell(job: &mut Job, options: &Test, bed: Option<&Bed>) {
    let mut set = |name: &str, value: &str| job.environment.push((name.into(), value.into()));
    match bed {
        None => set(BED_MODE, "off"),
        Some(bed) => {
            set(BED_MODE, "required");
            set(BED_DIR, &bed.dir().to_string_lossy());
            set(BED_KUBECONFIG, &bed.kubeconfig_path().to_string_lossy());
        }
    }
    if options.soak {
        set(trial::SOAK, "1");
    }
    if let Some(seed) = options.seed {
        set(trial::SEED, &seed.to_string());
    }
}
