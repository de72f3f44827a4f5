//! What a plan tells beside its report.

use serde_json::Value;

use super::{Planned, Wish};
use crate::budget::draft::Draft;
use crate::budget::{changes, probe, report};
use crate::validate::chat::Conversation;
use crate::wire::context_plan::{PointReport, QueueReport, SegmentReport};

impl Planned {
    /// The plans that were compared.
    pub fn frontier(&self) -> Vec<PointReport> {
        report::points(&self.revision)
    }

    /// All parts of the prompt before the plan's edits, and how much each matters.
    pub fn segments(&self) -> Vec<SegmentReport> {
        report::segments(&self.draft, &self.revision)
    }

    /// Whether nothing is left to be written: otherwise the prompt is the one without it.
    pub fn is_exact(&self) -> bool {
        self.revision.unwritten.is_empty()
    }

    /// What the engine computes first.
    pub fn queue(&self) -> QueueReport {
        probe::queue(&self.after)
    }

    /// The conversation after the edits, without the client's notes.
    pub fn conversation(&self) -> Conversation {
        let Draft {
            input, division, ..
        } = &self.draft;
        changes::apply(&input.conversation, division, &self.revision.edits)
    }

    /// `context_management` of the answer, if the request had one.
    pub fn management(&self, wish: &Wish) -> Option<Value> {
        let (edits, _) = wish.management.as_ref()?;
        Some(report::applied_edits(
            edits,
            &self.draft.division.segments,
            &self.revision.edits,
            self.mode,
        ))
    }
}
