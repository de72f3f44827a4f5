//! The edits that stand in a conversation already.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{DriftVerdict, LedgerEdit};
use crate::EditOp;

/// An edit of an earlier request, found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownEdit {
    /// The segments of the original conversation that it replaces; one, but for a compaction or an
    /// example.
    pub segments: RangeInclusive<usize>,
    /// Segments that the conversation had when it was made.
    pub made_at: usize,
    /// What was done.
    pub edit: Arc<LedgerEdit>,
    /// Whether it changes too much of what the model says.
    pub drift: DriftVerdict,
}

/// What the ledger knows of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// The edits to apply: in order, no two touching the same segment.
    pub edits: Vec<KnownEdit>,
    /// Edits inside the span of one that is applied, or overlapping it; not applied.
    pub superseded: Vec<KnownEdit>,
    /// Edits that the caller did not allow; not applied.
    pub refused: Vec<KnownEdit>,
}

/// A part of the conversation after replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The original segment of that number.
    Original(usize),
    /// What replaces the edit's segments.
    Edited(&'a KnownEdit),
}

impl Replay {
    /// The longest span wins among overlapping ones, then a compaction, then the later end.
    pub(super) fn choose(found: Vec<KnownEdit>, segments: usize) -> Self {
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_by_key(|&at| {
            let KnownEdit { segments, edit, .. } = &found[at];
            let length = segments.end() - segments.start() + 1;
            let is_compaction = matches!(edit.op, EditOp::Compact(_));
            std::cmp::Reverse((length, is_compaction, *segments.end()))
        });
        let mut is_covered = vec![false; segments];
        let mut is_applied = vec![false; found.len()];
        for at in order {
            let span = found[at].segments.clone();
            // What was taken is no shorter: if it touches this span, it has one of its ends.
            if is_covered[*span.start()] || is_covered[*span.end()] {
                continue;
            }
            is_applied[at] = true;
            is_covered[span].fill(true);
        }
        let mut replay = Self::default();
        for (known, is_applied) in found.into_iter().zip(is_applied) {
            if is_applied {
                replay.edits.push(known);
            } else {
                replay.superseded.push(known);
            }
        }
        replay
    }

    /// Adds an edit of one segment that no other edit touches, in its place.
    pub fn insert(&mut self, known: KnownEdit) {
        let at = self
            .edits
            .partition_point(|other| other.segments.start() < known.segments.start());
        self.edits.insert(at, known);
    }

    /// The conversation of `segments` original segments with the edits in place.
    pub fn pieces(&self, segments: usize) -> impl Iterator<Item = Piece<'_>> {
        let mut edits = self.edits.iter().peekable();
        let mut at = 0;
        std::iter::from_fn(move || {
            if at >= segments {
                return None;
            }
            if let Some(known) = edits.next_if(|known| *known.segments.start() == at) {
                at = known.segments.end() + 1;
                return Some(Piece::Edited(known));
            }
            at += 1;
            Some(Piece::Original(at - 1))
        })
    }

    /// Turns since the last batch of edits, for [`Outlook`](crate::Outlook), given the turns that
    /// the conversation has; `None` if no edit but of reasoning and tools is known.
    ///
    /// A fork that left the conversation before its last edits has 0.
    pub fn turns_since_edits(&self, turns: usize) -> Option<usize> {
        let known = self.edits.iter().chain(&self.superseded);
        // Reasoning may be cleared with every turn, and tools are left out by themselves: that says
        // nothing of batches.
        let is_of_batch = |op: &EditOp| !matches!(op, EditOp::ClearReasoning | EditOp::PruneTool);
        let known = known.filter(|known| is_of_batch(&known.edit.op));
        let last = known.map(|known| known.edit.turns).max()?;
        Some(turns.saturating_sub(last))
    }

    /// Tokens that the applied edits free.
    pub fn freed(&self) -> usize {
        let freed = |known: &KnownEdit| known.edit.before.saturating_sub(known.edit.after);
        self.edits.iter().map(freed).sum()
    }
}
