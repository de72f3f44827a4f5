//! The pieces that a prompt is planned in.

use crate::{EditOp, Tier, Utility, Zone};

/// One piece of a prompt that is kept or edited as a whole: a message, a part of one, a tool
/// result, a document.
///
/// Tokens that belong to no piece (what the chat template writes around them) are the template's
/// overhead; segments and overhead add up to the rendered prompt exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// What it is there for.
    pub zone: Zone,
    /// What may be done to it; the zone's tier unless the client said otherwise.
    pub tier: Tier,
    /// What it is.
    pub kind: SegmentKind,
    /// Its tokens in the rendered prompt.
    pub tokens: usize,
    /// Position of its first token in the rendered prompt.
    pub start: usize,
    /// Number of its turn: a turn begins with a user message. 0 is what precedes the first one.
    pub turn: usize,
    /// Whether it belongs to the live turn: the last user message and everything after it.
    pub live: bool,
    /// The client asked to leave it alone.
    pub pinned: bool,
    /// Identity of its text: equal segments have equal digests.
    pub digest: [u8; 32],
    /// Relevance that the client gave it, 0 to 1.
    pub score: Option<f64>,
    /// How much later text refers to it (paths, identifiers), 0 (not at all) to 1.
    pub referenced: f64,
    /// Share of the live turn's words that it contains, 0 to 1.
    pub relevance: f64,
    /// Distinct information per token, 0 to 1.
    pub density: f64,
    /// How often texts like this one were needed again after edits; `None` if that is not known.
    pub utility: Option<Utility>,
    /// Segments that are useless without which: keeping this one keeps those.
    pub depends_on: Vec<usize>,
    /// The edit of an earlier request that stands here.
    pub edit: Option<EditOp>,
}

/// What a segment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// Text of a system or developer message.
    System,
    /// One tool's definition.
    Tool {
        /// Its name.
        name: Box<str>,
    },
    /// What a user wrote.
    User,
    /// What the model wrote, without its reasoning and its calls.
    Assistant,
    /// Reasoning of a past answer.
    Reasoning,
    /// A call of a tool: its name and arguments.
    ToolCall {
        /// Name of the tool.
        name: Box<str>,
        /// Number of the call in the conversation; its result has the same.
        call: usize,
    },
    /// The result of a call.
    ToolResult {
        /// Name of the tool; empty if the call is unknown.
        name: Box<str>,
        /// Number of the call in the conversation.
        call: usize,
        /// Whether the model can get it again by calling again.
        recallable: bool,
    },
    /// A document; the server may reorder these.
    Document,
    /// A summary of earlier turns.
    Summary,
    /// Text from the memory store.
    Memory,
}

impl SegmentKind {
    /// Whether the model wrote it: it has then read what stands before.
    pub(crate) fn is_written_by_model(&self) -> bool {
        matches!(
            self,
            Self::Assistant | Self::Reasoning | Self::ToolCall { .. }
        )
    }
}

impl Segment {
    /// Position after its last token.
    pub fn end(&self) -> usize {
        self.start + self.tokens
    }

    /// Whether no edit may touch it, given where the stable prefix ends.
    pub fn is_untouchable(&self, stable_prefix_end: usize) -> bool {
        self.pinned || self.tier <= Tier::Protected || self.start < stable_prefix_end
    }

    /// Whether it stays as it is: no edit may touch it, or it belongs to the live turn, of which
    /// only results and documents are edited.
    pub(crate) fn stays(&self, stable_prefix_end: usize) -> bool {
        let is_edited_live = matches!(
            self.kind,
            SegmentKind::ToolResult { .. } | SegmentKind::Document
        );
        self.is_untouchable(stable_prefix_end) || self.live && !is_edited_live
    }
}
