//! What a request protects of its conversation from edits that earlier requests have made.

use std::collections::BTreeMap;

use crate::ladder::{is_kept, visit_needed};
use crate::{EditOp, KnownEdit, Policy, Resolved, Segment, SegmentKind};

/// What may stand of the edits of earlier requests: those that this request could have made.
///
/// A request may pin, exclude or commit what an earlier one did not, or keep more; then the original
/// is brought back. Only numbers that the client has given count as kept: the defaults depend on
/// what the conversation has, and edits that come and go with them would break the cached prefix.
#[derive(Debug)]
pub struct Protection<'a> {
    policy: &'a Policy,
    segments: &'a [Segment],
    /// Something that stays is useless without it.
    needed: Vec<bool>,
    /// It is one of the latest tool results that the client wants to keep.
    kept: Vec<bool>,
    /// The latest turn that may be summarised.
    last_old_turn: usize,
    /// The segments of results by the number of their call.
    results: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Protection<'a> {
    /// What `resolved` protects of the original segments of a conversation, whose tiers are set.
    ///
    /// # Panics
    /// If a segment depends on one that there is not (a caller bug).
    pub fn new(resolved: &'a Resolved, segments: &'a [Segment]) -> Self {
        let policy = &resolved.policy;
        let mut results: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, segment) in segments.iter().enumerate() {
            if let SegmentKind::ToolResult { call, .. } = segment.kind {
                results.entry(call).or_default().push(at);
            }
        }
        let kept = match resolved.soft_keeps.results {
            true => vec![false; segments.len()],
            false => is_kept(segments, policy.clearing.keep),
        };
        let turns = segments.iter().map(|segment| segment.turn);
        let last_turn = turns.max().unwrap_or(0);
        let last_old_turn = match resolved.soft_keeps.turns {
            true => last_turn,
            false => last_turn.saturating_sub(policy.compaction.keep_raw_turns),
        };
        Self {
            needed: needed(segments, policy.stable_prefix_end),
            policy,
            segments,
            kept,
            last_old_turn,
            results,
        }
    }

    /// Which of these edits may stand. Arguments of a call stay away only with its result: who gets
    /// the one back gets the other.
    pub fn allowed(&self, found: &[KnownEdit]) -> Vec<bool> {
        let mut allowed: Vec<bool> = found.iter().map(|known| self.permits(known)).collect();
        if found.iter().all(|known| !is_input(known)) {
            return allowed;
        }
        let mut is_edited = vec![false; self.segments.len()];
        for (known, _) in found.iter().zip(&allowed).filter(|(_, allowed)| **allowed) {
            is_edited[known.segments.clone()].fill(true);
        }
        for (known, allowed) in found.iter().zip(&mut allowed) {
            if is_input(known) {
                *allowed &= self.is_result_gone(*known.segments.start(), &is_edited);
            }
        }
        allowed
    }

    fn permits(&self, known: &KnownEdit) -> bool {
        let op = &known.edit.op;
        let is_old = match op {
            EditOp::Compact(_) => self.segments[*known.segments.end()].turn <= self.last_old_turn,
            EditOp::ClearToolResult => !self.kept[*known.segments.end()],
            EditOp::Compress(_) | EditOp::Offload => {
                !self.kept[*known.segments.end()] || self.was_unseen(known)
            }
            // A repetition refers to a text that stands.
            EditOp::Dedupe { .. }
            | EditOp::ClearToolInput
            | EditOp::ClearReasoning
            | EditOp::DropDocument
            | EditOp::DropExample
            | EditOp::ExtractDocument
            | EditOp::PruneTool => true,
        };
        is_old
            && known
                .segments
                .clone()
                .all(|at| !self.needed[at] && self.policy.permits(op, &self.segments[at]))
    }

    /// Whether it was made before the model had read the text: the latest results may be shortened
    /// then, however many are kept.
    fn was_unseen(&self, known: &KnownEdit) -> bool {
        let until = known.made_at.min(self.segments.len());
        let behind = known.segments.end() + 1;
        let mut since = self.segments.get(behind..until).into_iter().flatten();
        !since.any(|segment| segment.kind.is_written_by_model())
    }

    fn is_result_gone(&self, call: usize, is_edited: &[bool]) -> bool {
        let SegmentKind::ToolCall { call, .. } = self.segments[call].kind else {
            return false;
        };
        let results = self.results.get(&call).into_iter().flatten();
        let mut gone = results.map(|&at| is_edited[at]);
        gone.any(|gone| gone)
    }
}

fn is_input(known: &KnownEdit) -> bool {
    known.edit.op == EditOp::ClearToolInput
}

/// What the segments that stay depend on.
fn needed(segments: &[Segment], stable_prefix_end: usize) -> Vec<bool> {
    let mut needed = vec![false; segments.len()];
    for segment in segments.iter().filter(|one| one.stays(stable_prefix_end)) {
        for &at in &segment.depends_on {
            visit_needed(segments, at, &mut needed, |_| {});
        }
    }
    needed
}

#[cfg(test)]
mod tests;
