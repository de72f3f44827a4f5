//! What a run amounts to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::goodput::Goodput;
use super::outcome::{Answered, End, Outcome};
use crate::measure::quantile::quantile;

mod table;

pub(super) use table::print;

/// Rates per second, counts in tokens, times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) completed: usize,
    pub(super) failed: usize,
    /// Requests without an end when the user interrupted the run.
    pub(super) in_flight_at_interrupt: usize,
    /// Failures by HTTP status.
    pub(super) failures: BTreeMap<String, usize>,
    /// From the first request's time to the last token.
    pub(super) duration_s: f64,
    pub(super) request_throughput: f64,
    /// Requests per second that met the objective; `None` without one.
    pub(super) request_goodput: Option<f64>,
    /// Prompt tokens; `None` unless the server counts them.
    pub(super) input_tokens: Option<u64>,
    /// Of these, found in the cache.
    pub(super) cached_tokens: Option<u64>,
    pub(super) output_tokens: u64,
    pub(super) output_throughput: f64,
    /// With prompt tokens.
    pub(super) total_token_throughput: Option<f64>,
    pub(super) ttft_ms: Option<Spread>,
    pub(super) tpot_ms: Option<Spread>,
    pub(super) itl_ms: Option<Spread>,
    pub(super) e2el_ms: Option<Spread>,
    /// How late this tool sent requests.
    pub(super) late_ms: Option<Spread>,
}

/// How numbers are spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) n: usize,
    pub(super) mean: f64,
    pub(super) min: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` of no numbers.
    pub(super) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        if sorted.is_empty() {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            n: sorted.len(),
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            min: quantile(&sorted, 0.0),
            p50: quantile(&sorted, 0.5),
            p90: quantile(&sorted, 0.9),
            p95: quantile(&sorted, 0.95),
            p99: quantile(&sorted, 0.99),
            max: quantile(&sorted, 1.0),
        })
    }
}

impl Summary {
    pub(super) fn of<A>(outcomes: &[Outcome<A>], goodput: Option<&Goodput>) -> Self {
        let answered: Vec<&Answered> = outcomes.iter().filter_map(Outcome::answered).collect();
        let mut failures = BTreeMap::new();
        for outcome in outcomes {
            if let End::Failed(failed) = &outcome.end {
                *failures.entry(failed.kind()).or_insert(0) += 1;
            }
        }
        let duration_s = duration_ms(outcomes) / 1e3;
        let per_second = |count: f64| {
            if duration_s > 0.0 {
                count / duration_s
            } else {
                0.0
            }
        };
        let sum = |of: fn(&Answered) -> Option<u64>| {
            let counts = answered.iter().map(|answered| of(answered));
            counts.sum::<Option<u64>>().filter(|_| !answered.is_empty())
        };
        let input_tokens = sum(|answered| answered.prompt_tokens);
        let output_tokens: u64 = answered.iter().map(|a| a.completion_tokens).sum();
        let good = |goodput: &Goodput| answered.iter().filter(|a| goodput.is_met(a)).count();
        Self {
            completed: answered.len(),
            failed: failures.values().sum(),
            in_flight_at_interrupt: outcomes.iter().filter(|o| o.is_in_flight()).count(),
            failures,
            duration_s,
            request_throughput: per_second(answered.len() as f64),
            request_goodput: goodput.map(|goodput| per_second(good(goodput) as f64)),
            input_tokens,
            cached_tokens: sum(|answered| answered.cached_tokens),
            output_tokens,
            output_throughput: per_second(output_tokens as f64),
            total_token_throughput: input_tokens
                .map(|input| per_second((input + output_tokens) as f64)),
            ttft_ms: Spread::of(answered.iter().map(|a| a.ttft_ms)),
            tpot_ms: Spread::of(answered.iter().filter_map(|a| a.tpot_ms)),
            itl_ms: Spread::of(answered.iter().flat_map(|a| a.itl_ms.iter().copied())),
            e2el_ms: Spread::of(answered.iter().map(|a| a.e2el_ms)),
            late_ms: Spread::of(outcomes.iter().map(|outcome| outcome.late_ms)),
        }
    }
}

/// From the first request's time to the last token of all.
fn duration_ms<A>(outcomes: &[Outcome<A>]) -> f64 {
    let begin = outcomes.iter().map(|outcome| outcome.at_ms);
    let end = outcomes
        .iter()
        .filter_map(|outcome| Some(outcome.at_ms + outcome.answered()?.e2el_ms));
    let begin = begin.fold(f64::INFINITY, f64::min);
    (end.fold(begin, f64::max) - begin).max(0.0)
}

#[cfg(test)]
mod tests;
