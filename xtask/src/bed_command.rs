//! `cargo xtask bed`: a test bed that stays up until it is told to end.
//!
//! `up` starts itself once more as `supervise`, detached from the terminal. That process owns
//! the bed in the way that a test does, so there is one way in which servers start and end.
//! `up` shows what it writes until the bed is ready. Whatever becomes of `up`, `down` ends the
//! bed by the record that the owner keeps.

use std::{
    env,
    fs::{self, File},
    io::{Read, Seek, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command as Program, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use xtask::bed::{self, Bed, State};

/// How often `up` looks for news of the bed, and the owner for servers that ended.
const LOOK: Duration = Duration::from_millis(100);
const WATCH: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build the parts that are not in the cache yet.
    Build,
    /// Start a bed and leave it running.
    Up(Up),
    /// End the bed.
    Down(Place),
    /// Show what runs.
    Status(Place),
    /// Own a bed; `up` starts this.
    #[command(hide = true)]
    Supervise(Up),
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The bed's directory [default: target/bed]
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    place: Place,
    /// Member clusters beside the hub.
    #[arg(long, default_value_t = 3)]
    members: u32,
    /// Kafka nodes: 0, 1 or 3.
    #[arg(long, default_value_t = 1)]
    kafka: u32,
    /// Let pods run: fake nodes, KWOK and a small scheduler in every member.
    #[arg(long)]
    kwok: bool,
}

pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Build => bed::build(),
        Command::Up(options) => up(&options),
        Command::Down(place) => down(&place.dir()),
        Command::Status(place) => status(&place.dir()),
        Command::Supervise(options) => supervise(&options),
    }
}

impl Place {
    fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(bed::default_dir)
    }
}

fn up(options: &Up) -> Result<()> {
    let dir = options.place.dir();
    if State::read(&dir).is_ok_and(|state| state.is_up()) {
        println!("a test bed runs already:");
        return status(&dir);
    }
    bed::build()?;
    let log = dir.with_extension("log");
    if let Some(parent) = log.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    }
    let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
    let mut owner = Program::new(env::current_exe()?)
        .args(["bed", "supervise", "--members", &options.members.to_string()])
        .args(["--kafka", &options.kafka.to_string()])
        .args(options.kwok.then_some("--kwok"))
        .arg("--dir")
        .arg(&dir)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()
        .context("start the process that owns the bed")?;
    follow(&mut owner, &log, &dir)?;
    status(&dir)
}

/// Shows the owner's log until the bed is ready or the owner gives up.
fn follow(owner: &mut Child, log: &Path, dir: &Path) -> Result<()> {
    let mut log = File::open(log)?;
    loop {
        let ended = owner.try_wait()?;
        let ready =
            State::read(dir).is_ok_and(|state| state.is_up() && state.owner.pid == owner.id());
        let mut news = Vec::new();
        let begin = log.stream_position()?;
        log.read_to_end(&mut news).with_context(|| format!("read the log from {begin}"))?;
        std::io::stderr().write_all(&news)?;
        if let Some(status) = ended {
            bail!("the bed did not start ({status})");
        }
        if ready {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
}

fn supervise(options: &Up) -> Result<()> {
    let bed = Bed::builder()
        .members(options.members)
        .kafka_nodes(options.kafka)
        .kwok(options.kwok)
        .dir(options.place.dir())
        .start()?;
    let mut told = String::new();
    loop {
        thread::sleep(WATCH);
        let news = bed.check().err().map_or_else(String::new, |error| format!("{error:#}"));
        if news != told {
            eprintln!("bed: {news}");
            told = news;
        }
    }
}

fn down(dir: &Path) -> Result<()> {
    if !State::find(dir)?.is_some_and(|state| state.runs()) {
        println!("no test bed runs in {}: there is nothing to end", dir.display());
        return Ok(());
    }
    let ended = bed::stop(dir)?;
    println!("ended {ended} processes; logs stay in {}", dir.display());
    Ok(())
}

fn status(dir: &Path) -> Result<()> {
    let Some(state) = State::find(dir)? else {
        println!("no test bed runs: start one with `cargo xtask bed up`");
        return Ok(());
    };
    for started in &state.processes {
        let word = if started.process.is_alive() { "runs" } else { "ended" };
        println!("{word:6} {:8} {}", started.process.pid, started.name);
    }
    if !state.is_up() {
        println!("no test bed runs: start one with `cargo xtask bed up`");
        return Ok(());
    }
    let kubeconfig = dir.join("kubeconfig").canonicalize()?;
    let names: Vec<&str> = state.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    println!("kubeconfig         {} (contexts: {})", kubeconfig.display(), names.join(", "));
    if let Some(bootstrap) = &state.kafka_bootstrap {
        println!("bootstrap.servers  {bootstrap}");
    }
    println!("logs               {}", kubeconfig.with_file_name("<server>").display());
    Ok(())
}
