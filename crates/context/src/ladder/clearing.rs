//! Rung 1: old tool results, what the model has not read yet if it is too long, old reasoning.

use std::collections::BTreeSet;

use super::queue::{Levels, Queue};
use super::{LadderStep, Scope, Survey, Wanted};
use crate::{
    Candidate, ClearInputs, CompressionLevel, EditOp, Replacements, Rung, SegmentKind, Tier,
};

/// Below this a result is not worth compressing: what would be said about it is as long.
const MIN_COMPRESSED: usize = 48;

/// Old results are offered compressed as well, the longest of them: to shorten one takes longer than
/// to clear it.
const MAX_COMPRESSED_OLD: usize = 24;

/// Clears old tool results (Anthropic's `clear_tool_uses_20250919`), compresses what must stay, and
/// clears old reasoning (`clear_thinking_20251015`).
pub(super) struct ClearToolResults;

impl LadderStep for ClearToolResults {
    fn candidates(
        &self,
        survey: &Survey<'_>,
        replacements: &mut dyn Replacements,
        wanted: &Wanted<'_>,
    ) -> Vec<Candidate> {
        let mut found = cleared(survey, replacements, wanted);
        found.extend(inputs(survey, replacements, wanted, &found));
        found.extend(old_compressed(survey, replacements, wanted));
        found.extend(unseen_compressed(survey, replacements, wanted));
        found.extend(reasoning(survey, replacements, wanted));
        found
    }
}

/// Clears every old result that `fits`, with the arguments of its call if those go as well:
/// what the rule does of its own accord.
pub(crate) fn all_cleared(
    survey: &Survey<'_>,
    replacements: &mut dyn Replacements,
    mut fits: impl FnMut(&Candidate) -> bool,
) -> Vec<Candidate> {
    let wanted = Wanted {
        tokens: usize::MAX,
        scope: Scope::Prompt,
    };
    let mut found = cleared(survey, replacements, &wanted);
    found.retain(&mut fits);
    let mut inputs = inputs(survey, replacements, &wanted, &found);
    inputs.retain(&mut fits);
    found.extend(inputs);
    found
}

/// Clears all reasoning but that of the latest turns: what the rule does of its own accord.
pub(crate) fn all_reasoning(
    survey: &Survey<'_>,
    replacements: &mut dyn Replacements,
) -> Vec<Candidate> {
    let wanted = Wanted {
        tokens: usize::MAX,
        scope: Scope::Prompt,
    };
    reasoning(survey, replacements, &wanted)
}

/// Whether the rung could clear a segment.
pub(crate) fn is_clearable(survey: &Survey<'_>, at: usize) -> bool {
    survey.is_old_result(at) && survey.allows(at, Tier::Clearable)
}

fn segments(survey: &Survey<'_>) -> std::ops::Range<usize> {
    0..survey.input.segments.len()
}

/// Results that are older than those kept.
fn cleared(
    survey: &Survey<'_>,
    replacements: &mut dyn Replacements,
    wanted: &Wanted<'_>,
) -> Vec<Candidate> {
    let old = || {
        let old =
            segments(survey).filter(|&at| is_clearable(survey, at) && wanted.counts(survey, at));
        Queue::new(survey, old.collect())
    };
    let queue = &mut survey.queues(wanted.scope).cleared;
    queue
        .get_or_insert_with(old)
        .until(survey, wanted.tokens, |at| {
            let reason = match survey.is_recallable(at) {
                true => "old tool result that can be fetched again",
                false => "old tool result",
            };
            let op = EditOp::ClearToolResult;
            survey.candidate(replacements, Rung::ClearToolResults, at, op, reason)
        })
}

/// Arguments of the calls whose results are or were cleared.
fn inputs(
    survey: &Survey<'_>,
    replacements: &mut dyn Replacements,
    wanted: &Wanted<'_>,
    cleared: &[Candidate],
) -> Vec<Candidate> {
    let rule = &survey.input.policy.clearing.clear_inputs;
    if *rule == ClearInputs::None {
        return Vec::new();
    }
    let clearable: BTreeSet<usize> = cleared.iter().map(|edit| *edit.segments.start()).collect();
    let mut found = Vec::new();
    for at in segments(survey) {
        let segment = survey.segment(at);
        let SegmentKind::ToolCall { name, call } = &segment.kind else {
            continue;
        };
        let named = match rule {
            ClearInputs::None => false,
            ClearInputs::All => true,
            ClearInputs::Tools(tools) => tools.contains(name),
        };
        let gone = |&at: &usize| {
            clearable.contains(&at) || survey.is_old_result(at) && survey.segment(at).edit.is_some()
        };
        let may = named && segment.edit.is_none() && survey.allows(at, Tier::Compactable);
        if may && wanted.scope.contains(segment) && survey.calls[call].iter().any(gone) {
            let (op, reason) = (EditOp::ClearToolInput, "arguments of a cleared tool result");
            let rung = Rung::ClearToolResults;
            found.extend(survey.candidate(replacements, rung, at, op, reason));
        }
    }
    found
}

/// What was shortened before can be shortened further; what was taken away stays so.
fn is_compressible(survey: &Survey<'_>, wanted: &Wanted<'_>, at: usize) -> bool {
    let segment = survey.segment(at);
    survey.allows(at, Tier::Compactable)
        && matches!(segment.edit, None | Some(EditOp::Compress(_)))
        && segment.tokens >= MIN_COMPRESSED
        && wanted.scope.contains(segment)
}

/// The longest old results, shortened in place of cleared.
fn old_compressed(
    survey: &Survey<'_>,
    replacements: &mut dyn Replacements,
    wanted: &Wanted<'_>,
) -> Vec<Candidate> {
    let may_clear = |at: &usize| survey.segment(*at).tier >= Tier::Clearable;
    let longest = || {
        let mut old: Vec<usize> = segments(survey)
            .filter(|&at| survey.is_old_result(at) && is_compressible(survey, wanted, at))
            .collect();
        if old.iter().all(may_clear) {
            old.sort_by_key(|&at| (usize::MAX - survey.segment(at).tokens, at));
            old.truncate(MAX_COMPRESSED_OLD);
        }
        Levels::new(old)
    };
    let levels = &mut survey.queues(wanted.scope).old_compressed;
    let ask = compressed(survey, replacements, "old tool result");
    levels.get_or_insert_with(longest).until(wanted.tokens, ask)
}

/// Results that the model has not read yet, shortened before they are loaded.
fn unseen_compressed(
    survey: &Survey<'_>,
    replacements: &mut dyn Replacements,
    wanted: &Wanted<'_>,
) -> Vec<Candidate> {
    let unseen = || {
        let unseen = segments(survey)
            .filter(|&at| survey.is_unseen_result(at) && is_compressible(survey, wanted, at));
        Levels::new(unseen.collect())
    };
    let levels = &mut survey.queues(wanted.scope).unseen_compressed;
    let ask = compressed(survey, replacements, "long observation, shortened unread");
    levels.get_or_insert_with(unseen).until(wanted.tokens, ask)
}

/// Asks for a segment at a level.
fn compressed(
    survey: &Survey<'_>,
    replacements: &mut dyn Replacements,
    reason: &'static str,
) -> impl FnMut(usize, CompressionLevel) -> Option<Candidate> {
    move |at, level| {
        let (rung, op) = (Rung::ClearToolResults, EditOp::Compress(level));
        survey.candidate(replacements, rung, at, op, reason)
    }
}

/// Reasoning of turns older than the latest that have some.
fn reasoning(
    survey: &Survey<'_>,
    replacements: &mut dyn Replacements,
    wanted: &Wanted<'_>,
) -> Vec<Candidate> {
    let Some(rule) = survey.input.policy.thinking else {
        return Vec::new();
    };
    let queue = &mut survey.queues(wanted.scope).reasoning;
    let old = || Queue::new(survey, old_reasoning(survey, wanted, rule.keep_turns));
    queue
        .get_or_insert_with(old)
        .until(survey, wanted.tokens, |at| {
            let (op, reason) = (EditOp::ClearReasoning, "reasoning of an old turn");
            survey.candidate(replacements, Rung::ClearToolResults, at, op, reason)
        })
}

/// The reasoning of all but the latest turns that have some.
fn old_reasoning(survey: &Survey<'_>, wanted: &Wanted<'_>, keep_turns: usize) -> Vec<usize> {
    let is_reasoning = |at: &usize| matches!(survey.segment(*at).kind, SegmentKind::Reasoning);
    let turns: BTreeSet<usize> = segments(survey)
        .filter(is_reasoning)
        .map(|at| survey.segment(at).turn)
        .collect();
    let kept: BTreeSet<usize> = turns.iter().rev().take(keep_turns).copied().collect();
    let old = segments(survey).filter(is_reasoning).filter(|&at| {
        !kept.contains(&survey.segment(at).turn)
            && survey.allows(at, Tier::Compactable)
            && wanted.counts(survey, at)
    });
    old.collect()
}
