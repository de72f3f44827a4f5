//! What is submitted, and why it may be refused.

use std::time::Duration;

use kv_cache::TokenId;

use crate::{RetentionRequest, StopConditions};

/// Names a request; the caller never uses one twice at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A prompt to continue.
#[derive(Clone, Debug)]
pub struct NewSequence {
    /// Its name.
    pub id: RequestId,
    /// The prompt; not empty.
    pub prompt: Vec<TokenId>,
    /// When to stop; `max_tokens` is at least 1.
    pub stop: StopConditions,
    /// Class of the request; lower is served earlier (as in vLLM).
    pub priority: i32,
    /// Cached prefixes are shared only with requests of the same salt.
    pub cache_salt: Vec<u8>,
    /// Output tokens that the request is sure to have room for once it is admitted; 0 promises
    /// nothing. It is admitted only when so many blocks are free, nobody else takes them, and until
    /// it has generated so many tokens it is not preempted. What exceeds `max_tokens` is not kept.
    pub min_output_tokens: usize,
    /// Whether the request computes only with what others leave: at most `max_background_share` of
    /// a step while others run, admitted only when nobody else waits and ended without an answer
    /// ([`StepPlan::abandoned`](crate::StepPlan::abandoned)) when others need its memory.
    pub background: bool,
    /// What of the prompt is kept beyond its turn.
    pub retention: Option<RetentionRequest>,
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// It could not run even alone.
    #[error(
        "{prompt_tokens} prompt tokens and {max_tokens} output tokens were requested, and a \
         sequence can have {max_model_len}"
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Output tokens asked for, or to be kept room for if that is more.
        max_tokens: usize,
        /// Longest sequence that the model and the block pool can hold.
        max_model_len: usize,
    },
    /// Too many requests or tokens are waiting.
    #[error("the queue is full")]
    QueueFull {
        /// When the queue should have room: queued uncached tokens over the measured prefill rate.
        retry_after: Duration,
    },
}
