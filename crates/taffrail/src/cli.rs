//! The command line: what can be asked for, and how wrong use is answered.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::client::DEFAULT_SERVER;
use crate::commands::{
    crds, doctor, events, handover, held, history, hub, join, leave, log, replay, status, version,
    why,
};
use crate::config;
use crate::demo::{self, DemoOptions};
use crate::output::Format;
use crate::telemetry::{self, LogFormat, Telemetry};
use crate::usage::Usage;

/// Manages resources on a fleet of Kubernetes clusters, and keeps a record of every decision.
#[derive(Debug, Parser)]
#[command(
    name = "taffrail",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = false,
    after_help = "Exit codes: 0 done, 1 it failed, 2 the command line or the configuration is wrong."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// The form of the answer
    #[arg(short, long, value_enum, global = true, default_value_t)]
    pub(crate) output: Format,
    /// URL of the hub's HTTP API
    #[arg(
        long,
        global = true,
        env = "TAFFRAIL_SERVER",
        default_value = DEFAULT_SERVER,
        value_name = "URL"
    )]
    pub(crate) server: String,
    /// The form of the logs on standard error; RUST_LOG says how much of them
    #[arg(long, value_enum, global = true, default_value_t)]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a hub
    Hub(hub::Args),
    /// Run a hub and a fleet of simulated members with a small application, to look around
    Demo(DemoOptions),
    /// The hub's custom resource definitions
    Crds(crds::Args),
    /// Make a cluster a member of the fleet
    Join(Box<join::Args>),
    /// End a cluster's membership; what was placed on it stays there
    Leave(leave::Args),
    /// Show the hub, its clusters and its placements
    Status(status::Args),
    /// Show what the hub's Kubernetes API lost without anybody deleting it, and say what counts
    Held(held::Args),
    /// Mend the record after its log was restored from an older copy
    Log(log::Args),
    /// Show what happened
    Events(events::Args),
    /// Show everything that happened to one thing
    History(history::Args),
    /// Show why a placement is on a cluster, or is not
    Why(why::Args),
    /// Decide everything on record again
    Replay(replay::Args),
    /// Hand a hub cluster over to the deployment of a configuration
    Handover(handover::Args),
    /// Find what keeps a hub from its work, and how to mend it
    Doctor(doctor::Args),
    /// Show the version
    Version,
}

const EXIT_FAILURE: u8 = 1;
const EXIT_USAGE: u8 = 2;

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    match parse(std::env::args_os()) {
        Ok(cli) => exit(run(cli)),
        Err(Parsed::Shown(text)) => exit(crate::output::write(&text).map_err(Into::into)),
        Err(Parsed::Wrong(message)) => {
            complain(&message);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// What came of a command line that is no command.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// Somebody asked for help, or the version.
    Shown(String),
    /// One line what, one line how.
    Wrong(String),
}

fn parse(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Cli, Parsed> {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let parsed = Cli::command().try_get_matches_from(&arguments).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((cli, matches))
    });
    let (cli, matches) = parsed.map_err(|error| no_command(&error, &arguments))?;
    check_flags(&matches)?;
    Ok(cli)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "every other kind of error is a wrong use")]
fn no_command(error: &clap::Error, arguments: &[OsString]) -> Parsed {
    let page = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Parsed::Shown(page),
        _ => Parsed::Wrong(two_lines(&page, &help_of(arguments))),
    }
}

/// Flags of commands that ask, given to one that does not.
fn check_flags(matches: &ArgMatches) -> Result<(), Parsed> {
    let Some(name @ ("hub" | "demo")) = matches.subcommand_name() else { return Ok(()) };
    let is_given = |flag: &&str| matches.value_source(flag) == Some(ValueSource::CommandLine);
    match ["output", "server"].into_iter().find(is_given) {
        Some(flag) => Err(Parsed::Wrong(format!(
            "error: --{flag} is for commands that ask a hub; {name} runs one\n\
             see: taffrail {name} --help"
        ))),
        None => Ok(()),
    }
}

/// How to see the help of the command that was meant, as far as one can tell.
fn help_of(arguments: &[OsString]) -> String {
    let cli = Cli::command();
    let is_command = |word: &&str| cli.find_subcommand(word).is_some();
    match arguments.iter().skip(1).filter_map(|word| word.to_str()).find(is_command) {
        Some(command) => format!("taffrail {command} --help"),
        None => "taffrail --help".to_owned(),
    }
}

/// What clap says in a page, in two lines.
fn two_lines(page: &str, help: &str) -> String {
    let mut paragraphs = page.split("\n\n");
    let join = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = join(paragraphs.next().unwrap_or_default());
    let usage = page.lines().find_map(|line| line.strip_prefix("Usage: "));
    // It shows when it comes from the environment.
    let usage = usage.map(|usage| usage.replace("--server <URL> ", ""));
    let tip = page.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let how = match (tip, usage) {
        (Some(tip), _) => format!("tip: {tip}"),
        (None, Some(usage)) => format!("usage: {usage}"),
        (None, None) => format!("see: {help}"),
    };
    format!("{what}\n{how}")
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others ask and end: see `ask`")]
fn run(cli: Cli) -> Result<()> {
    let Cli { global, command } = cli;
    match command {
        Command::Hub(args) => hub::run(args, &global),
        Command::Demo(options) => run_demo(options, &global),
        Command::Version => version::run(global.output),
        other => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                telemetry::log(global.log_format, telemetry::QUIET);
                ask(other, &global).await
            })
        }
    }
}

/// The commands that ask a hub or a Kubernetes API, and end.
async fn ask(command: Command, global: &Global) -> Result<()> {
    match command {
        Command::Crds(args) => crds::run(args, global).await,
        Command::Join(args) => join::run(*args, global).await,
        Command::Leave(args) => leave::run(args, global).await,
        Command::Status(args) => status::run(args, global).await,
        Command::Held(args) => held::run(args, global).await,
        Command::Log(args) => log::run(args, global).await,
        Command::Events(args) => events::run(args, global).await,
        Command::History(args) => history::run(args, global).await,
        Command::Why(args) => why::run(args, global).await,
        Command::Replay(args) => replay::run(args, global).await,
        Command::Handover(args) => handover::run(args, global).await,
        Command::Doctor(args) => doctor::run(args, global).await,
        Command::Hub(_) | Command::Demo(_) | Command::Version => {
            unreachable!("they have a runtime of their own")
        }
    }
}

fn run_demo(options: DemoOptions, global: &Global) -> Result<()> {
    crate::private::from_now_on();
    hub::system(config::cores()).block_on(async {
        let _telemetry = Telemetry::with_traces(global.log_format, telemetry::QUIET)?;
        demo::run(options).await
    })
}

fn exit(result: Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if is_reader_gone(&error) {
        return ExitCode::SUCCESS;
    }
    complain(&told(&error));
    ExitCode::from(if usage(&error).is_some() { EXIT_USAGE } else { EXIT_FAILURE })
}

/// What is said about an error: one line, and for wrong use one about how.
fn told(error: &anyhow::Error) -> String {
    let what = format!("error: {}", chain(error));
    match usage(error) {
        Some(usage) => format!("{what}\n{}", usage.how),
        None => what,
    }
}

fn usage(error: &anyhow::Error) -> Option<&Usage> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

/// The error and what led to it, in one line; what a cause repeats is said once.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Whoever read the output, such as `head`, has seen enough.
fn is_reader_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let error = cause.downcast_ref::<io::Error>();
        error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn complain(message: &str) {
    // Nobody can be told when standard error is closed.
    drop(writeln!(io::stderr(), "{message}"));
}

/// Turns what is wrong with the configuration into wrong use.
pub(crate) fn configuration(path: &std::path::Path) -> Result<crate::serve::ServeConfig> {
    config::read(path)
        .map_err(|error| {
            let source = std::error::Error::source(&error);
            let why = source.map(|source| format!(": {source}")).unwrap_or_default();
            Usage::new(format!("{error}{why}"), error.how())
        })
        .context("the configuration cannot be used")
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
