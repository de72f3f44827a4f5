//! From what the model said, or from the span itself, to a summary that can stand.

use context::{
    ExtractRule, GateRule, Gated, InstructionsMode, Preserve, SectionedSummary, SpanPart,
    SummaryLevel, SummaryRequest, clean_summary, critical_tokens, extractive_summary, gate,
    merge_summaries, summary_instruction,
};
use text::Tokenizer;

use super::model_call::ModelAnswer;
use super::{CompactionFailure, CompactionTask};

/// Percent of a summary's tokens that are kept for critical items that the model forgets: what the
/// gate may append.
const ITEMS_PERCENT: usize = 15;

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

impl SummaryLengths {
    /// Tokens that a summary of that level may have, each half of the one before; at least 1.
    pub fn max_tokens(&self, level: SummaryLevel) -> usize {
        let longest = level.cap(self.detailed);
        longest.min(self.span / 2).min(self.room).max(1)
    }

    /// The most detailed level for which there is room, or `least`: what is free costs nothing until
    /// it is needed, and what is lost is lost.
    pub fn longest_level(&self, least: SummaryLevel) -> SummaryLevel {
        let mut levels = SummaryLevel::ALL.into_iter();
        let fits = levels.find(|level| level.cap(self.detailed).min(self.span / 2) <= self.room);
        fits.map_or(least, |level| level.min(least))
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

impl CompactionTask {
    /// The user message that asks for a summary of at most `max_tokens`.
    pub(super) fn instruction(&self, max_tokens: usize) -> String {
        let own = summary_instruction(max_tokens, self.anchor.as_ref());
        let wishes = preferred(&self.request);
        match (&self.request.instructions, self.request.instructions_mode) {
            (Some(words), InstructionsMode::Replace) => words.to_string(),
            (Some(words), InstructionsMode::Append) => format!("{own}{wishes}\n{words}"),
            (None, _) => own + &wishes,
        }
    }

    /// What may stand of the model's answer, with the critical items that it lacks; `max_tokens`
    /// together.
    pub(super) fn judge(
        &self,
        answer: &ModelAnswer,
        max_tokens: usize,
        tokenizer: &Tokenizer,
    ) -> Result<Gated, CompactionFailure> {
        let count = |text: &str| count(tokenizer, text);
        let parts = self.parts();
        let said = said(tokenizer, answer)?;
        let own = model_tokens(max_tokens);
        let clean = clean_summary(&said, &parts, own, &count).ok_or(CompactionFailure::Empty)?;
        let summary = match &self.anchor {
            None => clean.summary,
            Some(anchor) => merge_summaries(anchor, &clean.summary, own, &count).summary,
        };
        let rule = GateRule {
            recall: self.order.critical_recall,
            max_tokens,
        };
        let critical = critical_tokens(&parts, &self.later);
        Ok(gate(&critical, summary, rule, &count))
    }

    /// Sentences of the earlier summary and of the span; `None` if none fits.
    pub(super) fn extract(&self, level: SummaryLevel, tokenizer: &Tokenizer) -> Option<Gated> {
        let anchor = self
            .anchor
            .as_ref()
            .map_or_else(Vec::new, SectionedSummary::parts);
        let earlier = anchor.iter().map(|(speaker, text)| SpanPart {
            speaker: *speaker,
            text,
        });
        let parts: Vec<SpanPart<'_>> = earlier.chain(self.parts()).collect();
        let rule = ExtractRule {
            level,
            max_tokens: self.lengths.max_tokens(level),
            recall: self.order.critical_recall,
        };
        let count = |text: &str| count(tokenizer, text);
        extractive_summary(&parts, &self.later, rule, &count)
    }

    fn parts(&self) -> Vec<SpanPart<'_>> {
        let parts = self.span.iter().map(|part| SpanPart {
            speaker: part.speaker,
            text: &part.text,
        });
        parts.collect()
    }
}

/// Of a summary of `max_tokens`, tokens that the model may write.
pub(super) fn model_tokens(max_tokens: usize) -> usize {
    max_tokens - max_tokens * ITEMS_PERCENT / 100
}

/// Tokens of a text.
fn count(tokenizer: &Tokenizer, text: &str) -> usize {
    // A text that cannot be tokenised cannot stand in a prompt either.
    tokenizer
        .encode(text, false)
        .map_or(usize::MAX / 2, |tokens| tokens.len())
}

/// The text of an answer, without a last line that lack of room has cut off.
fn said(tokenizer: &Tokenizer, answer: &ModelAnswer) -> Result<String, CompactionFailure> {
    let mut text = tokenizer
        .decode(&answer.tokens, true)
        .map_err(|error| CompactionFailure::Model(error.to_string()))?;
    if !answer.is_whole
        && let Some(end) = text.trim_end().rfind('\n')
    {
        text.truncate(end);
    }
    Ok(text)
}

/// What the client wants kept above all, if it does not want everything.
fn preferred(request: &SummaryRequest) -> String {
    let SummaryRequest { preserve, .. } = request;
    if preserve.is_empty() || Preserve::ALL.iter().all(|item| preserve.contains(item)) {
        return String::new();
    }
    let names = preserve.iter().map(|item| item.name().replace('_', " "));
    let names: Vec<String> = names.collect();
    format!("\nAbove all keep: {}.", names.join(", "))
}
