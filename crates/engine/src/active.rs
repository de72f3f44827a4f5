//! What the engine keeps of a request beside its tokens, which the scheduler has.

use std::time::Duration;

use kv_cache::TokenId;
use scheduler::{FinishReason, Timestamp, Update};

use crate::constraint::Following;
use crate::sampler::NonFiniteLogits;
use crate::scoring::Scoring;
use crate::{AdapterHandle, Completion, Event, EventSink, RequestError, SamplingParams, TokenMask};

/// A request that the scheduler has taken and not yet finished.
pub(crate) struct ActiveRequest {
    pub(crate) sampling: SamplingParams,
    pub(crate) sink: Box<dyn EventSink>,
    /// What it is computed with, beside the base model; loaded at least as long as the request is
    /// there.
    pub(crate) adapter: Option<AdapterHandle>,
    pub(crate) prompt_len: usize,
    pub(crate) min_tokens: usize,
    pub(crate) stop_token_ids: Vec<TokenId>,
    pub(crate) following: Option<Following>,
    pub(crate) submitted: Timestamp,
    pub(crate) admitted: Option<Timestamp>,
    pub(crate) first_token: Option<Timestamp>,
    /// Time in steps before the first token that computed something of it.
    pub(crate) prefill_step_time: Duration,
    pub(crate) cached_tokens: usize,
    /// Tokens whose KV was read back from disk for it.
    pub(crate) restored_tokens: usize,
    pub(crate) preemptions: u32,
    /// Tokens of the prompt that the caller wants scored; taken with the first token.
    pub(crate) scoring: Scoring,
    /// Whether the state behind the prompt is still wanted.
    pub(crate) embed: bool,
}

impl ActiveRequest {
    /// Tokens that may not be sampled after `history_len` tokens: stop tokens before `min_tokens`.
    pub(crate) fn forbidden(&self, history_len: usize) -> &[TokenId] {
        if history_len - self.prompt_len < self.min_tokens {
            &self.stop_token_ids
        } else {
            &[]
        }
    }

    /// The only tokens that may be sampled. None where the constraint has failed.
    pub(crate) fn allowed(&self) -> Option<&TokenMask> {
        static NOTHING: TokenMask = TokenMask::nothing();
        let following = self.following.as_ref()?;
        Some(following.allowed().unwrap_or(&NOTHING))
    }

    /// Why no token could be chosen: the constraint's reason, or the logits'.
    pub(crate) fn why_no_token(&self, error: NonFiniteLogits) -> RequestError {
        match self.following.as_ref().and_then(Following::error) {
            Some(constraint) => constraint.clone().into(),
            None => RequestError::Model(error.to_string()),
        }
    }

    /// Tells the caller how the request ended.
    pub(crate) fn finish(mut self, reason: FinishReason, last: &Update, now: Timestamp) {
        let admitted = self.admitted.unwrap_or(now);
        let first_token = self.first_token.unwrap_or(now);
        self.sink.send(Event::Finished(Completion {
            reason,
            prompt_tokens: self.prompt_len,
            cached_tokens: self.cached_tokens,
            completion_tokens: last.num_generated,
            preemptions: self.preemptions,
            recomputed_tokens: last.recomputed_tokens,
            retained_tokens: last.retained_tokens,
            queue_time: admitted.since(self.submitted),
            prefill_time: first_token.since(admitted),
            prefill_step_time: self.prefill_step_time,
            decode_time: now.since(first_token),
        }));
    }
}
