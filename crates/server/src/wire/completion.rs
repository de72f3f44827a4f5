//! What `/v1/completions` answers.

use serde::Serialize;
use serde_json::{Map, Value};
use text::Tokenizer;

use super::chat::finite;
use super::usage::Usage;
use crate::answer::TokenPiece;

/// `text_completion`.
#[derive(Clone, Debug, Serialize)]
pub struct Completion {
    /// `cmpl-..`
    pub id: String,
    /// `text_completion`
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// The model's name.
    pub model: String,
    /// The answers.
    pub choices: Vec<CompletionChoice>,
    /// What they cost; in a stream only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
    /// How the cache was used by the first answer, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Value>,
}

/// One answer, or a piece of one.
#[derive(Clone, Debug, Serialize)]
pub struct CompletionChoice {
    /// Its number.
    pub index: usize,
    /// Text.
    pub text: String,
    /// Log probabilities, when asked for.
    pub logprobs: Option<CompletionLogprobs>,
    /// Why it ended; `null` while it goes on.
    pub finish_reason: Option<&'static str>,
}

/// Log probabilities in the old API's shape: parallel arrays, one element per token.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CompletionLogprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<f64>,
    /// `null` when no alternatives were asked for.
    top_logprobs: Option<Vec<Map<String, Value>>>,
    /// Characters of the answer's tokens before each token.
    text_offset: Vec<usize>,
}

impl CompletionLogprobs {
    /// Adds a token that begins at character `offset`; returns where the next one begins.
    pub fn add(&mut self, tokenizer: &Tokenizer, piece: &TokenPiece, offset: usize) -> usize {
        let text = tokenizer.token_text(piece.token);
        let next = offset + text.chars().count();
        if !piece.logprobs.top.is_empty() {
            let top = piece.logprobs.top.iter().map(|&(token, logprob)| {
                (tokenizer.token_text(token.0), Value::from(finite(logprob)))
            });
            self.top_logprobs
                .get_or_insert_default()
                .push(top.collect());
        }
        self.tokens.push(text);
        self.token_logprobs
            .push(f64::from(finite(piece.logprobs.chosen)));
        self.text_offset.push(offset);
        next
    }
}
