//! What a request says, before its conversation is counted.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use context::{
    Facts, Replay, Resolved, Segment, SegmentKind, SessionFacts, Settings, StablePrefix, Tier,
    resolve,
};
use memory::Tenant;
use serde_json::json;

use crate::budget::division::Division;
use crate::budget::prefix_ends::PrefixEnds;
use crate::budget::standing::Standing;
use crate::budget::supply::Supplied;
use crate::model::ServedModel;
use crate::validate::budget::{Ablation, Annotation};
use crate::validate::chat::Conversation;
use crate::wire::context_report::Warning;
use crate::wire::error::ApiError;

/// Turns that a conversation is expected to have still, where nobody knows better.
const EXPECTED_TURNS: f64 = 8.0;

/// Tokens of an answer, where nobody knows better.
const EXPECTED_OUTPUT: f64 = 200.0;

/// What a draft is made of.
#[derive(Clone)]
pub(in crate::budget) struct DraftInput {
    pub(in crate::budget) model: ServedModel,
    pub(in crate::budget) conversation: Conversation,
    pub(in crate::budget) settings: Settings,
    pub(in crate::budget) annotations: Vec<Annotation>,
    pub(in crate::budget) incoming: usize,
    pub(in crate::budget) output_asked: Option<usize>,
    pub(in crate::budget) tenant: Tenant,
    pub(in crate::budget) tenant_salt: Vec<u8>,
    pub(in crate::budget) now: chrono::NaiveDateTime,
    /// Whether edits are made. Otherwise not a byte changes: tools keep their order, and edits of
    /// earlier requests are not repeated.
    pub(in crate::budget) enforces: bool,
    /// Whether the server's own tools are among the conversation's.
    pub(in crate::budget) serves: bool,
    /// Whether the conversation counts among those that share a beginning.
    pub(in crate::budget) is_noted: bool,
    /// Fields of `context_budget` that `context_management` contradicts.
    pub(in crate::budget) conflicts: Vec<&'static str>,
    /// What the client is told of its settings.
    pub(in crate::budget) notices: Vec<Warning>,
    /// What is left out, to measure it.
    pub(in crate::budget) ablation: Ablation,
    /// Names of the tools that this request was the first to leave out.
    pub(in crate::budget) pruned: BTreeSet<Box<str>>,
    /// Summaries that stay although they move the model too far, by their original segments: nothing
    /// more detailed fits.
    pub(in crate::budget) accepted_drift: Vec<RangeInclusive<usize>>,
    /// What the server has put into the conversation.
    pub(in crate::budget) supplied: Supplied,
}

impl DraftInput {
    /// Requests that the conversation has needed so far, this one included: an agent makes many of
    /// them for one message of its user, and it is they that add to the context.
    pub(in crate::budget) fn requests(&self) -> usize {
        let messages = self.conversation.messages.iter();
        1 + messages
            .filter(|message| message["role"] == "assistant")
            .count()
    }

    /// What the settings come to for these pieces.
    ///
    /// # Errors
    /// When they cannot be meant.
    pub(in crate::budget) fn resolve(
        &self,
        division: &Division,
        segments: &[Segment],
        replay: &Replay,
        ends: PrefixEnds,
    ) -> Result<Resolved, ApiError> {
        let turns = self.requests();
        let prompt_tokens = division.tokens.len().saturating_sub(replay.freed());
        let facts = Facts {
            window: self.model.window.tokens,
            output_asked: self.output_asked,
            prompt_tokens,
            segments,
            cache_control_end: ends.marked,
            shared_prefix: ends.shared,
            message_starts: &division.message_starts,
            session: SessionFacts {
                turns: EXPECTED_TURNS,
                growth_per_turn: prompt_tokens as f64 / turns as f64,
                output_per_turn: EXPECTED_OUTPUT,
                turns_since_edits: replay.turns_since_edits(turns),
            },
        };
        resolve(&self.settings, &facts).map_err(|error| ApiError::from(&error))
    }

    /// Says where the client allows edits that are never made, rather than to pass it over: inside
    /// the stable prefix that it has drawn itself, and of rules.
    ///
    /// # Errors
    /// The first such note, by its path.
    pub(in crate::budget) fn check_tiers(
        &self,
        division: &Division,
        resolved: &Resolved,
    ) -> Result<(), ApiError> {
        let end = match self.settings.stable_prefix {
            // What others send moves it, which no client can know of.
            Some(StablePrefix::Auto) => 0,
            _ => resolved.policy.stable_prefix_end,
        };
        let tiers = division.tiers.iter().zip(&division.tier_paths);
        for (segment, (tier, path)) in division.segments.iter().zip(tiers) {
            let (Some(tier), Some(path)) = (tier, path) else {
                continue;
            };
            let (why, code) = if tier.is_fixed() {
                continue;
            } else if segment.kind == SegmentKind::System {
                ("a system message is never edited", "protected_zone")
            } else if segment.start < end {
                let why = "this stands in the stable prefix, where nothing is edited";
                (why, "stable_prefix_violation")
            } else {
                continue;
            };
            let message = format!("`{path}` is {}, but {why}.", tier.name());
            return Err(ApiError::setting(path, message, json!({"code": code})));
        }
        Ok(())
    }

    /// Gives each piece its zone's tier, unless the client or the server knows better.
    pub(in crate::budget) fn set_tiers(
        &self,
        division: &Division,
        standing: &mut Standing,
        resolved: &Resolved,
    ) {
        let pieces = standing.segments.iter_mut().zip(&standing.originals);
        for (segment, original) in pieces {
            let own = division.tiers[*original.start()];
            let rule = resolved.policy.rule(&segment.zone).map(|rule| rule.tier);
            segment.tier = own.or(rule).unwrap_or(Tier::Protected);
        }
    }
}
