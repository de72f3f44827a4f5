//! What settings are resolved against: the window, the prompt, the session.

use std::collections::BTreeSet;

use super::Symbol;
use crate::{Segment, SegmentKind, Zone};

/// What is known of a request besides its settings.
///
/// Segments count by zone, kind, turn and tokens here; their tiers are read by nobody, so that they
/// can be set from the [`Policy`](crate::Policy) that comes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts<'a> {
    /// The most that B can be, in tokens: the least of what the model, the server and the KV cache
    /// allow.
    pub window: usize,
    /// Output tokens that the request asks for (`max_tokens`).
    pub output_asked: Option<usize>,
    /// Tokens of the rendered prompt.
    pub prompt_tokens: usize,
    /// The prompt's pieces, in order.
    pub segments: &'a [Segment],
    /// Position behind the last part marked with `cache_control`; `None` without marks.
    pub cache_control_end: Option<usize>,
    /// Length of the longest prefix that enough other requests share.
    pub shared_prefix: usize,
    /// Position at which each message begins.
    pub message_starts: &'a [usize],
    /// What earlier requests of the session, or of similar ones, have shown.
    pub session: SessionFacts,
}

/// What is known of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SessionFacts {
    /// Turns still expected, unless the client has a better hint.
    pub turns: f64,
    /// Tokens that each adds to the context.
    pub growth_per_turn: f64,
    /// Output tokens of each, unless the client has a better hint.
    pub output_per_turn: f64,
    /// Turns since the last batch of edits; `None` if there was none.
    pub turns_since_edits: Option<usize>,
}

impl Facts<'_> {
    /// An empty prompt in a window: enough to find out whether a profile of the configuration can
    /// be used at all.
    pub fn of_window(window: usize) -> Self {
        Self {
            window,
            output_asked: None,
            prompt_tokens: 0,
            segments: &[],
            cache_control_end: None,
            shared_prefix: 0,
            message_starts: &[],
            session: SessionFacts::default(),
        }
    }

    /// Tokens that a zone has.
    pub fn zone_tokens(&self, zone: &Zone) -> usize {
        self.sum(zone, |_| true)
    }

    /// Tokens of the prompt that belong to no segment.
    pub fn overhead(&self) -> usize {
        let segments: usize = self.segments.iter().map(|segment| segment.tokens).sum();
        self.prompt_tokens.saturating_sub(segments)
    }

    fn sum(&self, zone: &Zone, counts: impl Fn(&Segment) -> bool) -> usize {
        self.segments
            .iter()
            .filter(|segment| segment.zone == *zone && counts(segment))
            .map(|segment| segment.tokens)
            .sum()
    }
}

/// The other settings that symbols depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct SymbolScope<'a> {
    pub(super) stable_prefix_end: usize,
    pub(super) keep_raw_turns: usize,
    pub(super) max_summary: usize,
    pub(super) min_score: f64,
    pub(super) keep_results: usize,
    pub(super) excluded_tools: &'a BTreeSet<&'a str>,
}

impl SymbolScope<'_> {
    /// Tokens that a symbol stands for in a zone.
    ///
    /// # Panics
    /// If the symbol is the output's, which no zone has.
    pub(super) fn tokens(&self, symbol: Symbol, zone: &Zone, facts: &Facts<'_>) -> usize {
        match symbol {
            Symbol::Fixed => facts.zone_tokens(zone),
            Symbol::Committed => facts.sum(zone, |segment| segment.end() <= self.stable_prefix_end),
            Symbol::RecentTurnsPlusSummary => self.recent_turns_plus_summary(facts),
            Symbol::EvidenceFloor => best_document(facts),
            Symbol::RankedCap => facts.sum(zone, |segment| {
                segment.score.is_none_or(|score| score >= self.min_score)
            }),
            Symbol::LatestRequiredObservations => self.latest_observations(facts),
            Symbol::AnswerFloor => unreachable!("the output's symbol is refused for zones"),
        }
    }

    fn recent_turns_plus_summary(&self, facts: &Facts<'_>) -> usize {
        let turns = facts.segments.iter().map(|segment| segment.turn);
        let last = turns.max().unwrap_or(0);
        let is_recent = |segment: &Segment| {
            segment.turn > 0 && segment.turn.saturating_add(self.keep_raw_turns) > last
        };
        let recent = facts.sum(&Zone::History, is_recent);
        let older = facts.zone_tokens(&Zone::History) - recent;
        recent + older.min(self.max_summary)
    }

    /// Results of the latest calls, and of the tools whose results are never touched.
    fn latest_observations(&self, facts: &Facts<'_>) -> usize {
        let mut latest = BTreeSet::new();
        let mut tokens = 0;
        for segment in facts.segments.iter().rev() {
            if let SegmentKind::ToolResult { name, call, .. } = &segment.kind {
                if latest.len() < self.keep_results {
                    latest.insert(*call);
                }
                let stays = latest.contains(call) || self.excluded_tools.contains(&**name);
                if stays && segment.zone == Zone::ToolOutputs {
                    tokens += segment.tokens;
                }
            }
        }
        tokens
    }
}

/// Tokens of the document with the highest score; of the first one if several have it.
fn best_document(facts: &Facts<'_>) -> usize {
    let score = |segment: &Segment| segment.score.unwrap_or(segment.relevance);
    facts
        .segments
        .iter()
        .filter(|segment| segment.zone == Zone::Retrieval)
        .reduce(|best, segment| {
            if score(segment) > score(best) {
                segment
            } else {
                best
            }
        })
        .map_or(0, |segment| segment.tokens)
}
