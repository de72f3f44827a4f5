//! What is asked of a summary.

use context::{SummaryLevel, SummaryRequest};

/// Asks for summaries and judges them: pure functions of their arguments.
pub trait SummaryGate: Send + Sync {
    /// The user message that asks for a summary.
    fn instruction(&self, asked: &Asked<'_>) -> String;

    /// What `summary` keeps of the critical items of `span`.
    fn recall(&self, span: &[Box<str>], summary: &str) -> Recall;

    /// Sentences of `span` that say most, in its order, in at most `max_tokens` tokens as `count`
    /// counts them; empty if none fits.
    fn extract(
        &self,
        span: &[Box<str>],
        max_tokens: usize,
        count: &mut dyn FnMut(&str) -> usize,
    ) -> String;
}

/// The summary that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What the client wants of summaries.
    pub request: &'a SummaryRequest,
    /// How detailed it is.
    pub level: SummaryLevel,
    /// Tokens that it may have.
    pub max_tokens: usize,
    /// Whether the span begins with a summary, which it extends.
    pub extends_summary: bool,
}

/// What a summary keeps of its span.
#[derive(Clone, Debug, PartialEq)]
pub struct Recall {
    /// Critical items of the span.
    pub found: usize,
    /// Of these, items that the summary has word for word.
    pub kept: usize,
    /// Weight of the kept ones over the weight of all, 0 to 1; 1 if there are none.
    pub recall: f64,
    /// The others word for word, the weightiest first.
    pub missing: Vec<Box<str>>,
}

/// What became of a span's critical items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CriticalItems {
    /// Items of the span.
    pub found: usize,
    /// Items in the summary, those that were appended included.
    pub kept: usize,
    /// Items that were appended word for word.
    pub appended: usize,
}
