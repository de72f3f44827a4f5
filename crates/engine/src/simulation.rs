//! Deterministic simulation of the step loop over a model with a shadow KV cache.
//!
//! A seed makes a small configuration and a list of operations: requests with shared prefixes,
//! clients that leave or never read, adapters that come and go, time that passes, a device that fails. The loop is then driven
//! by hand on one thread with a clock of the test's own. Each step the invariants are checked and
//! the runner checks that attention reads exactly each sequence's own history. At the end every
//! answer equals that of the same request run alone with all the memory it wants (or is the start
//! of it, when a background request was abandoned), what a probe of an idle engine predicted is
//! what was then taken from the cache, every block is free, and the whole run, done twice, has left
//! the same trace.
//!
//! `PURSER_SIMULATION_SEEDS=N` runs N seeds instead of the default; `PURSER_SIMULATION_SEED=S` runs
//! seed S alone. Seeds that once failed are kept in `simulation/failed_seeds.txt` and always run.

mod adapters;
mod client;
mod constraint;
mod occurrences;
mod probing;
mod random;
mod scenario;
mod shelf;
mod world;

use occurrences::Occurrences;
use scenario::Scenario;
use world::World;

/// Seeds that every test run covers.
const DEFAULT_SEEDS: u64 = 2_000;

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own knob, not configuration"
)]
fn knob(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().expect("the knob is a number"))
}

fn run(seed: u64) -> Occurrences {
    let outcome = std::panic::catch_unwind(|| {
        let scenario = Scenario::from_seed(seed);
        let first = World::new(&scenario).run();
        let second = World::new(&scenario).run();
        assert_eq!(
            first.trace, second.trace,
            "the same seed left two different traces"
        );
        first.occurrences
    });
    outcome.unwrap_or_else(|cause| {
        eprintln!(
            "seed {seed} failed; replay it with\n  PURSER_SIMULATION_SEED={seed} cargo test -p engine \
             simulation\nand keep it in crates/engine/src/simulation/failed_seeds.txt"
        );
        std::panic::resume_unwind(cause);
    })
}

#[test]
fn every_seed_keeps_the_invariants_and_the_answers() {
    if let Some(seed) = knob("PURSER_SIMULATION_SEED") {
        run(seed);
        return;
    }
    let kept = include_str!("simulation/failed_seeds.txt");
    for line in kept.lines().filter(|line| !line.starts_with('#')) {
        run(line.parse().expect("a line is a seed"));
    }
    let mut total = Occurrences::default();
    for seed in 0..knob("PURSER_SIMULATION_SEEDS").unwrap_or(DEFAULT_SEEDS) {
        total.add(run(seed));
    }
    total.assert_all_happened();
}
