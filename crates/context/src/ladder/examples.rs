//! Few-shot examples, which are left out as a whole.

use std::ops::RangeInclusive;

use super::Survey;
use crate::importance::loss;
use crate::{Candidate, EditOp, Replacements, Rung, SegmentKind, Tier, Zone};

/// The examples that may be left out, each with all its segments: turns of which everything is an
/// example, for chat templates insist on user and assistant taking turns. One that calls a tool
/// stays, since its result is not an example's.
pub(crate) fn examples<'s>(survey: &'s Survey<'_>) -> &'s [RangeInclusive<usize>] {
    survey.examples.get_or_init(|| find(survey))
}

fn find(survey: &Survey<'_>) -> Vec<RangeInclusive<usize>> {
    let segments = &survey.input.segments;
    let mut examples = Vec::new();
    let mut from = 0;
    for turn in segments.chunk_by(|a, b| a.turn == b.turn) {
        let span = from..=from + turn.len() - 1;
        from += turn.len();
        if turn[0].turn > 0 && span.clone().all(|at| is_part(survey, at)) {
            examples.push(span);
        }
    }
    examples
}

fn is_part(survey: &Survey<'_>, at: usize) -> bool {
    let segment = survey.segment(at);
    let speaks = matches!(
        segment.kind,
        SegmentKind::User | SegmentKind::Assistant | SegmentKind::Reasoning
    );
    let is_gone = segment.edit == Some(EditOp::DropExample);
    segment.zone == Zone::Examples
        && speaks
        && !is_gone
        && !segment.live
        && survey.allows(at, Tier::Compactable)
}

/// Leaves an example out. It is one piece, whatever its parts: it matters as its best one does.
pub(super) fn candidate(
    survey: &Survey<'_>,
    replacements: &mut dyn Replacements,
    example: RangeInclusive<usize>,
) -> Option<Candidate> {
    let op = EditOp::DropExample;
    let first = survey.segment(*example.start());
    let before = survey.input.segments[example.clone()]
        .iter()
        .map(|segment| segment.tokens)
        .sum();
    let after = replacements.tokens_after(*example.start(), &op)?;
    let importance = survey.importance[example.clone()]
        .iter()
        .copied()
        .fold(0.0, f64::max);
    (after < before).then(|| Candidate {
        rung: Rung::ReduceRetrieval,
        zone: first.zone.clone(),
        position: first.start,
        before,
        after,
        loss: loss(importance, &op, (before, after), None),
        segments: example,
        op,
        reason: "example of low value",
    })
}
