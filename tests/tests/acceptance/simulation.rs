//! The deterministic simulation: some seeds on every run; `cargo xtask sim` runs many.

use acceptance::simulation;
use xtask::trial;

/// How many seeds a run of the tests tries: an ordinary one, and a long one.
const SEEDS: usize = 50;
const SEEDS_SOAK: usize = 2_000;

#[test]
fn whole_hubs_survive_what_happens_to_them() {
    let halves = match trial::given_seed() {
        Some(seed) => [seed..seed + 1, 0..0],
        None => {
            let seeds = trial::rounds(SEEDS, SEEDS_SOAK) as u64;
            [0..seeds / 2, seeds / 2..seeds]
        }
    };
    std::thread::scope(|scope| {
        let run = |seeds: std::ops::Range<u64>| {
            for seed in seeds {
                if let Some(violation) = simulation::run(seed, false).violation {
                    eprintln!(
                        "{}",
                        trial::told(seed, "-p acceptance --test acceptance simulation")
                    );
                    panic!("{violation}\nsee it with: cargo xtask sim --seed {seed}");
                }
            }
        };
        let threads = halves.map(|half| scope.spawn(move || run(half)));
        for thread in threads {
            thread.join().expect("no history may be violated");
        }
    });
}

/// A seed that fails must fail again. Compared are all bytes that landed in the log and every step.
#[test]
fn a_seed_gives_the_same_history_again() {
    for seed in [3, 17, 29] {
        let (one, other) = (simulation::run(seed, true), simulation::run(seed, true));
        for (number, (one, other)) in one.lines.iter().zip(&other.lines).enumerate() {
            assert_eq!(one, other, "seed {seed} differs from line {number} on");
        }
        assert_eq!((one.hash, one.figures), (other.hash, other.figures));
        assert_ne!(one.hash, simulation::run(seed + 1, false).hash);
    }
}
