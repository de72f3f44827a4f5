//! A conversation as it stands after edits: what the planner sees of it, and what each of its
//! pieces is in the original.

use std::ops::RangeInclusive;
use std::sync::Arc;

use context::{EditOp, KnownEdit, LedgerEdit, Piece, Replay, Segment, SegmentKind, Tier, Zone};

/// The pieces of a conversation with the edits of earlier requests in place.
pub(super) struct Standing {
    /// What the planner sees.
    pub(super) segments: Vec<Segment>,
    /// Each piece's segments in the original conversation.
    pub(super) originals: Vec<RangeInclusive<usize>>,
}

/// A change of the original conversation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StandingEdit {
    /// The original segments that it replaces.
    pub(super) segments: RangeInclusive<usize>,
    /// What is done, and the text that stands for them.
    pub(super) edit: Arc<LedgerEdit>,
    /// Whether an earlier request made it.
    pub(super) is_known: bool,
}

impl Standing {
    /// The pieces of `original` after `replay`.
    pub(super) fn new(original: &[Segment], replay: &Replay) -> Self {
        let mut standing = Self {
            segments: Vec::with_capacity(original.len()),
            originals: Vec::with_capacity(original.len()),
        };
        let mut freed = 0;
        for piece in replay.pieces(original.len()) {
            match piece {
                Piece::Original(at) => {
                    let mut segment = original[at].clone();
                    segment.start = segment.start.saturating_sub(freed);
                    standing.segments.push(segment);
                    standing.originals.push(at..=at);
                }
                Piece::Edited(known) => {
                    let before: usize = original[known.segments.clone()]
                        .iter()
                        .map(|segment| segment.tokens)
                        .sum();
                    standing.segments.push(edited(original, known, freed));
                    standing.originals.push(known.segments.clone());
                    freed += before.saturating_sub(known.edit.after);
                }
            }
        }
        standing.renumber();
        standing
    }

    /// The original segments behind pieces.
    pub(super) fn original(&self, pieces: &RangeInclusive<usize>) -> RangeInclusive<usize> {
        *self.originals[*pieces.start()].start()..=*self.originals[*pieces.end()].end()
    }

    /// The pieces that are exactly these original segments; `None` if an edit reaches across an end.
    pub(super) fn pieces(&self, segments: &RangeInclusive<usize>) -> Option<RangeInclusive<usize>> {
        let piece = |at| {
            let after = self
                .originals
                .partition_point(|original| original.start() <= at);
            after.checked_sub(1)
        };
        let (first, last) = (piece(segments.start())?, piece(segments.end())?);
        let is_exact = self.originals[first].start() == segments.start()
            && self.originals[last].end() == segments.end();
        is_exact.then_some(first..=last)
    }

    /// The pieces on which a piece depends are named by their original numbers until now.
    fn renumber(&mut self) {
        let mut piece_of = Vec::new();
        for (piece, original) in self.originals.iter().enumerate() {
            piece_of.resize(original.end() + 1, piece);
        }
        for segment in &mut self.segments {
            for dependency in &mut segment.depends_on {
                *dependency = piece_of.get(*dependency).copied().unwrap_or(*dependency);
            }
        }
    }
}

/// What stands in place of original segments.
fn edited(original: &[Segment], known: &KnownEdit, freed: usize) -> Segment {
    let mut segment = original[*known.segments.start()].clone();
    segment.start = segment.start.saturating_sub(freed);
    segment.tokens = known.edit.after;
    segment.edit = Some(known.edit.op.clone());
    if let EditOp::Dedupe { original } = known.edit.op {
        segment.depends_on.push(original);
    }
    if matches!(known.edit.op, EditOp::Compact(_)) {
        segment.kind = SegmentKind::Summary;
        segment.zone = Zone::History;
        segment.tier = Tier::Compactable;
        segment.depends_on = Vec::new();
        segment.turn = original[*known.segments.end()].turn;
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::example;

    fn segment(start: usize, tokens: usize, depends_on: &[usize]) -> Segment {
        Segment {
            start,
            depends_on: depends_on.to_vec(),
            ..example::segment(SegmentKind::User, tokens)
        }
    }

    fn known(segments: RangeInclusive<usize>, op: EditOp, after: usize) -> KnownEdit {
        let edit = LedgerEdit {
            op,
            replacement: "r".into(),
            restore: None,
            before: 0,
            after,
            turns: 1,
        };
        KnownEdit {
            segments,
            made_at: 5,
            edit: Arc::new(edit),
            drift: context::DriftVerdict::default(),
        }
    }

    #[test]
    fn pieces_keep_their_place_and_know_their_originals() {
        let original = [
            segment(0, 10, &[]),
            segment(12, 100, &[]),
            segment(115, 50, &[1]),
            segment(165, 20, &[2]),
            segment(190, 30, &[0, 3]),
            segment(220, 60, &[3]),
        ];
        let replay = Replay {
            edits: vec![
                known(1..=1, EditOp::ClearToolResult, 8),
                known(2..=3, EditOp::Compact(context::SummaryLevel::Brief), 15),
                known(5..=5, EditOp::Dedupe { original: 4 }, 9),
            ],
            ..Replay::default()
        };
        let standing = Standing::new(&original, &replay);
        let starts: Vec<_> = standing
            .segments
            .iter()
            .map(|s| (s.start, s.tokens))
            .collect();
        // 92 tokens are freed by the first edit, 55 by the second.
        assert_eq!(starts, [(0, 10), (12, 8), (23, 15), (43, 30), (73, 9)]);
        assert_eq!(standing.originals, [0..=0, 1..=1, 2..=3, 4..=4, 5..=5]);
        assert_eq!(standing.segments[2].kind, SegmentKind::Summary);
        assert_eq!(standing.segments[3].depends_on, [0, 2]);
        // What stands for a repetition is of no use without its original.
        assert_eq!(standing.segments[4].depends_on, [2, 3]);
        assert_eq!(standing.original(&(1..=2)), 1..=3);
        assert_eq!(standing.pieces(&(1..=3)), Some(1..=2));
        assert_eq!(standing.pieces(&(0..=4)), Some(0..=3));
        assert_eq!(standing.pieces(&(1..=2)), None);
        assert_eq!(standing.pieces(&(3..=4)), None);
    }
}
