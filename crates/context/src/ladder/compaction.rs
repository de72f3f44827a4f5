//! Rung 2: old turns become a summary.

use std::ops::RangeInclusive;

use super::{LadderStep, Survey, Wanted};
use crate::importance::loss;
use crate::{
    Candidate, EditOp, Replacements, Rung, SegmentKind, SummaryLevel, SummaryTokens, Tier, Zone,
};

/// Below this a span is not worth a summary.
const MIN_TOKENS: usize = 128;

/// Summarises contiguous whole turns that are older than the ones kept raw, beginning with the
/// oldest; a summary of earlier turns at their head is part of the span and so extended.
///
/// A turn that holds something untouchable, a result of an excluded tool, or a call whose result is
/// in another turn stays, and divides the history into spans that are summarised on their own.
pub(super) struct CompactHistory;

impl LadderStep for CompactHistory {
    fn candidates(
        &self,
        survey: &Survey<'_>,
        replacements: &mut dyn Replacements,
        wanted: &Wanted<'_>,
    ) -> Vec<Candidate> {
        let counts = |turn: &RangeInclusive<usize>| {
            turn.clone()
                .any(|at| wanted.scope.contains(survey.segment(at)))
        };
        let first = survey.input.policy.compaction.level;
        let written = replacements.written();
        let mut found: Vec<Candidate> = Vec::new();
        for run in runs(survey) {
            if !run.iter().any(counts) {
                continue;
            }
            let begun = found.len();
            let whole = *run[0].start()..=*run[run.len() - 1].end();
            for part in parts(survey, run, first, wanted.tokens) {
                found.extend(candidate(survey, replacements, part, first));
            }
            for level in SummaryLevel::ALL
                .into_iter()
                .filter(|level| *level >= first)
            {
                let all = candidate(survey, replacements, whole.clone(), level);
                let enough = all.as_ref().is_some_and(|all| all.freed() >= wanted.tokens);
                found.extend(all);
                if enough {
                    break;
                }
            }
            for (span, level) in written.iter().filter(|(span, _)| is_part(run, span)) {
                let op = EditOp::Compact(*level);
                let is_new = |one: &Candidate| one.segments != *span || one.op != op;
                if found[begun..].iter().all(is_new) {
                    found.extend(candidate(survey, replacements, span.clone(), *level));
                }
            }
        }
        found
    }
}

/// Whether a span is made of whole turns of a run.
fn is_part(run: &[RangeInclusive<usize>], span: &RangeInclusive<usize>) -> bool {
    let begins = run.iter().any(|turn| turn.start() == span.start());
    begins && run.iter().any(|turn| turn.end() == span.end()) && !span.is_empty()
}

/// Heads of a run: the shortest whose summary frees enough on its own, and, since it swallows the
/// edits inside it, a longer one.
fn parts(
    survey: &Survey<'_>,
    run: &[RangeInclusive<usize>],
    level: SummaryLevel,
    wanted: usize,
) -> Vec<RangeInclusive<usize>> {
    let mut before = 0;
    let enough = run.iter().position(|turn| {
        before += tokens(survey, turn);
        before.saturating_sub(longest_summary(survey, level, before)) >= wanted
    });
    let shortest = enough.map_or(run.len(), |last| last + 1);
    let left = run.len() - shortest;
    let mut turns = vec![shortest, shortest + left / 2];
    turns.retain(|turns| *turns < run.len());
    turns.dedup();
    let span = |turns: usize| *run[0].start()..=*run[turns - 1].end();
    turns.into_iter().map(span).collect()
}

fn tokens(survey: &Survey<'_>, span: &RangeInclusive<usize>) -> usize {
    let segments = &survey.input.segments[span.clone()];
    segments.iter().map(|segment| segment.tokens).sum()
}

fn candidate(
    survey: &Survey<'_>,
    replacements: &mut dyn Replacements,
    span: RangeInclusive<usize>,
    level: SummaryLevel,
) -> Option<Candidate> {
    let before = tokens(survey, &span);
    let is_summary = |at: usize| matches!(survey.segment(at).kind, SegmentKind::Summary);
    if before < MIN_TOKENS || span.clone().all(is_summary) {
        return None;
    }
    let op = EditOp::Compact(level);
    let after = match replacements.summary_tokens(span.clone(), level) {
        SummaryTokens::Written(tokens) => tokens,
        SummaryTokens::Unwritten => longest_summary(survey, level, before),
        SummaryTokens::Unavailable => return None,
    };
    if after >= before {
        return None;
    }
    let first = survey.segment(*span.start());
    Some(Candidate {
        rung: Rung::CompactHistory,
        zone: first.zone.clone(),
        position: first.start,
        before,
        after,
        loss: span
            .clone()
            .map(|at| loss(survey.importance[at], &op, (before, after), None))
            .sum(),
        segments: span,
        op,
        reason: "old turns",
    })
}

/// Tokens that a summary may have: each level half of the one before, and at most half of what it
/// stands for, since a longer one would lose more than it frees.
pub(crate) fn longest_summary(survey: &Survey<'_>, level: SummaryLevel, before: usize) -> usize {
    let max_tokens = survey.input.policy.compaction.max_tokens;
    (max_tokens >> level as u32).min(before / 2).max(1)
}

/// The longest spans that the rung could summarise, oldest first, each with the tokens of its
/// shortest summary.
pub(crate) fn spans(survey: &Survey<'_>) -> Vec<(RangeInclusive<usize>, usize)> {
    let spans = runs(survey).iter().map(|run| {
        let span = *run[0].start()..=*run[run.len() - 1].end();
        let after = longest_summary(survey, SummaryLevel::Minimal, tokens(survey, &span));
        (span, after)
    });
    spans.collect()
}

/// The turns that may be summarised, as runs of adjacent ones; each turn is a range of segments.
fn runs<'s>(survey: &'s Survey<'_>) -> &'s [Vec<RangeInclusive<usize>>] {
    survey.runs.get_or_init(|| find_runs(survey))
}

fn find_runs(survey: &Survey<'_>) -> Vec<Vec<RangeInclusive<usize>>> {
    let mut runs = Vec::new();
    let mut run: Vec<RangeInclusive<usize>> = Vec::new();
    for turn in turns(survey) {
        if is_compactable(survey, &turn) {
            run.push(turn);
        } else if !run.is_empty() {
            runs.push(std::mem::take(&mut run));
        }
    }
    if !run.is_empty() {
        runs.push(run);
    }
    runs
}

/// Ranges of segments with the same turn; in front of the first turn each segment is its own range.
fn turns(survey: &Survey<'_>) -> Vec<RangeInclusive<usize>> {
    let mut turns: Vec<RangeInclusive<usize>> = Vec::new();
    for (at, segment) in survey.input.segments.iter().enumerate() {
        match turns.last_mut() {
            Some(last) if segment.turn > 0 && survey.segment(*last.end()).turn == segment.turn => {
                *last = *last.start()..=at;
            }
            _ => turns.push(at..=at),
        }
    }
    turns
}

fn is_compactable(survey: &Survey<'_>, turn: &RangeInclusive<usize>) -> bool {
    let number = survey.segment(*turn.start()).turn;
    let keep = survey.input.policy.compaction.keep_raw_turns;
    let old = number == 0 || number + keep <= survey.last_turn;
    old && turn.clone().all(|at| {
        let segment = survey.segment(at);
        let kind = match &segment.kind {
            SegmentKind::Summary => true,
            SegmentKind::User
            | SegmentKind::Assistant
            | SegmentKind::Reasoning
            | SegmentKind::Document => number > 0,
            SegmentKind::ToolCall { call, .. } => {
                number > 0 && survey.calls[call].iter().all(|at| turn.contains(at))
            }
            SegmentKind::ToolResult { call, .. } => {
                number > 0
                    && survey.is_open_result(at)
                    && survey.calls[call].iter().all(|at| turn.contains(at))
            }
            SegmentKind::System | SegmentKind::Tool { .. } | SegmentKind::Memory => false,
        };
        let zone = !matches!(
            segment.zone,
            Zone::System | Zone::ToolSchemas | Zone::Examples | Zone::Memory | Zone::LiveTurn
        );
        kind && zone && survey.allows(at, Tier::Compactable) && !segment.live
    })
}
