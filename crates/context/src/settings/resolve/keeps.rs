//! How much stays by default.

use super::super::Facts;
use super::SoftKeeps;
use crate::{ClearingRule, CompactionRule, SegmentKind};

/// The part of the budget that the latest turns may fill, and so the latest tool results.
const PART: usize = 3;

/// Keeps fewer of the latest turns and tool results than by default where those would fill more
/// than a third of the budget, but at least one of each: where nearly all is kept, the little that
/// is not is edited with every request. The live turn does not count, for it stays anyway.
///
/// Numbers that the client has given stay.
pub(super) fn fit(
    clearing: &mut ClearingRule,
    compaction: &mut CompactionRule,
    soft: SoftKeeps,
    facts: &Facts<'_>,
    budget: usize,
) {
    let turns = facts.segments.iter().map(|segment| segment.turn);
    let last = turns.max().unwrap_or(0);
    let past = || facts.segments.iter().rev().filter(|segment| !segment.live);
    if soft.turns {
        let turns = past().map(|segment| (last - segment.turn, segment.tokens));
        let fitting = fitting(turns, budget / PART);
        compaction.keep_raw_turns = compaction.keep_raw_turns.min(fitting.max(1));
    }
    if soft.results {
        let results = past().filter_map(|segment| match segment.kind {
            SegmentKind::ToolResult { .. } => Some(segment.tokens),
            _ => None,
        });
        let fitting = fitting(results.enumerate(), budget / PART);
        clearing.keep = clearing.keep.min(fitting.max(1));
    }
}

/// How many of the youngest fit into `room` tokens whole; pieces come with their age, the youngest
/// first.
fn fitting(pieces: impl Iterator<Item = (usize, usize)>, room: usize) -> usize {
    let mut sum = 0;
    for (age, tokens) in pieces {
        sum += tokens;
        if sum > room {
            return age;
        }
    }
    usize::MAX
}
