//! The ladder: what could be done about a prompt that is too long, mildest first.
//!
//! Each rung is one file that lists its possible edits; choosing among them is the sweep's work.

mod clearing;
mod compaction;
mod dedupe;
mod examples;
mod offload;
mod queue;
mod retrieval;
mod shares;
mod survey;

use crate::{Candidate, Replacements, Rung, Segment, SegmentKind, Zone};

pub(crate) use clearing::{all_cleared, all_reasoning, is_clearable};
pub(crate) use compaction::{longest_summary, spans};
pub(crate) use examples::examples;
pub(crate) use offload::is_movable;
pub(crate) use retrieval::is_reducible;
pub(crate) use shares::overhead;
pub(crate) use survey::{Survey, is_kept, visit_needed};

/// One rung.
pub(crate) trait LadderStep {
    /// Its edits, in no particular order, each of which frees something.
    ///
    /// Replacements cost time to count, so a rung stops asking once what it has found frees
    /// `wanted.tokens`, with some choice of where; if that is not reached, it has asked for all. A
    /// larger wish goes on where a smaller one stopped.
    fn candidates(
        &self,
        survey: &Survey<'_>,
        replacements: &mut dyn Replacements,
        wanted: &Wanted<'_>,
    ) -> Vec<Candidate>;
}

/// What a rung is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Tokens to free.
    pub(crate) tokens: usize,
    /// Where.
    pub(crate) scope: Scope<'a>,
}

/// The segments that count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'a> {
    /// All.
    Prompt,
    /// Those of a zone.
    Zone(&'a Zone),
    /// The results of a tool.
    Tool(&'a str),
}

impl Wanted<'_> {
    /// Whether a segment counts.
    fn counts(&self, survey: &Survey<'_>, at: usize) -> bool {
        self.scope.contains(survey.segment(at))
    }
}

impl Scope<'_> {
    /// Whether a segment counts.
    pub(crate) fn contains(&self, segment: &Segment) -> bool {
        match self {
            Self::Prompt => true,
            Self::Zone(zone) => segment.zone == **zone,
            Self::Tool(tool) => {
                matches!(&segment.kind, SegmentKind::ToolResult { name, .. } if **name == **tool)
            }
        }
    }
}

/// The edits of a rung; asking the client is none.
pub(crate) fn step(rung: Rung) -> Option<&'static dyn LadderStep> {
    match rung {
        Rung::Dedupe => Some(&dedupe::Dedupe),
        Rung::ClearToolResults => Some(&clearing::ClearToolResults),
        Rung::CompactHistory => Some(&compaction::CompactHistory),
        Rung::ReduceRetrieval => Some(&retrieval::ReduceRetrieval),
        Rung::Offload => Some(&offload::Offload),
        Rung::Ask => None,
    }
}
