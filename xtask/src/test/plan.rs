//! What runs, in which order, and what must not run at the same time.

use std::{
    collections::VecDeque,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::build::{Kind, Program, Selection};

/// Something that runs in a process of its own.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// Such as `acceptance kill::on_kafka`.
    pub(super) name: String,
    /// What runs it alone, after `cargo xtask test`.
    pub(super) again: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) dir: PathBuf,
    pub(super) needs: Needs,
    pub(super) size: Size,
}

/// What a job has for itself while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    /// The real clusters of the bed: there is one fleet, and one hub may rule it.
    Clusters,
    /// Nothing.
    Nothing,
    /// Room on the real clusters, beside others that keep to names of their own.
    RoomOnClusters,
    /// The whole machine: it measures.
    Machine,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// One test, which passed if its process ended well.
    Test,
    /// A program that says itself how many tests passed.
    Program,
}

/// All jobs, the longest first, and how many tests wait to be asked for by name.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) jobs: Vec<Job>,
    pub(super) ignored: u64,
}

/// Tests that are alone on the machine: what they measure has a bound.
const MEASURES: [&str; 2] = ["simulator thousands", "acceptance two_hubs::"];

/// Packages in which a test with `real` in its name rules the real clusters. (That it has them to
/// itself is made sure by `Ground::real`; here it is about not waiting in vain.)
const RULERS: [&str; 2] = ["acceptance", "taffrail"];

/// Tests that take long, or keep a processor busy, begin early: what begins last ends last.
const LONG: [&str; 6] = [
    "acceptance kill::",
    "acceptance submitted::",
    "event-log-kafka crashes::",
    "xtask ",
    "acceptance ",
    "taffrail ",
];

/// The jobs of programs.
pub(super) fn of(programs: &[Program], selection: &Selection) -> Result<Plan> {
    let mut plan = Plan::default();
    for program in programs {
        match program.kind {
            Kind::Library | Kind::Binary => plan.jobs.push(whole(program, selection)),
            Kind::Integration => {
                let wants_ignored = selection.program.iter().any(|it| it.ends_with("ignored"));
                let ignored = list(program, &["--ignored"], selection)?;
                let ignored = if wants_ignored { vec![] } else { ignored };
                let tests = list(program, &[], selection)?.into_iter();
                plan.jobs.extend(
                    tests
                        .filter(|test| !ignored.contains(test))
                        .map(|test| single(program, &test, selection)),
                );
                plan.ignored += ignored.len() as u64;
            }
        }
    }
    plan.jobs.sort_by_key(|job| (job.needs, rank(&job.name)));
    Ok(plan)
}

fn rank(name: &str) -> usize {
    LONG.iter().position(|start| name.starts_with(start)).unwrap_or(LONG.len())
}

fn needs(package: &str, name: &str) -> Needs {
    match () {
        () if MEASURES.iter().any(|start| name.starts_with(start)) => Needs::Machine,
        () if !name.contains("real") => Needs::Nothing,
        () if RULERS.contains(&package) || name.contains("conforms") => Needs::Clusters,
        () => Needs::RoomOnClusters,
    }
}

fn whole(program: &Program, selection: &Selection) -> Job {
    let flag = program.kind.flag(&program.name);
    Job {
        name: format!("{} ({flag})", program.package),
        again: format!("-- -p {} {flag}", program.package),
        arguments: selection.program.clone(),
        size: Size::Program,
        needs: Needs::Nothing,
        ..job(program)
    }
}

fn single(program: &Program, test: &str, selection: &Selection) -> Job {
    let flag = program.kind.flag(&program.name);
    let name = match program.name.as_str() {
        "it" | "acceptance" => format!("{} {test}", program.package),
        program_name => format!("{} {program_name}::{test}", program.package),
    };
    let mut arguments = vec![test.to_owned(), "--exact".to_owned(), "--nocapture".to_owned()];
    arguments.extend(selection.program.iter().filter(|it| it.ends_with("ignored")).cloned());
    Job {
        needs: needs(&program.package, &name),
        name,
        again: format!("-- -p {} {flag} -- --exact {test}", program.package),
        arguments,
        size: Size::Test,
        ..job(program)
    }
}

fn job(program: &Program) -> Job {
    Job {
        name: String::new(),
        again: String::new(),
        program: program.path.clone(),
        arguments: vec![],
        environment: vec![(
            "CARGO_MANIFEST_DIR".to_owned(),
            program.dir.to_string_lossy().into_owned(),
        )],
        dir: program.dir.clone(),
        needs: Needs::Nothing,
        size: Size::Program,
    }
}

/// The names of the tests that are selected.
fn list(program: &Program, flags: &[&str], selection: &Selection) -> Result<Vec<String>> {
    let output = Command::new(&program.path)
        .args(["--list", "--format", "terse"])
        .args(flags)
        .args(selection.program.iter().filter(|it| *it != "--nocapture"))
        .current_dir(&program.dir)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {}", program.path.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} does not list its tests: {said}", program.path.display());
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(lines.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// The first job that may run beside those that run.
pub(super) fn next(waiting: &mut VecDeque<Job>, running: &[Needs]) -> Option<Job> {
    let place = waiting.iter().position(|job| {
        let beside = |other: &Needs| match (job.needs, other) {
            (Needs::Machine, _) | (_, Needs::Machine) => false,
            (Needs::Clusters, Needs::Clusters | Needs::RoomOnClusters) => false,
            (Needs::RoomOnClusters, Needs::Clusters) => false,
            (Needs::Nothing | Needs::Clusters | Needs::RoomOnClusters, _) => true,
        };
        running.iter().all(beside)
    })?;
    waiting.remove(place)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::{Job, Kind, Needs, Program, job, needs, next};

    fn waiting(needs: &[Needs]) -> VecDeque<Job> {
        let program = Program {
            package: String::new(),
            name: String::new(),
            kind: Kind::Integration,
            path: "".into(),
            dir: "".into(),
        };
        needs.iter().map(|needs| Job { needs: *needs, ..job(&program) }).collect()
    }

    #[test]
    fn one_rules_the_clusters_and_others_go_on_meanwhile() {
        use Needs::{Clusters, Machine, Nothing, RoomOnClusters};
        let mut left = waiting(&[Clusters, RoomOnClusters, Nothing, Machine]);
        let mut take = |running: &[Needs]| next(&mut left, running).map(|job| job.needs);
        assert_eq!(take(&[Clusters]), Some(Nothing));
        assert_eq!(take(&[Clusters]), None);
        assert_eq!(take(&[RoomOnClusters]), Some(RoomOnClusters));
        assert_eq!(take(&[Nothing]), Some(Clusters));
        assert_eq!(take(&[Nothing]), None, "measuring waits until it is alone");
        assert_eq!(take(&[]), Some(Machine));
    }

    #[test]
    fn a_name_tells_what_a_test_needs() {
        let name = "acceptance journey::on_real_clusters_with_either_log";
        assert_eq!(needs("acceptance", name), Needs::Clusters);
        assert_eq!(needs("delivery", "delivery real::first_delivery"), Needs::RoomOnClusters);
        assert_eq!(needs("acceptance", "acceptance bad_days::anything"), Needs::Nothing);
    }
}
