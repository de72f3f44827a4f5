//! What an answer may go on with, where its form is given.
//!
//! The engine knows no grammars. It asks for the tokens that are allowed next while the model
//! computes their logits, on threads of its own, so that the answer is usually there when it is
//! needed.

mod threads;

use kv_cache::TokenId;

pub(crate) use threads::{ConstraintThreads, Following};

/// Follows one answer and says what it may go on with. Used by one thread at a time.
pub trait TokenConstraint: Send {
    /// The tokens that may come next; the stop tokens among them where the answer may end.
    ///
    /// # Errors
    /// When it cannot say. The request fails with the text.
    fn allowed(&mut self) -> Result<TokenMask, ConstraintError>;

    /// The answer goes on with `token`, which is one of those allowed.
    ///
    /// # Errors
    /// When it cannot follow. The request fails with the text.
    fn accept(&mut self, token: TokenId) -> Result<(), ConstraintError>;
}

/// Why a constraint cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConstraintError(pub String);

/// A set of tokens, a bit for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenMask {
    words: Vec<u32>,
    /// The word of all tokens beyond `words`.
    beyond: u32,
}

impl TokenMask {
    /// Tokens by the bits of `words`: token `t` is bit `t % 32`, from the lowest, of word `t / 32`.
    pub fn from_words(words: Vec<u32>) -> Self {
        Self { words, beyond: 0 }
    }

    /// One token.
    pub fn only(token: TokenId) -> Self {
        let mut words = vec![0; token.0 as usize / 32];
        words.push(1 << (token.0 % 32));
        Self::from_words(words)
    }

    /// All tokens.
    pub const fn everything() -> Self {
        Self {
            words: Vec::new(),
            beyond: u32::MAX,
        }
    }

    /// No token at all.
    pub const fn nothing() -> Self {
        Self {
            words: Vec::new(),
            beyond: 0,
        }
    }

    /// Whether the token is in it.
    pub fn contains(&self, token: TokenId) -> bool {
        let word = self.words.get(token.0 as usize / 32);
        word.unwrap_or(&self.beyond) >> (token.0 % 32) & 1 == 1
    }

    /// Whether all its tokens are among `tokens`, which are ascending.
    pub(crate) fn is_within(&self, tokens: &[TokenId]) -> bool {
        if self.beyond != 0 {
            return false;
        }
        let mut set = 0;
        let in_both = tokens.iter().filter(|&&token| self.contains(token)).count();
        for word in &self.words {
            set += word.count_ones() as usize;
            if set > in_both {
                return false;
            }
        }
        true
    }

    /// Makes the logits of all tokens that are not in it minus infinity.
    pub(crate) fn apply_to(&self, logits: &mut [f32]) {
        let words = self
            .words
            .iter()
            .copied()
            .chain(std::iter::repeat(self.beyond));
        for (logits, word) in logits.chunks_mut(32).zip(words) {
            match word {
                0 => logits.fill(f32::NEG_INFINITY),
                u32::MAX => {}
                word => {
                    for (bit, logit) in logits.iter_mut().enumerate() {
                        if word >> bit & 1 == 0 {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_mask_is_out() {
        // Tokens 1 and 33, and all from 64 to 95.
        let mask = TokenMask::from_words(vec![2, 2, u32::MAX]);
        let mut logits = vec![0.5; 100];
        mask.apply_to(&mut logits);
        for (token, &logit) in (0..).zip(&logits) {
            let is_in = token == 1 || token == 33 || (64..96).contains(&token);
            assert_eq!(mask.contains(TokenId(token)), is_in);
            assert_eq!(
                logit,
                if is_in { 0.5 } else { f32::NEG_INFINITY },
                "{token}"
            );
        }
    }

    #[test]
    fn one_token_and_all_of_them() {
        for token in [0, 31, 32, 99] {
            let mask = TokenMask::only(TokenId(token));
            assert!((0..200).all(|other| mask.contains(TokenId(other)) == (other == token)));
            assert!(mask.is_within(&[TokenId(token)]));
        }
        let all = TokenMask::everything();
        let mut logits = vec![0.5; 100];
        all.apply_to(&mut logits);
        assert!(logits.iter().all(|&logit| logit == 0.5));
        assert!(all.contains(TokenId(u32::MAX)) && !all.is_within(&[TokenId(1)]));
    }

    #[test]
    fn a_mask_is_within_what_has_all_of_it() {
        let mask = TokenMask::from_words(vec![0b1010, 1]);
        let ids = |ids: &[u32]| ids.iter().map(|&id| TokenId(id)).collect::<Vec<_>>();
        assert!(mask.is_within(&ids(&[1, 3, 32])));
        assert!(mask.is_within(&ids(&[0, 1, 2, 3, 32, 90])));
        assert!(!mask.is_within(&ids(&[1, 3])));
        assert!(!mask.is_within(&[]));
        assert!(TokenMask::default().is_within(&[]));
    }
}
