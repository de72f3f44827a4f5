//! How much a segment matters, and what an edit of it may lose.
//!
//! Importance is a weighted mean of features between 0 and 1; it does not depend on a segment's
//! length, so that the value of a token falls with the length of what it is part of.

use crate::{CompressionLevel, EditOp, Segment, SummaryLevel, Zone};

/// Weights of the features of a segment.
///
/// A client's score replaces guesses, so it weighs as much as two of them; a segment without one
/// has the mean of the other features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ImportanceWeights {
    /// Of how recent it is: what an agent works with is mostly what it has just seen.
    pub(crate) recency: f64,
    /// Of the words it shares with the live turn.
    pub(crate) relevance: f64,
    /// Of how often later text refers to it.
    pub(crate) referenced: f64,
    /// Of its information per token.
    pub(crate) density: f64,
    /// Of the client's score.
    pub(crate) score: f64,
}

/// The weights in use, until they are learnt.
pub(crate) const WEIGHTS: ImportanceWeights = ImportanceWeights {
    recency: 0.30,
    relevance: 0.25,
    referenced: 0.25,
    density: 0.20,
    score: 0.50,
};

/// Turns after which the recency of a segment has halved.
const HALF_LIFE_TURNS: f64 = 4.0;

/// What a tool call counts in turns: within a long agent turn, age is told by later calls.
pub(crate) const TURNS_PER_CALL: f64 = 0.25;

/// A tool result that the model can get again is worth this share: losing it costs a call.
pub(crate) const RECALLABLE_FACTOR: f64 = 0.2;

impl ImportanceWeights {
    /// Importance of a segment, 0 to 1, that is `age` turns old. An example does not age: it is as
    /// good as when the conversation began.
    pub(crate) fn importance(&self, segment: &Segment, age: f64, recallable: bool) -> f64 {
        let mut sum = self.relevance * segment.relevance
            + self.referenced * segment.referenced
            + self.density * segment.density;
        let mut weight = self.relevance + self.referenced + self.density;
        if segment.zone != Zone::Examples {
            sum += self.recency * (-age / HALF_LIFE_TURNS).exp2();
            weight += self.recency;
        }
        if let Some(score) = segment.score {
            sum += self.score * score;
            weight += self.score;
        }
        let factor = if recallable { RECALLABLE_FACTOR } else { 1.0 };
        factor * sum / weight
    }
}

/// Share of what an edit takes away that is really lost, 0 (the model still has it) to 1 (gone).
///
/// The levels of a summary are those of the design of the ladder; the rest is ordered by what the
/// model can still see or fetch. All hold until they are learnt from traffic.
pub(crate) fn lost_share(op: &EditOp) -> f64 {
    match op {
        EditOp::Dedupe { .. } | EditOp::Compress(CompressionLevel::Redundancy) => 0.02,
        EditOp::Compress(CompressionLevel::Structure) => 0.15,
        EditOp::Compress(CompressionLevel::KeyLines) => 0.4,
        EditOp::Compress(CompressionLevel::Skeleton) => 0.6,
        EditOp::Compress(CompressionLevel::HeadTail) => 0.7,
        EditOp::Compact(SummaryLevel::Detailed) => 0.15,
        EditOp::Compact(SummaryLevel::Medium) => 0.3,
        EditOp::Compact(SummaryLevel::Brief) => 0.5,
        EditOp::Compact(SummaryLevel::Minimal) => 0.75,
        EditOp::ClearToolInput | EditOp::ClearReasoning => 0.3,
        EditOp::ExtractDocument => 0.4,
        EditOp::Offload => 0.6,
        EditOp::ClearToolResult | EditOp::DropDocument | EditOp::DropExample => 1.0,
    }
}

/// What part of a text is what it names; the rest is what it says of it.
const NAMES: f64 = 0.5;

/// What the answer may lose by an edit of a segment of that importance, which leaves some of its
/// tokens and, if that is known, that share of what only it names.
pub(crate) fn loss(
    importance: f64,
    op: &EditOp,
    (before, after): (usize, usize),
    names_kept: Option<f64>,
) -> f64 {
    let kept = after as f64 / before.max(1) as f64;
    let lost = lost_share(op) * (1.0 - kept).max(0.0);
    let names_lost = names_kept.map_or(lost, |kept| 1.0 - kept);
    importance * ((1.0 - NAMES) * lost + NAMES * names_lost)
}

#[cfg(test)]
mod tests;
