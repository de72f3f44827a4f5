//! A summary's way through the engine.

use std::ops::AddAssign;

use engine::{
    AdapterHandle, Completion, EngineHandle, Event, EventSink, FinishReason, GenerateRequest,
    RequestError, StopConditions, TokenId,
};
use tokio::sync::oneshot;

use super::CompactionFailure;

/// What is asked of the engine.
pub(super) struct ModelCall {
    /// The conversation, the instruction and the beginning of an answer.
    pub(super) prompt: Vec<u32>,
    /// Longest answer.
    pub(super) max_tokens: usize,
    /// Tokens that end it.
    pub(super) stop_token_ids: Vec<TokenId>,
    /// Whose cached prefixes are used.
    pub(super) cache_salt: Vec<u8>,
    /// What it is computed with beside the model.
    pub(super) adapter: Option<AdapterHandle>,
    /// Class of the request.
    pub(super) priority: i32,
    /// Whether it computes only with what others leave.
    pub(super) background: bool,
}

/// What the model said.
pub(super) struct ModelAnswer {
    /// Its tokens, without the one that ended it.
    pub(super) tokens: Vec<u32>,
    /// Whether the model ended it, rather than the lack of room.
    pub(super) is_whole: bool,
    /// What it cost.
    pub(super) computed: ComputedTokens,
}

/// Tokens of a summary's prompt and answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComputedTokens {
    /// Tokens of the prompts.
    pub prompt: usize,
    /// Of these, tokens that were in the prefix cache.
    pub cached: usize,
    /// Tokens generated, those that end an answer included.
    pub output: usize,
    /// Tokens computed again because the request was preempted.
    pub recomputed: usize,
}

impl ComputedTokens {
    /// Tokens of the prompts that were computed.
    pub fn prefilled(&self) -> usize {
        self.prompt - self.cached
    }

    /// All tokens that were computed for the summary.
    pub fn total(&self) -> usize {
        self.prefilled() + self.output + self.recomputed
    }
}

impl AddAssign for ComputedTokens {
    fn add_assign(&mut self, other: Self) {
        self.prompt += other.prompt;
        self.cached += other.cached;
        self.output += other.output;
        self.recomputed += other.recomputed;
    }
}

impl ModelCall {
    /// Waits for the answer; dropping the future cancels the request within one step.
    pub(super) async fn answer(
        self,
        engine: &EngineHandle,
    ) -> Result<ModelAnswer, CompactionFailure> {
        let (done, answer) = oneshot::channel();
        let sink = SummarySink {
            tokens: Vec::new(),
            done: Some(done),
        };
        let prompt = self.prompt.into_iter().map(TokenId).collect();
        engine.submit(GenerateRequest {
            stop: StopConditions {
                max_tokens: self.max_tokens,
                min_tokens: 0,
                stop_token_ids: self.stop_token_ids,
            },
            priority: self.priority,
            cache_salt: self.cache_salt,
            adapter: self.adapter,
            background: self.background,
            ..GenerateRequest::greedy(prompt, self.max_tokens, Box::new(sink))
        })?;
        // A sink that ends without a word was dropped by an engine that stops.
        answer
            .await
            .unwrap_or(Err(RequestError::ShutDown))
            .map_err(|error| match error {
                RequestError::Refused(refused) => CompactionFailure::Refused(refused),
                RequestError::Model(error) => CompactionFailure::Model(error),
                RequestError::Constraint(error) => CompactionFailure::Model(error.to_string()),
                RequestError::Abandoned => CompactionFailure::Abandoned,
                RequestError::ShutDown => CompactionFailure::ShuttingDown,
            })
    }
}

/// Gathers the tokens on the engine's thread: whoever waits is woken once, at the end.
struct SummarySink {
    tokens: Vec<u32>,
    done: Option<oneshot::Sender<Result<ModelAnswer, RequestError>>>,
}

impl SummarySink {
    fn end(&mut self, result: Result<Completion, RequestError>) {
        let tokens = std::mem::take(&mut self.tokens);
        let answer = result.map(|completion| ModelAnswer {
            tokens,
            is_whole: matches!(completion.reason, FinishReason::Stop(_)),
            computed: ComputedTokens {
                prompt: completion.prompt_tokens,
                cached: completion.cached_tokens,
                output: completion.completion_tokens,
                recomputed: completion.recomputed_tokens,
            },
        });
        if let Some(done) = self.done.take() {
            // Nobody may listen any more: the client has gone.
            drop(done.send(answer));
        }
    }
}

impl EventSink for SummarySink {
    fn send(&mut self, event: Event) {
        match event {
            Event::Admitted(_) | Event::Scored(_) | Event::Embedded(_) => {}
            Event::Token(output) => self.tokens.push(output.token.0),
            Event::Finished(completion) => self.end(Ok(completion)),
            Event::Failed(error) => self.end(Err(error)),
        }
    }

    fn is_closed(&self) -> bool {
        self.done.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}
