//! What the next observation will need, told before it is there (ContextBudget's regimes,
//! arXiv 2604.01664).

use crate::ladder::{Survey, examples, is_clearable, is_movable, is_reducible, spans};
use crate::{Candidate, ObservationLimits, Regime, Rung};

/// What a replacement is reckoned to leave: a record of a cleared result, or a handle.
const RECORD_TOKENS: usize = 48;

/// How much a plan had to do: nothing for want of room, or some edits, or more than the rungs up to
/// retrieval can free.
pub(crate) fn regime(is_needed: bool, edits: &[Candidate]) -> Regime {
    let beyond = |edit: &Candidate| edit.rung > Rung::ReduceRetrieval;
    match is_needed && !edits.is_empty() {
        false => Regime::Null,
        true if edits.iter().any(beyond) => Regime::Full,
        true => Regime::Partial,
    }
}

/// The largest next observation by regime, for a prompt of `after` tokens after `edits`.
pub(crate) fn limits(
    survey: &Survey<'_>,
    edits: &[Candidate],
    high: usize,
    after: usize,
) -> ObservationLimits {
    let policy = &survey.input.policy;
    let used = after + policy.output.min;
    let null = high.min(policy.budget).saturating_sub(used);
    let ladder = &policy.ladder;
    let mild: Vec<Rung> = ladder
        .iter()
        .copied()
        .filter(|rung| *rung <= Rung::ReduceRetrieval)
        .collect();
    let with = |rungs: &[Rung]| {
        (policy.budget + reach(survey, edits, rungs))
            .saturating_sub(used)
            .max(null)
    };
    let partial = with(&mild);
    ObservationLimits {
        null,
        partial,
        full: with(ladder).max(partial),
    }
}

/// Tokens that these rungs could still free, about: without asking what each replacement has.
fn reach(survey: &Survey<'_>, edits: &[Candidate], rungs: &[Rung]) -> usize {
    let mut open = vec![true; survey.input.segments.len()];
    for edit in edits {
        open[edit.segments.clone()].fill(false);
    }
    let mut droppable = vec![false; survey.input.segments.len()];
    for example in examples(survey) {
        droppable[example.clone()].fill(true);
    }
    let single = |at: usize| {
        let tokens = survey.segment(at).tokens;
        let drops =
            rungs.contains(&Rung::ReduceRetrieval) && (is_reducible(survey, at) || droppable[at]);
        let records = rungs.contains(&Rung::ClearToolResults) && is_clearable(survey, at)
            || rungs.contains(&Rung::Offload) && is_movable(survey, at);
        match (drops, records) {
            _ if !open[at] => 0,
            (true, _) => tokens,
            (false, true) => tokens.saturating_sub(RECORD_TOKENS),
            (false, false) => 0,
        }
    };
    let mut freed: Vec<usize> = vec![0; survey.demand.len()];
    let mut at = 0;
    let spans = match rungs.contains(&Rung::CompactHistory) {
        true => spans(survey),
        false => Vec::new(),
    };
    let mut spans = spans.into_iter().peekable();
    while at < survey.input.segments.len() {
        let zone = survey.zone[at];
        let Some((span, after)) = spans.next_if(|(span, _)| *span.start() == at) else {
            freed[zone] += single(at);
            at += 1;
            continue;
        };
        let tokens = |at: usize| {
            if open[at] {
                survey.segment(at).tokens
            } else {
                0
            }
        };
        let whole: usize = span.clone().map(tokens).sum();
        let parts: usize = span.clone().map(single).sum();
        let by_summary = whole.saturating_sub(after) > parts;
        for at in span.clone() {
            let part = if by_summary { tokens(at) } else { single(at) };
            freed[survey.zone[at]] += part;
        }
        if by_summary {
            freed[zone] = freed[zone].saturating_sub(after);
        }
        at = span.end() + 1;
    }
    let rooms = freed.iter().zip(&survey.room);
    rooms.map(|(freed, room)| freed.min(room)).sum()
}
