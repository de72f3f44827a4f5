//! Changes of a prompt.

use std::ops::RangeInclusive;

use crate::{Tier, Zone};

/// A step of the ladder, in the order in which the steps are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Say a thing once.
    Dedupe,
    /// Clear or compress old tool results, then old reasoning.
    ClearToolResults,
    /// Summarise old turns.
    CompactHistory,
    /// Keep fewer documents and examples.
    ReduceRetrieval,
    /// Move text to the memory store.
    Offload,
    /// Ask for less, or cut the work into chunks.
    Ask,
}

/// What is done to a segment, or to a span of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EditOp {
    /// A repeated tool result becomes a reference to the earlier copy.
    Dedupe {
        /// The segment that stays: unchanged by every other edit of the same plan.
        original: usize,
    },
    /// A tool result is replaced by a record of it.
    ClearToolResult,
    /// A call's arguments are replaced by an empty object.
    ClearToolInput,
    /// Reasoning is left out.
    ClearReasoning,
    /// A tool result is shortened without a model.
    Compress(CompressionLevel),
    /// A span of whole turns becomes a summary.
    Compact(SummaryLevel),
    /// A document is left out.
    DropDocument,
    /// An example is left out: what its user says and what is answered, together.
    DropExample,
    /// The best sentences of a document are kept.
    ExtractDocument,
    /// Text moves to the memory store and a handle stays.
    Offload,
    /// A tool that was never called is left out. No plan has it: it changes the beginning of the
    /// prompt, so it is done only where no plan fits, by [`tools_to_prune`](crate::tools_to_prune).
    PruneTool,
}

/// How far a tool result is shortened without a model; each level includes the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CompressionLevel {
    /// L1, without loss: repeated lines, white space of JSON, terminal colours.
    Redundancy,
    /// L2: JSON records as a table, log lines by template with counts, context of diffs.
    Structure,
    /// L3: errors, first and last lines, lines that share words with the live turn.
    KeyLines,
    /// L4: keys, counts, types.
    Skeleton,
    /// L5: head and tail, cut at borders of the structure.
    HeadTail,
}

/// How long a summary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SummaryLevel {
    /// The longest.
    Detailed,
    /// Half of it.
    Medium,
    /// A quarter.
    Brief,
    /// Goal, constraints and next step.
    Minimal,
}

/// A change that could be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Where it stands on the ladder.
    pub rung: Rung,
    /// What is done.
    pub op: EditOp,
    /// The segments that it changes; one, but for a compaction or an example.
    pub segments: RangeInclusive<usize>,
    /// Their zone (of the first one).
    pub zone: Zone,
    /// Position of the first token that changes.
    pub position: usize,
    /// Tokens before.
    pub before: usize,
    /// Tokens after.
    pub after: usize,
    /// What the answer may lose by it, for each segment 0 (nothing) to 1 (all that mattered); a
    /// span has the sum of its segments, an example is one piece.
    pub loss: f64,
    /// Why it was proposed, in words for the report.
    pub reason: &'static str,
}

impl Candidate {
    /// Tokens that it frees.
    pub fn freed(&self) -> usize {
        self.before.saturating_sub(self.after)
    }
}

impl Rung {
    /// The whole ladder.
    pub const ALL: [Self; 6] = [
        Self::Dedupe,
        Self::ClearToolResults,
        Self::CompactHistory,
        Self::ReduceRetrieval,
        Self::Offload,
        Self::Ask,
    ];

    /// Its name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dedupe => "dedupe",
            Self::ClearToolResults => "clear_tool_results",
            Self::CompactHistory => "compact_history",
            Self::ReduceRetrieval => "reduce_retrieval",
            Self::Offload => "offload",
            Self::Ask => "ask",
        }
    }

    /// The rung of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rung| rung.name() == name)
    }
}

impl EditOp {
    /// The strictest tier of a segment to which this may be done.
    pub fn strictest_tier(&self) -> Tier {
        match self {
            Self::ClearToolResult => Tier::Clearable,
            Self::Offload => Tier::Offloadable,
            Self::PruneTool => Tier::MostlyProtected,
            Self::Dedupe { .. }
            | Self::ClearToolInput
            | Self::ClearReasoning
            | Self::Compress(_)
            | Self::Compact(_)
            | Self::DropDocument
            | Self::DropExample
            | Self::ExtractDocument => Tier::Compactable,
        }
    }

    /// Whether it takes something of a tool's result away, so that the model may have to call again.
    pub fn takes_results(&self) -> bool {
        match self {
            Self::ClearToolResult | Self::Compact(_) | Self::Offload => true,
            Self::Compress(level) => *level != CompressionLevel::Redundancy,
            // The original of a repetition stands elsewhere; the others touch no result.
            Self::Dedupe { .. }
            | Self::ClearToolInput
            | Self::ClearReasoning
            | Self::DropDocument
            | Self::DropExample
            | Self::ExtractDocument
            | Self::PruneTool => false,
        }
    }

    /// Its name in reports and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dedupe { .. } => "dedupe",
            Self::ClearToolResult => "clear_tool_result",
            Self::ClearToolInput => "clear_tool_input",
            Self::ClearReasoning => "clear_reasoning",
            Self::Compress(_) => "compress",
            Self::Compact(_) => "compact",
            Self::DropDocument => "drop_document",
            Self::DropExample => "drop_example",
            Self::ExtractDocument => "extract_document",
            Self::Offload => "offload",
            Self::PruneTool => "prune_tool",
        }
    }
}

impl CompressionLevel {
    /// L1 to L5.
    pub const ALL: [Self; 5] = [
        Self::Redundancy,
        Self::Structure,
        Self::KeyLines,
        Self::Skeleton,
        Self::HeadTail,
    ];

    /// Its name in reports: `l1` to `l5`.
    pub fn name(self) -> &'static str {
        ["l1", "l2", "l3", "l4", "l5"][self as usize]
    }
}

impl SummaryLevel {
    /// From the longest to the shortest.
    pub const ALL: [Self; 4] = [Self::Detailed, Self::Medium, Self::Brief, Self::Minimal];

    /// Its name in requests and reports.
    pub fn name(self) -> &'static str {
        ["detailed", "medium", "brief", "minimal"][self as usize]
    }

    /// The next longer one; `None` of the longest.
    pub fn more_detailed(self) -> Option<Self> {
        Some(Self::ALL[(self as usize).checked_sub(1)?])
    }
}
