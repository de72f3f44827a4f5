//! What the engine tells a caller.

use std::time::Duration;

use kv_cache::{MissReason, TokenId};
use scheduler::FinishReason;

use crate::{ConstraintError, SubmitError};

/// The receiving end of a request, called on the engine's thread: it must never block.
///
/// `Sync`, because the threads that sample look at the requests that sinks belong to.
pub trait EventSink: Send + Sync {
    /// Hands over an event. The engine sends at most `max_tokens + 4` of them to a request.
    fn send(&mut self, event: Event);

    /// Whether nobody listens any more; asked once per step, and a yes cancels the request.
    fn is_closed(&self) -> bool;
}

/// One request's events, in order: `Admitted`, then `Embedded` and `Scored` if it asked for them, then
/// `Token`s, then `Finished`; or `Failed` anywhere.
#[derive(Debug)]
pub enum Event {
    /// The request runs: the first chunk of its prompt is being computed.
    Admitted(Admission),
    /// The prompt has been computed, and with it the log probabilities of the tokens that
    /// [`GenerateRequest::scored`](crate::GenerateRequest::scored) names: in their order, without
    /// those whose predecessor was in the prefix cache.
    Scored(Vec<PromptLogprob>),
    /// The prompt has been computed, and this is the state behind its last token, the output of the
    /// last norm, if [`GenerateRequest::embed`](crate::GenerateRequest::embed) asked for it.
    /// `[hidden_size]`
    Embedded(Vec<f32>),
    /// A token was generated.
    Token(TokenOutput),
    /// The request has ended.
    Finished(Completion),
    /// The request has ended without an answer.
    Failed(RequestError),
}

/// What was known of a request's cost when it was admitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Admission {
    /// Prompt tokens taken from the prefix cache.
    pub cached_tokens: usize,
    /// Of these, tokens whose KV was read back from disk when the request arrived.
    pub restored_tokens: usize,
    /// Why the cached prefix ended where it did; `None` when all but the last token was cached.
    pub miss: Option<MissReason>,
    /// How long ago the first missing block was evicted, if that is the reason.
    pub evicted_ago: Option<Duration>,
    /// How long computing the rest of the prompt should take if nothing else runs.
    pub predicted_prefill: Duration,
    /// Time between submission and admission.
    pub queue_time: Duration,
}

/// A generated token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenOutput {
    /// The token; a stop token ends the answer and is reported in [`Completion`], not here.
    pub token: TokenId,
    /// Present when the request asked for log probabilities.
    pub logprobs: Option<TokenLogprobs>,
    /// With the first token: what the prompt has cost.
    pub prefill: Option<Prefill>,
}

/// What computing a prompt has cost and left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefill {
    /// As [`Completion::prefill_step_time`].
    pub step_time: Duration,
    /// As [`Completion::retained_tokens`].
    pub retained_tokens: usize,
}

/// Log probabilities (natural) at one position.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
    /// Of the chosen token.
    pub chosen: f32,
    /// Of the likeliest tokens, descending; ties in ascending order of token.
    pub top: Vec<(TokenId, f32)>,
}

/// The natural log probability of a token of a prompt, given all before it: by the model, before
/// temperature and truncation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PromptLogprob {
    /// Of the token, in the prompt.
    pub position: usize,
    /// Its log probability.
    pub logprob: f32,
}

/// How a request ended, and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Why generation stopped.
    pub reason: FinishReason,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Prompt tokens taken from the prefix cache at admission.
    pub cached_tokens: usize,
    /// Tokens generated, a stop token included.
    pub completion_tokens: usize,
    /// Times the request was preempted.
    pub preemptions: u32,
    /// Tokens computed again because of preemptions.
    pub recomputed_tokens: usize,
    /// Tokens of the prompt that are retained ([`GenerateRequest::retention`]).
    ///
    /// [`GenerateRequest::retention`]: crate::GenerateRequest::retention
    pub retained_tokens: usize,
    /// Time waiting before admission.
    pub queue_time: Duration,
    /// Time from admission to the first token.
    pub prefill_time: Duration,
    /// Of this, the time in steps that computed tokens of the request, which
    /// [`ProbedPrompt::prefill_seconds`](crate::ProbedPrompt::prefill_seconds) predicts for an
    /// engine with nothing else to do. What others compute in the same steps is part of it; steps
    /// that the request sat out are not.
    pub prefill_step_time: Duration,
    /// Time from the first token to the last.
    pub decode_time: Duration,
}

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// The scheduler refused it.
    #[error(transparent)]
    Refused(#[from] SubmitError),
    /// The device failed while the request was running.
    #[error("the model failed: {0}")]
    Model(String),
    /// The request's constraint could not go on.
    #[error("the constraint failed: {0}")]
    Constraint(#[from] ConstraintError),
    /// A background request whose memory others needed. What it computed may still be cached.
    #[error("the background request was abandoned for others")]
    Abandoned,
    /// The server stopped before the request could finish.
    #[error("the server is shutting down")]
    ShutDown,
}
