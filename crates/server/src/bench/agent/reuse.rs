//! What of the conversations' prefixes was found in the cache.

use std::collections::BTreeMap;

use serde::Serialize;

use super::turn::{self, Turn};
use crate::bench::outcome::{Answered, Outcome};
use crate::bench::summary::Spread;

/// Of all turns after the first ones; counts in tokens. `None` where a server does not count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Reuse {
    /// Prompts and answers of the turns before: what a cache can hold.
    pub(super) reusable_tokens: Option<u64>,
    /// Of these, found in the cache.
    pub(super) reused_tokens: Option<u64>,
    /// `reused_tokens` by `reusable_tokens`, from 0 to 1.
    pub(super) reused_share: Option<f64>,
    /// Turns in which more than a block of the previous prompt was not found.
    pub(super) prefix_losses: Option<usize>,
    /// Tokens of previous prompts that were not found in these turns.
    pub(super) lost_tokens: Option<u64>,
}

/// The turns of one number, of all agents; times in milliseconds, counts in tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct TurnRow {
    /// From 1.
    pub(super) turn: u32,
    /// Agents that got an answer.
    pub(super) n: usize,
    /// Means; `None` unless each answer has them.
    pub(super) prompt_tokens: Option<f64>,
    pub(super) cached_tokens: Option<f64>,
    pub(super) reusable_tokens: Option<f64>,
    /// Cached tokens by prompt tokens, from 0 to 1.
    pub(super) cached_share: Option<f64>,
    pub(super) prefix_losses: Option<usize>,
    pub(super) ttft_ms: Option<Spread>,
    pub(super) itl_ms: Option<Spread>,
    pub(super) e2el_ms: Option<Spread>,
}

impl Reuse {
    pub(super) fn of(outcomes: &[Outcome<Turn>], block_size: u32) -> Self {
        let later = || turn::answered(outcomes).filter(|(turn, _)| turn.turn > 1);
        let sum = |of: fn((&Turn, &Answered)) -> Option<u64>| {
            let counts: Option<Vec<u64>> = later().map(of).collect();
            counts.filter(|counts| !counts.is_empty())
        };
        let reusable = sum(|(turn, _)| turn.reusable_tokens).map(|counts| counts.iter().sum());
        let reused = sum(|(turn, answered)| turn.reused(answered));
        let reused = reused.map(|counts| counts.iter().sum());
        let lost = later().filter_map(|(turn, answered)| turn.lost(answered, block_size));
        let share = |reused: u64, reusable: u64| reused as f64 / reusable as f64;
        Self {
            reusable_tokens: reusable,
            reused_tokens: reused,
            reused_share: reused
                .zip(reusable)
                .filter(|(_, reusable)| *reusable > 0)
                .map(|(reused, reusable)| share(reused, reusable)),
            prefix_losses: reused.map(|_| lost.clone().count()),
            lost_tokens: reused.map(|_| lost.sum()),
        }
    }
}

/// One row for each turn that an agent got an answer in, in rising order.
pub(super) fn rows(outcomes: &[Outcome<Turn>], block_size: u32) -> Vec<TurnRow> {
    let mut turns: BTreeMap<u32, Vec<(&Turn, &Answered)>> = BTreeMap::new();
    for (turn, answered) in turn::answered(outcomes) {
        turns.entry(turn.turn).or_default().push((turn, answered));
    }
    turns
        .into_iter()
        .map(|(turn, answers)| row(turn, &answers, block_size))
        .collect()
}

fn row(turn: u32, answers: &[(&Turn, &Answered)], block_size: u32) -> TurnRow {
    let mean = |of: fn(&(&Turn, &Answered)) -> Option<u64>| {
        let counts: Option<Vec<u64>> = answers.iter().map(of).collect();
        counts.map(|counts| counts.iter().sum::<u64>() as f64 / counts.len() as f64)
    };
    let prompt = mean(|(_, answered)| answered.prompt_tokens);
    let cached = mean(|(_, answered)| answered.cached_tokens);
    let losses = answers
        .iter()
        .filter(|(turn, answered)| turn.lost(answered, block_size).is_some());
    let share = prompt.zip(cached).filter(|(prompt, _)| *prompt > 0.0);
    let times = |of: fn(&Answered) -> f64| Spread::of(answers.iter().map(|(_, a)| of(a)));
    TurnRow {
        turn,
        n: answers.len(),
        prompt_tokens: prompt,
        cached_tokens: cached,
        reusable_tokens: mean(|(turn, _)| turn.reusable_tokens),
        cached_share: share.map(|(prompt, cached)| cached / prompt),
        prefix_losses: cached.map(|_| losses.count()),
        ttft_ms: times(|answered| answered.ttft_ms),
        itl_ms: Spread::of(answers.iter().flat_map(|(_, a)| a.itl_ms.iter().copied())),
        e2el_ms: times(|answered| answered.e2el_ms),
    }
}

#[cfg(test)]
mod tests;
