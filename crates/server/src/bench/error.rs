//! What can go wrong between the benchmark and the server that it measures.

use thiserror::Error;

use crate::measure::ServerError;

/// A failure that ends the benchmark, said so that the user knows what to change.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The server cannot be asked, or refuses.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The server does not serve this model.
    #[error("the server has no model {model:?} ({message}); it serves {served}")]
    ModelUnknown {
        /// The name that was asked for.
        model: String,
        /// What `/v1/models` lists.
        served: String,
        /// The server's words.
        message: String,
    },
    /// The prompts do not fit the server's context.
    #[error(
        "{prompt_tokens} prompt tokens and {max_tokens} to generate are too long for the \
        server: {limit}; choose a smaller {option}"
    )]
    PromptTooLong {
        /// The longest prompt of the run.
        prompt_tokens: u32,
        /// The most that is generated.
        max_tokens: u32,
        /// The limit, or the server's words about it.
        limit: String,
        /// The option that makes prompts shorter.
        option: &'static str,
    },
    /// The server knows neither kind of completions.
    #[error("{base} has neither /v1/completions nor /v1/chat/completions; is --base-url right?")]
    NoCompletions {
        /// `--base-url`.
        base: String,
    },
    /// Messages are needed and cannot be sent.
    #[error("{base} has no /v1/chat/completions, which messages need; is --base-url right?")]
    NoChat {
        /// `--base-url`.
        base: String,
    },
    /// A hit rate is asked for twice.
    #[error("--hit-rates: {0} is there twice")]
    HitRateTwice(super::ttft::HitRate),
}
