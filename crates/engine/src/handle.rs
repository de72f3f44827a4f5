//! The engine as its callers see it.

use std::time::Duration;

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// It can never fit: OpenAI's `context_length_exceeded`.
    #[error(
        "this model's maximum context length is {max_model_len} tokens, but {prompt_tokens} prompt \
         tokens and {max_tokens} output tokens were requested"
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Output tokens asked for.
        max_tokens: usize,
        /// Longest sequence the server can hold.
        max_model_len: usize,
    },
    /// Too much is waiting already.
    #[error("the queue is full; retry after {} s", retry_after.as_secs_f64().ceil())]
    QueueFull {
        /// When the queue should have room, from the measured prefill rate.
        retry_after: Duration,
    },
    /// The server is stopping.
    #[error("the server is shutting down")]
    ShuttingDown,
}
