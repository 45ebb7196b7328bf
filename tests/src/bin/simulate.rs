//! The deterministic simulation from the command line: many seeds, or one that is told in words.
//!
//! `simulate [--seeds N] [--first S]` runs N histories (1,000 if nothing is said) from seed S on;
//! `simulate --seed S` prints the history of one.

#![expect(clippy::print_stdout, reason = "a command line tool prints its results")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use acceptance::simulation::{self, Figures};
use anyhow::{Context, Result, bail};

/// How many seeds pass between two lines of progress.
const SEEDS_PER_LINE: u64 = 100;

/// How many violations are shown before the rest is left alone.
const VIOLATIONS_MAX: usize = 5;

struct Options {
    seeds: u64,
    first: u64,
    seed: Option<u64>,
}

fn main() -> Result<ExitCode> {
    let options = options()?;
    if let Some(seed) = options.seed {
        return Ok(tell(seed));
    }
    Ok(run_many(&options))
}

fn options() -> Result<Options> {
    let mut options = Options { seeds: 1_000, first: 0, seed: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a number"))?;
        let value = value.parse().with_context(|| format!("{value:?} is no number"))?;
        match name.as_str() {
            "--seeds" => options.seeds = value,
            "--first" => options.first = value,
            "--seed" => options.seed = Some(value),
            _ => bail!("there is no option {name}; there are --seeds, --first and --seed"),
        }
    }
    Ok(options)
}

fn tell(seed: u64) -> ExitCode {
    let outcome = simulation::run(seed, true);
    for line in &outcome.lines {
        println!("{line}");
    }
    println!("{}", outcome.figures);
    println!("hash {}", outcome.hash);
    match outcome.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("VIOLATED: {violation}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Sum {
    figures: Figures,
    violations: usize,
}

fn run_many(options: &Options) -> ExitCode {
    let begun = Instant::now();
    let next = AtomicU64::new(options.first);
    let end = options.first + options.seeds;
    let sum = Mutex::new(Sum::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let mut sum_now = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    if seed >= end || sum_now.violations >= VIOLATIONS_MAX {
                        return;
                    }
                    drop(sum_now);
                    let outcome = simulation::run(seed, false);
                    sum_now = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    add(&mut sum_now, &outcome, begun);
                }
            });
        }
    });
    let Sum { figures, violations } = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{figures}; {violations} violations, {:.0?}", begun.elapsed());
    match violations {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn add(sum: &mut Sum, outcome: &simulation::Outcome, begun: Instant) {
    sum.figures += outcome.figures;
    if let Some(violation) = &outcome.violation {
        sum.violations += 1;
        let seed = outcome.seed;
        println!("seed {seed}: {violation}\n  see it with: cargo xtask sim --seed {seed}");
    }
    if sum.figures.seeds.is_multiple_of(SEEDS_PER_LINE) {
        println!("{} seeds, {:.0?}", sum.figures.seeds, begun.elapsed());
    }
}
