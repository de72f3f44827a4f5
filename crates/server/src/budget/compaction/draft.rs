//! From what the model said to a summary that can stand.

use context::SummaryLevel;
use text::Tokenizer;

use super::gate::{CriticalItems, Recall, SummaryGate};
use super::model_call::ModelAnswer;
use super::CompactionFailure;

/// Percent of a summary's tokens that appended critical items may have.
const ITEMS_PERCENT: usize = 15;

/// Under which critical items are appended.
const ITEMS_HEADING: &str = "facts:";

/// What ends the reasoning of models that think aloud.
const END_OF_REASONING: &str = "</think>";

/// How long summaries of a span may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryLengths {
    /// Tokens of the longest one, of level detailed.
    pub detailed: usize,
    /// Tokens of the span: a summary has at most half of them.
    pub span: usize,
    /// Tokens that any summary may have: what is left in the budget.
    pub room: usize,
}

/// A summary that has been judged.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) tokens: usize,
    pub(super) recall: f64,
    pub(super) critical: CriticalItems,
}

impl SummaryLengths {
    /// Tokens that a summary of that level may have, each half of the one before; at least 1.
    pub fn max_tokens(&self, level: SummaryLevel) -> usize {
        let longest = self.detailed >> level as u32;
        longest.min(self.span / 2).min(self.room).max(1)
    }

    /// `first` and the more detailed levels that may be longer, in the order in which they are
    /// tried.
    pub(super) fn levels(&self, first: SummaryLevel) -> Vec<SummaryLevel> {
        let mut levels = vec![first];
        let mut longest = self.max_tokens(first);
        for level in SummaryLevel::ALL.into_iter().rev() {
            if level < first && self.max_tokens(level) > longest {
                longest = self.max_tokens(level);
                levels.push(level);
            }
        }
        levels
    }
}

impl Draft {
    /// `text` with the critical items that it lacks, weightiest first, as far as they fit into
    /// `max_tokens` and into their share of it.
    pub(super) fn judged(
        gate: &dyn SummaryGate,
        span: &[Box<str>],
        text: String,
        max_tokens: usize,
        tokenizer: &Tokenizer,
    ) -> Result<Self, CompactionFailure> {
        let text = fitted(text, max_tokens, tokenizer);
        if text.is_empty() {
            return Err(CompactionFailure::Empty);
        }
        let before = gate.recall(span, &text);
        let (text, appended) = with_items(text, &before, max_tokens, tokenizer);
        let after = match appended {
            0 => before,
            _ => gate.recall(span, &text),
        };
        Ok(Self {
            tokens: count(tokenizer, &text),
            text,
            recall: after.recall,
            critical: CriticalItems {
                found: after.found,
                kept: after.kept,
                appended,
            },
        })
    }
}

/// Tokens of a summary of `max_tokens` that are kept for critical items.
pub(super) fn room_for_items(max_tokens: usize) -> usize {
    max_tokens * ITEMS_PERCENT / 100
}

/// Tokens of a text.
pub(super) fn count(tokenizer: &Tokenizer, text: &str) -> usize {
    // A text that cannot be tokenised cannot stand in a prompt either.
    tokenizer
        .encode(text, false)
        .map_or(usize::MAX, |tokens| tokens.len())
}

/// The text of an answer, without reasoning and without a line that lack of room cut off.
pub(super) fn text_of(
    tokenizer: &Tokenizer,
    answer: &ModelAnswer,
) -> Result<String, CompactionFailure> {
    let text = tokenizer
        .decode(&answer.tokens, true)
        .map_err(|error| CompactionFailure::Model(error.to_string()))?;
    let said = match text.rsplit_once(END_OF_REASONING) {
        Some((_, said)) => said.trim(),
        // It never came to an end with its reasoning.
        None if text.trim_start().starts_with("<think>") => "",
        None => text.trim(),
    };
    let whole = match said.rsplit_once('\n') {
        Some((lines, _)) if !answer.is_whole => lines.trim_end(),
        _ => said,
    };
    Ok(whole.to_owned())
}

/// The text without its last lines that do not fit.
fn fitted(text: String, max_tokens: usize, tokenizer: &Tokenizer) -> String {
    let mut text = text;
    while !text.is_empty() && count(tokenizer, &text) > max_tokens {
        let end = text.trim_end().rfind('\n').unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// The text with critical items that it lacks, and how many they are.
fn with_items(
    text: String,
    recall: &Recall,
    max_tokens: usize,
    tokenizer: &Tokenizer,
) -> (String, usize) {
    let room = max_tokens
        .saturating_sub(count(tokenizer, &text))
        .min(room_for_items(max_tokens));
    let mut left = room.saturating_sub(count(tokenizer, &format!("\n{ITEMS_HEADING}")));
    let mut lines = Vec::new();
    for item in &recall.missing {
        let line = format!("\n- {item}");
        let tokens = count(tokenizer, &line);
        if tokens <= left {
            left -= tokens;
            lines.push(line);
        }
    }
    // Lines counted alone may be a token shorter than in their place.
    while !lines.is_empty() {
        let whole = format!("{text}\n{ITEMS_HEADING}{}", lines.concat());
        if count(tokenizer, &whole) <= max_tokens {
            return (whole, lines.len());
        }
        lines.pop();
    }
    (text, 0)
}
