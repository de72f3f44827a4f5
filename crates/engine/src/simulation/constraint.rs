//! A constraint that a simulated request may have.

use kv_cache::TokenId;

use super::scenario::VOCAB_SIZE;
use crate::{ConstraintError, TokenConstraint, TokenMask};

/// Tokens after which a constraint that breaks does.
pub(super) const BREAKS_AFTER: usize = 3;

/// Leaves out a third of the tokens, by the sum of those before.
pub(super) struct Thirds {
    accepted: Vec<TokenId>,
    breaks: bool,
}

impl Thirds {
    pub(super) fn new(breaks: bool) -> Self {
        Self {
            accepted: Vec::new(),
            breaks,
        }
    }

    /// The tokens that may come after `accepted`.
    pub(super) fn mask(accepted: &[TokenId]) -> TokenMask {
        let sum: u32 = accepted.iter().map(|token| token.0).sum();
        let mut words = vec![0; VOCAB_SIZE.div_ceil(32)];
        for token in (0..VOCAB_SIZE as u32).filter(|token| !(token + sum).is_multiple_of(3)) {
            words[token as usize / 32] |= 1 << (token % 32);
        }
        TokenMask::from_words(words)
    }
}

impl TokenConstraint for Thirds {
    fn allowed(&mut self) -> Result<TokenMask, ConstraintError> {
        Ok(Self::mask(&self.accepted))
    }

    fn accept(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        assert!(
            Self::mask(&self.accepted).contains(token),
            "{token:?} is not allowed"
        );
        self.accepted.push(token);
        if self.breaks && self.accepted.len() == BREAKS_AFTER {
            return Err(ConstraintError("it breaks here".to_owned()));
        }
        Ok(())
    }
}
