//! Rung 4: text moves to the memory store.

use super::queue::Queue;
use super::{LadderStep, Survey, Wanted};
use crate::{Candidate, EditOp, Replacements, Rung, SegmentKind, Tier};

/// Leaves a handle in place of text that the client allows to be moved.
pub(super) struct Offload;

impl LadderStep for Offload {
    fn candidates(
        &self,
        survey: &Survey<'_>,
        replacements: &mut dyn Replacements,
        wanted: &Wanted<'_>,
    ) -> Vec<Candidate> {
        let movable = || {
            let movable = (0..survey.input.segments.len())
                .filter(|&at| is_movable(survey, at) && wanted.counts(survey, at));
            Queue::new(survey, movable.collect())
        };
        let queue = &mut survey.queues(wanted.scope).moved;
        queue
            .get_or_insert_with(movable)
            .until(survey, wanted.tokens, |at| {
                let (op, reason) = (EditOp::Offload, "may be moved to memory");
                survey.candidate(replacements, Rung::Offload, at, op, reason)
            })
    }
}

/// Whether the rung could move a segment.
pub(crate) fn is_movable(survey: &Survey<'_>, at: usize) -> bool {
    let kind = match survey.segment(at).kind {
        SegmentKind::ToolResult { .. } => survey.is_old_result(at) || survey.is_unseen_result(at),
        // A call must stay a call, and rules are no facts.
        SegmentKind::ToolCall { .. } | SegmentKind::Tool { .. } | SegmentKind::System => false,
        _ => true,
    };
    kind && survey.allows(at, Tier::Offloadable)
}
