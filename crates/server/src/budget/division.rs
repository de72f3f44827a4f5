//! A conversation's tokens, and whose each of them is.

mod deferred;
mod pieces;
mod spans;

use std::ops::Range;

use context::{
    CallRecord, KnownEdit, Policy, Protection, Resolved, Segment, SegmentKind, SegmentText,
    StablePrefix, Tier, call_digest, text_features,
};

use super::insertion::Insertion;
use super::place::Place;
use crate::model::ServedModel;
use crate::prompt;
use crate::validate::budget::Annotation;
use crate::validate::chat::Conversation;
use crate::validate::notes::Mark;
use crate::wire::context_report::DeferredTool;
use crate::wire::error::ApiError;
use pieces::{Pieced, pieces};
use spans::Spans;

/// A rendered and tokenised conversation. Every token belongs to one segment or to the template.
pub(super) struct Division {
    /// The prompt.
    pub(super) tokens: Vec<u32>,
    /// Its pieces, in the order in which they stand in the prompt.
    pub(super) segments: Vec<Segment>,
    /// Where each segment's text stands in the conversation.
    pub(super) places: Vec<Place>,
    /// Each segment's text; a call's arguments.
    pub(super) texts: Vec<String>,
    /// Tiers that are not up to the zones.
    pub(super) tiers: Vec<Option<Tier>>,
    /// Where the client gives them.
    pub(super) tier_paths: Vec<Option<String>>,
    /// Whether the server has put a segment in, for this request only.
    pub(super) inserted: Vec<bool>,
    /// The number that each segment's message has in the request.
    pub(super) messages: Vec<Option<usize>>,
    /// Position at which each message of the request begins.
    pub(super) message_starts: Vec<usize>,
    /// Whether segments were told apart exactly.
    pub(super) is_exact: bool,
    /// Blocks of reasoning that cannot be shown.
    pub(super) num_redacted: usize,
    /// Tools that the prompt has not got.
    pub(super) deferred: Vec<DeferredTool>,
    /// What the client says it is about.
    task: Option<String>,
}

impl Division {
    /// Renders, tokenises and divides a conversation.
    ///
    /// # Errors
    /// When the template refuses it, or it cannot be tokenised.
    pub(super) fn new(
        model: &ServedModel,
        conversation: &Conversation,
        annotations: &[Annotation],
        insertions: &[Insertion],
        task: Option<&str>,
        now: chrono::NaiveDateTime,
    ) -> Result<Self, ApiError> {
        let plain = prompt::render(model, conversation, now)?;
        let mut pieces = pieces(conversation, annotations, insertions)?;
        let places: Vec<Place> = pieces.iter().map(|piece| piece.place).collect();
        let spans = Spans::find(conversation, &places, &plain, |marked| {
            prompt::render(model, marked, now).ok()
        });
        let mut order: Vec<usize> = (0..pieces.len()).collect();
        order.sort_by_key(|&at| spans.ranges[at].start);
        let ranges: Vec<Range<usize>> = order.iter().map(|&at| spans.ranges[at].clone()).collect();
        let mut taken: Vec<Option<Pieced>> = pieces.drain(..).map(Some).collect();
        let pieces: Vec<Pieced> = order.iter().filter_map(|&at| taken[at].take()).collect();

        let encoding = prompt::encode_with_offsets(
            model,
            "messages",
            &plain,
            conversation.add_special_tokens,
        )?;
        let message = |place: Place| place.message().and_then(|at| conversation.notes.origin(at));
        let counted = count(&encoding.owners(&ranges), ranges.len());
        let mut division = Self {
            tokens: encoding.ids,
            segments: segments(&pieces, &counted)?,
            messages: pieces.iter().map(|piece| message(piece.place)).collect(),
            places: pieces.iter().map(|piece| piece.place).collect(),
            tiers: pieces.iter().map(|piece| piece.tier).collect(),
            tier_paths: pieces.iter().map(|piece| piece.tier_path.clone()).collect(),
            inserted: pieces.iter().map(|piece| piece.is_inserted).collect(),
            message_starts: Vec::new(),
            is_exact: spans.is_exact,
            task: task.map(str::to_owned),
            num_redacted: conversation.notes.num_redacted,
            deferred: deferred::count(model, conversation, now),
            texts: pieces.into_iter().map(|piece| piece.text).collect(),
        };
        division.add_features();
        division.message_starts = division.message_starts(conversation);
        Ok(division)
    }

    /// Gives each piece its zone's tier, unless the client or the server knows better.
    pub(super) fn set_tiers(&mut self, policy: &Policy) {
        for (segment, own) in self.segments.iter_mut().zip(&self.tiers) {
            let rule = policy.rule(&segment.zone).map(|rule| rule.tier);
            segment.tier = own.or(rule).unwrap_or(Tier::Protected);
        }
    }

    /// The calls of tools, for counting those that are repeated.
    pub(super) fn calls(&self) -> Vec<CallRecord> {
        let result_of = |call: usize| {
            self.segments.iter().position(|segment| {
                matches!(&segment.kind, SegmentKind::ToolResult { call: of, .. } if *of == call)
            })
        };
        let calls = self.segments.iter().enumerate();
        calls
            .filter_map(|(at, segment)| match &segment.kind {
                SegmentKind::ToolCall { name, call } => Some(CallRecord {
                    call: at,
                    result: result_of(*call),
                    digest: call_digest(name, &self.texts[at]),
                }),
                _ => None,
            })
            .collect()
    }

    /// Where a stable prefix that the client has marked ends, if it is up to marks: behind the last
    /// piece in front of the last mark.
    pub(super) fn marked_end(&self, until: Option<StablePrefix>, marks: &[Mark]) -> Option<usize> {
        if !matches!(until, None | Some(StablePrefix::CacheControl)) {
            return None;
        }
        let is_covered = |place: &Place| marks.iter().any(|mark| mark.place.covers(*place));
        let pieces = self.segments.iter().zip(&self.places);
        pieces
            .filter(|(_, place)| is_covered(place))
            .map(|(segment, _)| segment.end())
            .max()
    }

    /// What is looked for: what the user has said last, and what the client says it is about.
    pub(super) fn query(&self) -> String {
        let live = self.segments.iter().zip(&self.texts);
        let spoken = live.filter(|(segment, _)| segment.live && segment.kind == SegmentKind::User);
        spoken
            .map(|(_, text)| text.as_str())
            .chain(self.task.as_deref())
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn add_features(&mut self) {
        let query = self.query();
        let texts: Vec<SegmentText<'_>> = self
            .segments
            .iter()
            .zip(&self.texts)
            .map(|(segment, text)| SegmentText {
                text,
                tokens: segment.tokens,
            })
            .collect();
        let features = text_features(&texts, &query);
        for (segment, features) in self.segments.iter_mut().zip(features) {
            segment.relevance = features.relevance;
            segment.referenced = features.referenced;
            segment.density = features.density;
        }
    }

    /// By the numbers that messages have in the request.
    fn message_starts(&self, conversation: &Conversation) -> Vec<usize> {
        let mut starts = vec![None; conversation.notes.roles.len()];
        for (segment, message) in self.segments.iter().zip(&self.messages) {
            if let Some(at) = *message {
                let start = starts[at].get_or_insert(segment.start);
                *start = segment.start.min(*start);
            }
        }
        // A message that shows nothing begins where the next one does.
        let mut next = self.tokens.len();
        let mut starts: Vec<usize> = starts
            .into_iter()
            .rev()
            .map(|start| {
                next = start.unwrap_or(next);
                next
            })
            .collect();
        starts.reverse();
        starts
    }
}

/// First token and number of tokens of each span, given the span that each token belongs to. A span
/// without tokens begins where the next one does.
fn count(owners: &[Option<usize>], spans: usize) -> Vec<(usize, usize)> {
    let mut counted = vec![(owners.len(), 0); spans];
    for (position, owner) in owners.iter().enumerate() {
        if let Some(owner) = owner {
            let (start, number) = &mut counted[*owner];
            *start = position.min(*start);
            *number += 1;
        }
    }
    for span in (1..spans).rev() {
        if counted[span - 1].1 == 0 {
            counted[span - 1].0 = counted[span].0;
        }
    }
    counted
}

fn segments(pieces: &[Pieced], counted: &[(usize, usize)]) -> Result<Vec<Segment>, ApiError> {
    let segments = pieces.iter().zip(counted);
    segments
        .map(|(piece, &(start, tokens))| {
            Ok(Segment {
                zone: piece.zone.clone(),
                tier: piece.tier.unwrap_or(Tier::Protected),
                kind: piece.kind.clone(),
                tokens,
                start,
                turn: piece.turn,
                live: piece.live,
                pinned: piece.pinned,
                digest: piece.digest,
                score: piece.score,
                referenced: 0.0,
                relevance: 0.0,
                density: 0.0,
                utility: None,
                depends_on: dependencies(pieces, piece)?,
                edit: None,
            })
        })
        .collect()
}

impl Division {
    /// Which edits of earlier requests may stand in this one.
    pub(super) fn allowed(&self, resolved: &Resolved, known: &[KnownEdit]) -> Vec<bool> {
        let allowed = Protection::new(resolved, &self.segments).allowed(known);
        let is_own = |known: &KnownEdit| !self.inserted[known.segments.clone()].contains(&true);
        let both = allowed.into_iter().zip(known);
        both.map(|(allowed, known)| allowed && is_own(known))
            .collect()
    }
}

/// The pieces that have the names, and the results of the calls, on which a piece depends.
fn dependencies(pieces: &[Pieced], piece: &Pieced) -> Result<Vec<usize>, ApiError> {
    let mut found = Vec::new();
    for (name, path) in &piece.depends_on {
        let is_meant = |other: &Pieced| {
            let is_result = matches!(other.kind, SegmentKind::ToolResult { .. });
            other.id.as_ref() == Some(name) || is_result && other.call_id.as_ref() == Some(name)
        };
        let before = found.len();
        let meant = pieces
            .iter()
            .enumerate()
            .filter(|(_, other)| is_meant(other));
        found.extend(meant.map(|(at, _)| at));
        let is_call = |other: &Pieced| other.call_id.as_ref() == Some(name);
        // A call that has no result yet is known all the same.
        if found.len() == before && !pieces.iter().any(is_call) {
            let message = format!("`{path}`: there is no call or piece {name:?}.");
            return Err(ApiError::field(path, message));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
