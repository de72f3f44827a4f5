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

/// Why a sequence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// A stop token was generated.
    Stop(TokenId),
    /// `max_tokens` or the model's length was reached.
    Length,
}

impl StopConditions {
    /// Whether a sequence of `num_tokens` tokens ends with `last`, its `generated`-th new token.
    pub(crate) fn check(
        &self,
        last: TokenId,
        generated: usize,
        num_tokens: usize,
        max_model_len: usize,
    ) -> Option<FinishReason> {
        if self.stop_token_ids.contains(&last) {
            Some(FinishReason::Stop(last))
        } else if generated >= self.max_tokens || num_tokens >= max_model_len {
            Some(FinishReason::Length)
        } else {
            None
        }
    }
}
