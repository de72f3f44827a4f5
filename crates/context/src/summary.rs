//! Summaries of old turns: written without a model, or checked and kept in shape when a model wrote
//! them.
//!
//! [`extractive_summary`] chooses sentences. [`summary_instruction`] asks a model, and
//! [`clean_summary`] makes of its answer what is allowed to stand. [`merge_summaries`] extends an
//! earlier summary, which is not summarised again. What a tool has said is data: it can become a
//! fact, an error or an artifact, never a constraint, a decision or a task.

use crate::SummaryLevel;

mod answer;
mod chain;
mod cues;
mod extract;
mod instruction;
mod rank;
mod section;
mod sentence;
mod supersession;

#[cfg(test)]
mod tests;

pub use answer::{CleanSummary, clean_summary};
pub use chain::{Merged, merge_summaries};
pub(crate) use cues::{is_instruction, states_preference};
pub use extract::{ExtractRule, extractive_summary};
pub use instruction::summary_instruction;
pub use section::{Section, SectionedSummary};
pub(crate) use sentence::{Sentence, sentences};
pub(crate) use supersession::superseded;

/// Who said a part of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speaker {
    /// The user.
    User,
    /// The model.
    Assistant,
    /// A tool, a document: text that gives no orders.
    Tool,
}

/// A part of the span that a summary stands for, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanPart<'a> {
    /// Who said it.
    pub speaker: Speaker,
    /// What was said.
    pub text: &'a str,
}

impl SummaryLevel {
    /// Tokens that a summary of this level may have if the longest may have `max_tokens`: each
    /// level half of the one before.
    pub fn cap(self, max_tokens: usize) -> usize {
        max_tokens >> self as u32
    }
}
