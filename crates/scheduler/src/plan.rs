//! The decision of one step, and what came of it.

use std::ops::Range;
use std::time::Duration;

use kv_cache::{BlockCopy, MissReason, TokenId};

use crate::step_time::StepLoad;
use crate::{FinishReason, RequestId};

/// What to compute in one step.
///
/// Made by [`plan_step`](crate::Scheduler::plan_step) and followed by one
/// [`commit_step`](crate::Scheduler::commit_step) or, when the model failed,
/// [`abort_step`](crate::Scheduler::abort_step).
#[derive(Debug, Default)]
pub struct StepPlan {
    /// Tokens to compute; at most one chunk per request.
    pub chunks: Vec<Chunk>,
    /// Copies to run before anything of the step is written.
    pub copies: Vec<BlockCopy>,
    /// Requests that lost their blocks in this step; they wait again and keep their tokens.
    pub preempted: Vec<RequestId>,
    /// Background requests that had to make room; the scheduler has forgotten them.
    pub abandoned: Vec<RequestId>,
    /// Requests that run for the first time.
    pub admitted: Vec<Admitted>,
    /// How long the step should take, once enough steps were measured.
    pub predicted: Option<Duration>,
    pub(crate) load: StepLoad,
    pub(crate) step: u64,
    /// A sequence was left out because what is free is kept for others.
    pub(crate) waits_for_guaranteed: bool,
}

/// The token range of one request computed in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The request.
    pub request: RequestId,
    /// Positions to compute; the KV of all earlier ones exists.
    pub tokens: Range<usize>,
    /// Whether the chunk reaches the end of the sequence, so that a token is sampled.
    pub needs_logits: bool,
}

/// A request's first admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The request.
    pub request: RequestId,
    /// Prompt tokens taken from the cache.
    pub cached_tokens: usize,
    /// Why the cached prefix ended; `None` when all but the last token was cached.
    pub miss: Option<MissReason>,
    /// How long computing the rest should take if nothing else runs.
    pub predicted_prefill: Duration,
}

/// What a step has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepOutcome {
    /// One per sampled token whose request was not cancelled meanwhile, in the plan's order.
    pub updates: Vec<Update>,
}

/// A request's next token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The request.
    pub request: RequestId,
    /// The token that was appended.
    pub token: TokenId,
    /// Tokens generated so far, this one included.
    pub num_generated: usize,
    /// Tokens that preemptions made it compute again, so far.
    pub recomputed_tokens: usize,
    /// Tokens of the prompt that are retained ([`RetentionRequest`](crate::RetentionRequest)).
    pub retained_tokens: usize,
    /// Present when the request has ended; the scheduler has then forgotten it.
    pub finished: Option<FinishReason>,
}

impl StepPlan {
    /// Tokens to compute.
    pub fn num_tokens(&self) -> usize {
        self.load.tokens
    }

    /// Whether running sequences lacked blocks, so that nobody is to be admitted.
    pub(crate) fn is_short_of_memory(&self) -> bool {
        !self.preempted.is_empty() || self.waits_for_guaranteed
    }

    /// Whether there is nothing to compute.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}
