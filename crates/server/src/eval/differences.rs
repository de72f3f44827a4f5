//! Policies against the server's own, episode by episode.

use serde::Serialize;

use super::bootstrap::{Interval, interval};
use super::policy::Policy;
use super::replay::{Run, Turn};
use super::report::Measured;
use super::summary::{Tally, percent, tally};

/// A policy minus `ours` under the same budget, over the episodes that both have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Difference {
    pub(super) policy: Policy,
    /// Percent.
    pub(super) budget: u32,
    pub(super) traces: usize,
    /// Of the shares of right answers.
    pub(super) retention: Option<Interval>,
    /// Computed tokens of the replay by those of ours.
    pub(super) prefilled_ratio: Option<Interval>,
}

/// One episode under both.
#[derive(Debug, Clone, Copy)]
struct Pair {
    theirs: (Tally, u64),
    ours: (Tally, u64),
}

/// By budget from the largest, then by policy; empty if `ours` was not measured.
pub(super) fn differences(measured: &Measured, seed: u64) -> Vec<Difference> {
    let mut budgets: Vec<u32> = measured.runs.iter().filter_map(percent).collect();
    budgets.sort_unstable_by(|a, b| b.cmp(a));
    budgets.dedup();
    let policies = || Policy::ALL.into_iter().filter(|policy| policy.has_budget());
    let mut differences = Vec::new();
    for budget in budgets {
        for policy in policies().filter(|&policy| policy != Policy::Ours) {
            let pairs = pairs(measured, policy, budget);
            if !pairs.is_empty() {
                differences.push(difference(policy, budget, &pairs, seed));
            }
        }
    }
    differences
}

fn pairs(measured: &Measured, policy: Policy, budget: u32) -> Vec<Pair> {
    let of = |policy: Policy, trace: usize| {
        measured
            .runs
            .iter()
            .find(|run| run.policy == policy && run.trace == trace && percent(run) == Some(budget))
    };
    let figures = |run: &Run| {
        let prefilled = run.turns.iter().map(Turn::prefilled).sum();
        (tally(measured, run), prefilled)
    };
    (0..measured.traces.len())
        .filter_map(|trace| {
            Some(Pair {
                theirs: figures(of(policy, trace)?),
                ours: figures(of(Policy::Ours, trace)?),
            })
        })
        .collect()
}

fn difference(policy: Policy, budget: u32, pairs: &[Pair], seed: u64) -> Difference {
    let retention = interval(pairs, seed, |pairs| {
        let theirs = Tally::share(pairs.iter().map(|pair| pair.theirs.0))?;
        Some(theirs - Tally::share(pairs.iter().map(|pair| pair.ours.0))?)
    });
    let prefilled_ratio = interval(pairs, seed, |pairs| {
        let theirs: u64 = pairs.iter().map(|pair| pair.theirs.1).sum();
        let ours: u64 = pairs.iter().map(|pair| pair.ours.1).sum();
        (ours > 0).then(|| theirs as f64 / ours as f64)
    });
    Difference {
        policy,
        budget,
        traces: pairs.len(),
        retention,
        prefilled_ratio,
    }
}
