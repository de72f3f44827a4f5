//! What can go wrong in an evaluation.

use thiserror::Error;

use crate::measure::ServerError;

/// A failure that ends the evaluation, said so that the user knows what to change.
#[derive(Debug, Error)]
pub enum EvalError {
    /// The server cannot be asked, or refuses.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Conversations cannot be counted.
    #[error(
        "the server's /tokenize does not count conversations ({reason}), so no budget is exact"
    )]
    NoTokenizer {
        /// What it says instead.
        reason: String,
    },
    /// Earlier messages look different once others follow.
    #[error(
        "the model's chat template renders the first {messages} messages differently when others \
        follow, so their tokens cannot be cut"
    )]
    TemplateRewrites {
        /// How many messages.
        messages: usize,
    },
    /// The episodes do not fit the window.
    #[error(
        "--length {length}: with a question and its answer that is more than the model's \
        {window} tokens"
    )]
    TooLong {
        /// `--length`.
        length: u64,
        /// The model's window.
        window: u64,
    },
    /// The episodes are too short for what is planted in them.
    #[error("--length {length}: an episode of kind {kind} has at least {least} tokens")]
    TooShort {
        /// `--length`.
        length: u64,
        /// The kind.
        kind: String,
        /// Tokens without any filler.
        least: u64,
    },
    /// A value of a list is there twice.
    #[error("--{option}: {value} is there twice")]
    Twice {
        /// The option.
        option: &'static str,
        /// The value.
        value: String,
    },
    /// There are fewer documents than places for one.
    #[error("--positions {positions}: with --documents {documents} there are not so many places")]
    TooManyPositions {
        /// `--positions`.
        positions: u32,
        /// `--documents`.
        documents: u32,
    },
    /// The server puts no documents in.
    #[error("the server does not place `context_budget.documents`: {reason}")]
    NoPlacement {
        /// What it says instead.
        reason: String,
    },
    /// A file cannot be read or does not have the right shape.
    #[error("--trimmed {path}: {reason}")]
    Trimmed {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}
