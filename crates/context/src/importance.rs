//! How much a segment matters, and what an edit of it may lose.
//!
//! Importance is a weighted mean of features between 0 and 1; it does not depend on a segment's
//! length, so that the value of a token falls with the length of what it is part of.

use crate::{CompressionLevel, EditOp, Segment, SummaryLevel, Utility, Zone};

/// Weights of the features of a segment.
///
/// A client's score replaces guesses, so it weighs as much as two of them. What is not known of a
/// segment is as the mean of what is.
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
    /// Of how often texts like it were needed again, where that is well known.
    pub(crate) utility: f64,
    /// Of the client's score.
    pub(crate) score: f64,
}

/// The weights in use, until they are learnt.
pub(crate) const WEIGHTS: ImportanceWeights = ImportanceWeights {
    recency: 0.30,
    relevance: 0.25,
    referenced: 0.25,
    density: 0.20,
    utility: 0.25,
    score: 0.50,
};

/// Turns after which the recency of a segment has halved.
const HALF_LIFE_TURNS: f64 = 4.0;

/// What a tool call counts in turns: within a long agent turn, age is told by later calls.
pub(crate) const TURNS_PER_CALL: f64 = 0.25;

/// A tool result that the model can get again is worth this share: losing it costs a call.
pub(crate) const RECALLABLE_FACTOR: f64 = 0.2;

/// What is known of a segment, each 0 to 1, and how much it therefore matters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Features {
    /// How recent it is; `None` for an example, which does not age.
    pub recency: Option<f64>,
    /// Share of the live turn's words that it contains.
    pub relevance: f64,
    /// How much later text refers to it.
    pub referenced: f64,
    /// Distinct information per token.
    pub density: f64,
    /// How often such texts were needed again after edits.
    pub utility: Option<Utility>,
    /// What the client says.
    pub score: Option<f64>,
    /// Whether the model can get it again, which makes losing it cheap.
    pub is_recallable: bool,
    /// The sum of it all; of a zone that has more than its share half, and not below that of a
    /// segment that depends on this one.
    pub importance: f64,
}

impl ImportanceWeights {
    /// The features of a segment that is `age` turns old.
    pub(crate) fn features(&self, segment: &Segment, age: f64, is_recallable: bool) -> Features {
        let is_example = segment.zone == Zone::Examples;
        let recency = (!is_example).then(|| (-age / HALF_LIFE_TURNS).exp2());
        let mut sum = self.relevance * segment.relevance
            + self.referenced * segment.referenced
            + self.density * segment.density;
        let mut weights = self.relevance + self.referenced + self.density;
        let past = segment.utility.map(|past| (past.value, past.confidence));
        for (weight, feature) in [
            (self.recency, recency.map(|recency| (recency, 1.0))),
            (self.utility, past),
            (self.score, segment.score.map(|score| (score, 1.0))),
        ] {
            if let Some((value, confidence)) = feature {
                sum += weight * confidence * value;
                weights += weight * confidence;
            }
        }
        let factor = if is_recallable {
            RECALLABLE_FACTOR
        } else {
            1.0
        };
        Features {
            recency,
            relevance: segment.relevance,
            referenced: segment.referenced,
            density: segment.density,
            utility: segment.utility,
            score: segment.score,
            is_recallable,
            importance: factor * sum / weights,
        }
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
        EditOp::ClearToolResult
        | EditOp::DropDocument
        | EditOp::DropExample
        | EditOp::PruneTool => 1.0,
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
