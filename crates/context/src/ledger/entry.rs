//! What the ledger keeps.

use std::fmt;

use crate::{CompactionRule, EditOp, SummaryLevel, SummaryRequest};

/// Bytes that an entry counts besides its texts: the most that its table rows, list links and
/// allocations take on a 64-bit machine, growth of the tables included.
pub const ENTRY_OVERHEAD: usize = 768;

/// An edit that was made, to be made again byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEdit {
    /// What was done. Segments that it names (a repetition's original) are numbered as in the
    /// original conversation, which the key fixes.
    pub op: EditOp,
    /// The text that stands in place of the original, exactly; empty if nothing does.
    pub replacement: Box<str>,
    /// By what the client gets the original back, if that was offered.
    pub restore: Option<Box<str>>,
    /// Tokens before.
    pub before: usize,
    /// Tokens after.
    pub after: usize,
    /// Turns that the conversation had when it was made.
    pub turns: usize,
}

/// A summary that was written and may be put in the place of its span.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Its text, exactly as it will stand.
    pub text: Box<str>,
    /// Its tokens.
    pub tokens: usize,
    /// How it was written.
    pub origin: SummaryOrigin,
    /// Share of the span's critical tokens that it keeps, 0 to 1.
    pub critical_recall: f64,
    /// What was asked for.
    pub order: SummaryOrder,
}

/// What a request wants of a summary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SummaryOrder {
    /// Names what it must preserve and the client's own words.
    pub wording: u64,
    /// Longest summary, in tokens.
    pub max_tokens: usize,
    /// Share of the critical tokens that it must keep.
    pub critical_recall: f64,
}

/// How a summary was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryOrigin {
    /// By the served model.
    Model,
    /// From sentences of the span, without a model.
    Extractive,
}

/// An entry that is larger than the whole ledger; it was not stored and nothing was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryTooLarge {
    /// Bytes of the entry, overhead included.
    pub bytes: usize,
    /// Bytes that the ledger may have.
    pub max_bytes: usize,
}

impl LedgerEdit {
    /// Bytes that it counts in the ledger.
    pub fn bytes(&self) -> usize {
        let restore = self.restore.as_ref().map_or(0, |handle| handle.len());
        ENTRY_OVERHEAD + self.replacement.len() + restore
    }
}

impl Summary {
    /// Bytes that it counts in the ledger.
    pub fn bytes(&self) -> usize {
        ENTRY_OVERHEAD + self.text.len()
    }
}

impl SummaryOrder {
    /// What a request wants.
    pub fn new(request: &SummaryRequest, rule: &CompactionRule) -> Self {
        let SummaryRequest {
            preserve,
            instructions,
            instructions_mode,
            ..
        } = request;
        let wording = format!("{preserve:?} {instructions_mode:?} {instructions:?}");
        let hash = *blake3::hash(wording.as_bytes()).as_bytes();
        let (name, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        Self {
            wording: u64::from_le_bytes(*name),
            max_tokens: rule.max_tokens,
            critical_recall: rule.critical_recall,
        }
    }

    /// Whether a summary is what this asks for: written in the same words, and for no less or in
    /// fact no worse. One that could not be better is so for whoever asks the same.
    pub fn accepts(&self, summary: &Summary) -> bool {
        let Summary { order, .. } = summary;
        let is_short = order.max_tokens.min(summary.tokens) <= self.max_tokens;
        let recall = order.critical_recall.max(summary.critical_recall);
        order.wording == self.wording && is_short && recall >= self.critical_recall
    }
}

impl SummaryOrigin {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Extractive => "extractive",
        }
    }
}

impl fmt::Display for EntryTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, max_bytes } = self;
        write!(
            f,
            "an entry of {bytes} bytes exceeds the ledger's {max_bytes}"
        )
    }
}

impl std::error::Error for EntryTooLarge {}

/// Where an entry is found under its key: one conversation may have each once per segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum EntryKind {
    /// An edit of the key's last segment alone.
    Single,
    /// An edit of a span that ends with the key's last segment.
    Span,
    /// Summaries, of that level, of such spans.
    Summaries(SummaryLevel),
    /// The call in the key's last segment has been counted as regretted.
    Regret,
}
