//! When a sequence ends.

use kv_cache::TokenId;

/// What ends a sequence, as far as tokens can tell (stop strings are the text layer's).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopConditions {
    /// Tokens to generate at most; at least 1.
    pub max_tokens: usize,
    /// Stop tokens are not sampled before this many tokens.
    pub min_tokens: usize,
    /// Tokens that end the sequence: the request's own, and the model's end-of-sequence tokens
    /// unless the request ignores those.
    pub stop_token_ids: Vec<TokenId>,
}
