//! Why a text has no vector.

use thiserror::Error;

/// A text that an encoder cannot embed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EmbedError {
    /// There is nothing to embed.
    #[error("there are no tokens")]
    Empty,
    /// The text is longer than the model's window.
    #[error("{tokens} tokens are more than the {window} of the window")]
    TooLong {
        /// Tokens of the text.
        tokens: usize,
        /// Tokens at most.
        window: usize,
    },
    /// A token that the model does not have.
    #[error("token {index} is {id}, and the model has {vocab_size}")]
    Token {
        /// Its place in the text.
        index: usize,
        /// Its id.
        id: u32,
        /// Ids of the model.
        vocab_size: usize,
    },
    /// The weights make no number of the text.
    #[error("the vector is not finite")]
    NotFinite,
    /// The computation failed.
    #[error("{0}")]
    Compute(String),
}
