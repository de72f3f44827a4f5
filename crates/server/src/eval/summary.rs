//! The runs as figures by policy and budget.

use serde::Serialize;

use super::bootstrap::{Interval, interval};
use super::facts::FactKind;
use super::policy::Policy;
use super::replay::{Run, TURN_TOKENS, Turn};
use super::report::Measured;
use super::trace::{Planted, TraceKind};
use crate::measure::quantile::quantile;

/// Facts that were asked for, and those whose answers were right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    pub(super) right: usize,
    pub(super) asked: usize,
}

/// One policy under one budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    /// Episodes of this kind alone; `None`: all.
    pub(super) kind: Option<TraceKind>,
    pub(super) policy: Policy,
    /// Percent; `None` for policies without a budget.
    pub(super) budget: Option<u32>,
    /// Episodes.
    pub(super) traces: usize,
    /// Share of the facts that are there and can be asked for at all.
    pub(super) retention: Option<Interval>,
    pub(super) facts: Tally,
    pub(super) by_fact: Vec<(FactKind, Tally)>,
    /// Facts that were never stated, and those that were rightly not made up.
    pub(super) absent: Tally,
    /// Figures of the replay; `None` for the oracle, which replays nothing.
    pub(super) cost: Option<Cost>,
}

/// What the turns of the replay cost; the questions do not count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Cost {
    pub(super) turns: usize,
    /// Turns that the server refused.
    pub(super) refused: usize,
    /// Turns whose prompt left no room for the answer within the budget.
    pub(super) over_budget: usize,
    /// Turns for which the server's report says another number of computed tokens than its usage.
    pub(super) wrongly_predicted: usize,
    /// Mean of the episodes: tokens that were computed.
    pub(super) prefilled_tokens: f64,
    /// Mean of the episodes: tokens of all prompts.
    pub(super) prompt_tokens: f64,
    /// Mean of the episodes: tokens of all prompts that were found in the cache.
    pub(super) cached_tokens: f64,
    /// Mean of the episodes: edits in the last prompt, as the server tells.
    pub(super) edits: f64,
    /// Mean of the turns: tokens of a prompt.
    pub(super) tokens_per_turn: f64,
    /// Share of prompt tokens found in the cache, each episode's first turn left out.
    pub(super) hit_rate: Option<f64>,
    pub(super) ttft_p50_ms: Option<f64>,
    pub(super) ttft_p95_ms: Option<f64>,
}

/// Probes by what the model can do at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Controls {
    /// Facts that are there and were asked for.
    pub(super) asked: usize,
    /// Right with the whole history.
    pub(super) right_with_full: usize,
    /// Right with nothing but the statement.
    pub(super) right_with_statement: usize,
    /// Wrong both times: excluded everywhere.
    pub(super) excluded: usize,
}

/// Rows of all episodes, then of each kind, in the order of policies and from the largest budget.
pub(super) fn rows(measured: &Measured, seed: u64) -> Vec<Row> {
    let mut scopes = vec![None];
    scopes.extend(TraceKind::ALL.map(Some));
    let mut budgets: Vec<Option<u32>> = measured.runs.iter().map(percent).collect();
    budgets.sort_unstable();
    budgets.dedup();
    budgets.reverse();
    let mut rows = Vec::new();
    for kind in scopes {
        for policy in Policy::ALL {
            for &budget in &budgets {
                let runs: Vec<&Run> = measured
                    .runs
                    .iter()
                    .filter(|run| run.policy == policy && percent(run) == budget)
                    .filter(|run| kind.is_none_or(|kind| measured.traces[run.trace].kind == kind))
                    .collect();
                if !runs.is_empty() {
                    rows.push(row(measured, &runs, kind, seed));
                }
            }
        }
    }
    rows
}

/// Percent of a run's budget.
pub(super) fn percent(run: &Run) -> Option<u32> {
    run.budget.map(|budget| budget.percent)
}

pub(super) fn controls(measured: &Measured) -> Controls {
    let mut controls = Controls::default();
    for (trace, gold) in measured.gold.iter().enumerate() {
        for (fact, planted) in measured.traces[trace].facts.iter().enumerate() {
            if planted.fact.kind == FactKind::Absent {
                continue;
            }
            let full = measured.right_with_full(trace, fact);
            let statement = gold.probes[fact].right;
            controls.asked += 1;
            controls.right_with_full += usize::from(full);
            controls.right_with_statement += usize::from(statement);
            controls.excluded += usize::from(!full && !statement);
        }
    }
    controls
}

/// The facts of a run that are there and not excluded.
pub(super) fn tally(measured: &Measured, run: &Run) -> Tally {
    tally_where(measured, run, |planted| {
        planted.fact.kind != FactKind::Absent
    })
}

impl Tally {
    /// The share of right answers over all of `tallies`.
    pub(super) fn share(tallies: impl IntoIterator<Item = Self>) -> Option<f64> {
        let sum = tallies
            .into_iter()
            .fold(Self::default(), |sum, tally| Self {
                right: sum.right + tally.right,
                asked: sum.asked + tally.asked,
            });
        (sum.asked > 0).then(|| sum.right as f64 / sum.asked as f64)
    }
}

fn tally_where(measured: &Measured, run: &Run, counts: impl Fn(&Planted) -> bool) -> Tally {
    let facts = &measured.traces[run.trace].facts;
    let asked = run.probes.iter().filter(|probe| {
        let planted = &facts[probe.fact];
        let absent = planted.fact.kind == FactKind::Absent;
        counts(planted) && (absent || measured.is_included(run.trace, probe.fact))
    });
    asked.fold(Tally::default(), |sum, probe| Tally {
        right: sum.right + usize::from(probe.right),
        asked: sum.asked + 1,
    })
}

fn row(measured: &Measured, runs: &[&Run], kind: Option<TraceKind>, seed: u64) -> Row {
    let tallies: Vec<Tally> = runs.iter().map(|run| tally(measured, run)).collect();
    let of = |wanted: FactKind| {
        let tallies = runs
            .iter()
            .map(|run| tally_where(measured, run, |planted| planted.fact.kind == wanted));
        sum(tallies)
    };
    let by_fact = FactKind::ALL
        .iter()
        .filter(|&&kind| kind != FactKind::Absent);
    Row {
        kind,
        policy: runs[0].policy,
        budget: percent(runs[0]),
        traces: runs.len(),
        retention: interval(&tallies, seed, |tallies| {
            Tally::share(tallies.iter().copied().copied())
        }),
        facts: sum(tallies.iter().copied()),
        by_fact: by_fact
            .map(|&kind| (kind, of(kind)))
            .filter(|(_, tally)| tally.asked > 0)
            .collect(),
        absent: of(FactKind::Absent),
        cost: (runs[0].policy != Policy::Oracle).then(|| cost(runs)),
    }
}

fn sum(tallies: impl Iterator<Item = Tally>) -> Tally {
    tallies.fold(Tally::default(), |sum, tally| Tally {
        right: sum.right + tally.right,
        asked: sum.asked + tally.asked,
    })
}

fn cost(runs: &[&Run]) -> Cost {
    let turns = || runs.iter().flat_map(|run| &run.turns);
    let answered = || turns().filter(|turn| turn.refused.is_none());
    let later = || {
        let later = runs.iter().flat_map(|run| run.turns.iter().skip(1));
        later.filter(|turn| turn.refused.is_none())
    };
    let over_budget = |run: &&&Run| {
        let limit = run
            .budget
            .map(|budget| budget.tokens as u64 - u64::from(TURN_TOKENS));
        let over = |turn: &&Turn| limit.is_some_and(|limit| turn.prompt_tokens > limit);
        run.turns.iter().filter(over).count()
    };
    let prompt: u64 = answered().map(|turn| turn.prompt_tokens).sum();
    let prefilled: u64 = answered().map(Turn::prefilled).sum();
    let last = runs.iter().filter_map(|run| run.turns.last());
    let edits: usize = last.map(|turn| turn.edits).sum();
    let later_prompt: u64 = later().map(|turn| turn.prompt_tokens).sum();
    let later_cached: u64 = later().map(|turn| turn.cached_tokens).sum();
    let mut times: Vec<f64> = answered().map(|turn| turn.ttft_ms).collect();
    times.sort_by(f64::total_cmp);
    let share = |share: f64| (!times.is_empty()).then(|| quantile(&times, share));
    let wrongly = |turn: &&Turn| {
        let reported = turn.prefilled_reported;
        reported.is_some_and(|reported| reported != turn.prefilled())
    };
    Cost {
        turns: turns().count(),
        refused: turns().count() - answered().count(),
        over_budget: runs.iter().map(|run| over_budget(&run)).sum(),
        wrongly_predicted: answered().filter(wrongly).count(),
        prefilled_tokens: prefilled as f64 / runs.len() as f64,
        prompt_tokens: prompt as f64 / runs.len() as f64,
        cached_tokens: (prompt - prefilled) as f64 / runs.len() as f64,
        edits: edits as f64 / runs.len() as f64,
        tokens_per_turn: prompt as f64 / answered().count().max(1) as f64,
        hit_rate: (later_prompt > 0).then(|| later_cached as f64 / later_prompt as f64),
        ttft_p50_ms: share(0.5),
        ttft_p95_ms: share(0.95),
    }
}

#[cfg(test)]
mod tests;
