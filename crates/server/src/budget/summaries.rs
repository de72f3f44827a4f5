//! The summaries that may stand for parts of one conversation, and those that are still to be
//! written.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use context::{SectionedSummary, SegmentKind, Speaker, Summary, SummaryLevel, SummaryOrder};
use engine::AdapterHandle;

use super::changes;
use super::compaction::{Compacted, CompactionTask, SpanText, SummaryLengths};
use super::draft::Draft;
use super::drift::Drifted;

/// Summaries of one conversation.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    written: Vec<Written>,
    /// Spans that a summary was asked for: what overlaps one is not asked for again.
    asked: Vec<RangeInclusive<usize>>,
    /// Summaries that have moved the model too far from what it had said, by their original
    /// segments: what covers them is to be more detailed.
    drifted: Vec<Drifted>,
    /// Whether plans may count on summaries that are still to be written.
    pub(super) may_write: bool,
}

/// A summary that can be put in place.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// The original segments that it stands for.
    pub(super) segments: RangeInclusive<usize>,
    /// How long it is.
    pub(super) level: SummaryLevel,
    /// The summary.
    pub(super) summary: Arc<Summary>,
    /// Tokens of the turn that it makes, as far as texts are counted alone.
    pub(super) tokens: usize,
    /// How it came about, if this request has waited for it.
    pub(super) compacted: Option<Arc<Compacted>>,
}

/// A summary that a plan counts on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unwritten {
    /// The original segments that it is to stand for.
    pub(super) segments: RangeInclusive<usize>,
    /// How long it is to be.
    pub(super) level: SummaryLevel,
    /// Tokens of the segments as they stand.
    pub(super) before: usize,
    /// Tokens that it may have, by the plan.
    pub(super) after: usize,
}

/// Under what a summary is computed.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    /// Salt of the request.
    pub(super) cache_salt: Vec<u8>,
    /// Its adapter, with which the prefix is cached.
    pub(super) adapter: Option<AdapterHandle>,
    /// Class of the request.
    pub(super) priority: i32,
    /// Tokens beyond the plan's that the summary may have.
    pub(super) spare: usize,
    /// When whoever waits for it has waited long enough.
    pub(super) deadline: Option<Instant>,
}

impl Summaries {
    /// Adds a summary.
    pub(super) fn add(&mut self, written: Written) {
        self.written.push(written);
    }

    /// Notes that a summary of these original segments was asked for.
    pub(super) fn note_asked(&mut self, segments: RangeInclusive<usize>) {
        self.asked.push(segments);
    }

    /// The summary of exactly these original segments, at that level.
    pub(super) fn find(
        &self,
        segments: &RangeInclusive<usize>,
        level: SummaryLevel,
    ) -> Option<&Written> {
        let mut latest = self.written.iter().rev();
        latest.find(|written| written.segments == *segments && written.level == level)
    }

    /// All of them.
    pub(super) fn written(&self) -> &[Written] {
        &self.written
    }

    /// Whether a plan may count on a summary of these original segments at that level.
    pub(super) fn may_write(&self, segments: &RangeInclusive<usize>, level: SummaryLevel) -> bool {
        let is_asked = self.asked.iter().any(|asked| overlap(asked, segments));
        self.may_write && !is_asked && self.is_detailed_enough(segments, level)
    }

    /// Notes that summaries have moved the model too far.
    pub(super) fn note_drifted(&mut self, drifted: Vec<Drifted>) {
        self.drifted = drifted;
    }

    /// Summaries that others are to take the place of.
    pub(super) fn drifted(&self) -> &[Drifted] {
        &self.drifted
    }

    /// Whether a summary of these original segments is more detailed than those that have moved the
    /// model too far.
    pub(super) fn is_detailed_enough(
        &self,
        segments: &RangeInclusive<usize>,
        level: SummaryLevel,
    ) -> bool {
        let mut drifted = self.drifted.iter();
        drifted.all(|(other, worse)| level < *worse || !overlap(other, segments))
    }
}

impl Draft {
    /// What the server must do to get a summary: the conversation up to the end of the span, with
    /// the edits that the cached prefix has, so that nothing of it is computed again.
    pub(super) fn summary_task(&self, wanted: &Unwritten, errand: &Errand) -> CompactionTask {
        let last = *wanted.segments.end();
        let mut conversation = self.input.conversation.clone();
        let behind = self.division.places[last].message().map_or(0, |at| at + 1);
        conversation.messages.truncate(behind);
        let mut edits = self.known_edits();
        edits.retain(|edit| *edit.segments.end() <= last);
        let pieces = self.standing.pieces(&wanted.segments);
        let mut pieces: Vec<usize> = pieces.into_iter().flatten().collect();
        let mut anchor = None;
        if let Some(&head) = pieces.first()
            && self.standing.segments[head].kind == SegmentKind::Summary
        {
            anchor = Some(SectionedSummary::parse(self.standing_text(head)));
            pieces.remove(0);
        }
        let asked = &self.resolved.policy.compaction;
        let lengths = SummaryLengths {
            detailed: asked.max_tokens,
            span: wanted.before,
            // The question that it answers stands beside it.
            room: (wanted.after + errand.spare).saturating_sub(self.summary_request_tokens()),
        };
        CompactionTask {
            conversation: changes::apply(&conversation, &self.division, &edits),
            span: pieces.into_iter().map(|at| self.span_text(at)).collect(),
            later: self.division.texts[last + 1..].join("\n").into(),
            anchor,
            request: self.resolved.summary.clone(),
            level: lengths.longest_level(wanted.level).max(asked.level),
            lengths,
            order: self.summary_order(),
            max_wait: None,
            cache_salt: errand.cache_salt.clone(),
            adapter: errand.adapter.clone(),
            priority: errand.priority,
        }
    }

    /// What the request wants of summaries.
    pub(super) fn summary_order(&self) -> SummaryOrder {
        SummaryOrder::new(&self.resolved.summary, &self.resolved.policy.compaction)
    }

    fn span_text(&self, piece: usize) -> SpanText {
        let text = self.standing_text(piece);
        let (speaker, text) = match &self.standing.segments[piece].kind {
            SegmentKind::User => (Speaker::User, text.to_owned()),
            SegmentKind::ToolCall { name, .. } => (Speaker::Tool, format!("{name}({text})")),
            SegmentKind::ToolResult { .. } | SegmentKind::Document | SegmentKind::Memory => {
                // What was shortened or cleared is not gone from the server: a summary may say it.
                let original = *self.standing.originals[piece].start();
                (Speaker::Tool, self.division.texts[original].clone())
            }
            SegmentKind::Assistant
            | SegmentKind::Reasoning
            | SegmentKind::Summary
            | SegmentKind::System
            | SegmentKind::Tool { .. } => (Speaker::Assistant, text.to_owned()),
        };
        SpanText {
            speaker,
            text: text.into(),
        }
    }

    /// A piece's text as the model sees it.
    fn standing_text(&self, piece: usize) -> &str {
        let original = &self.standing.originals[piece];
        let mut known = self.replay.edits.iter();
        let edited = known.find(|known| known.segments == *original);
        match edited {
            // Where a call's arguments or reasoning were cleared, nothing is left to read.
            Some(known) => &known.edit.replacement,
            None => &self.division.texts[*original.start()],
        }
    }
}

/// Whether two ranges of segments have one in common.
pub(super) fn overlap(a: &RangeInclusive<usize>, b: &RangeInclusive<usize>) -> bool {
    a.start() <= b.end() && b.start() <= a.end()
}
