//! The benchmarks: `bench [NAME …] [-o json] [--file PATH]`. `cargo xtask bench` builds and calls it.
//!
//! It starts itself again for each part (`bench part NAME`) and for members that must not count as
//! the hub's memory (`bench simulate MEMBERS`).

use std::process::ExitCode;

use acceptance::{bench, in_a_system};
use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<bool> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["part", name] => {
            let mut measured = Ok(());
            in_a_system(async { measured = bench::measure(name).await });
            measured.map(|()| true)
        }
        ["simulate", members] => {
            bench::simulate(members.parse().context("how many members")?).map(|()| true)
        }
        _ => bench::run(&options(arguments)?),
    }
}

fn options(arguments: Vec<String>) -> Result<bench::Options> {
    let mut options = bench::Options::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-o" | "--output" => match arguments.next().as_deref() {
                Some("json") => options.json = true,
                Some("table") => options.json = false,
                other => bail!("-o json or -o table, not {other:?}"),
            },
            "--file" => options.file = Some(arguments.next().context("--file PATH")?.into()),
            flag if flag.starts_with('-') => bail!("there is no option {flag}"),
            _ => options.names.push(argument),
        }
    }
    Ok(options)
}
