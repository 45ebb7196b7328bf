//! How hard a test tries, as `cargo xtask test` says through the environment: how many rounds, and
//! from which seed. Nothing else reads these variables.

use std::{
    env,
    hash::{BuildHasher, Hasher, RandomState},
    thread,
};

/// Set: hundreds of rounds (`cargo xtask test --soak`).
pub const SOAK: &str = "TAFFRAIL_SOAK";

/// The seed for the tests that take one (`cargo xtask test --seed N`).
pub const SEED: &str = "TAFFRAIL_SEED";

/// How the line starts with which a test tells its seed.
const TOLD: &str = "seed ";

/// How many rounds a test has: some in an ordinary run, many in one that is left alone for hours.
pub fn rounds(ordinary: usize, soak: usize) -> usize {
    if env::var_os(SOAK).is_some() { soak } else { ordinary }
}

/// The seed that was asked for.
///
/// # Panics
/// It is no number.
pub fn given_seed() -> Option<u64> {
    let seed = env::var(SEED).ok()?;
    Some(seed.parse().unwrap_or_else(|_| panic!("{SEED}={seed} is no number")))
}

/// The seed of the calling test: the one that was asked for, or a new one. A test that fails has
/// told it, with the command that repeats the test.
#[macro_export]
macro_rules! seed {
    () => {
        $crate::trial::seed(env!("CARGO_PKG_NAME"), env!("CARGO_CRATE_NAME"))
    };
}

/// The seeds of the calling test: the one that was asked for, or so many from zero on. A test that
/// fails has told the one that it failed with last.
#[macro_export]
macro_rules! seeds {
    ($ordinary:expr, $soak:expr) => {
        $crate::trial::seeds(env!("CARGO_PKG_NAME"), env!("CARGO_CRATE_NAME"), $ordinary, $soak)
    };
}

/// [`seed!`](crate::seed), for a test in this program of this package.
pub fn seed(package: &str, program: &str) -> u64 {
    let seed = given_seed().unwrap_or_else(|| RandomState::new().build_hasher().finish());
    tell(seed, package, program);
    seed
}

/// [`seeds!`](crate::seeds), for a test in this program of this package.
pub fn seeds(
    package: &'static str,
    program: &'static str,
    ordinary: usize,
    soak: usize,
) -> impl Iterator<Item = u64> {
    let seeds = match given_seed() {
        Some(seed) => seed..seed + 1,
        None => 0..rounds(ordinary, soak) as u64,
    };
    seeds.inspect(move |seed| tell(*seed, package, program))
}

/// Tells a seed: the harness shows it when the test fails.
fn tell(seed: u64, package: &str, program: &str) {
    let test = thread::current().name().unwrap_or_default().to_owned();
    let which = format!("-p {package} --test {program} -- --exact {test}");
    eprintln!("{}", told(seed, &which));
}

/// The line with which a test tells its seed, and the arguments that select the test.
pub fn told(seed: u64, which: &str) -> String {
    format!("{TOLD}{seed}: again with `cargo xtask test --seed {seed} -- {which}`")
}

/// The seed that a line tells.
pub fn seed_in(line: &str) -> Option<u64> {
    line.strip_prefix(TOLD)?.split(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{seed_in, told};

    #[test]
    fn a_seed_is_read_from_the_line_that_tells_it() {
        let line = told(42, "-p gadget");
        assert!(line.contains("cargo xtask test --seed 42 -- -p gadget"), "{line}");
        assert_eq!(seed_in(&line), Some(42));
        assert_eq!(seed_in("seeds: 42"), None);
    }
}
