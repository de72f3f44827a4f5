//! Where an answer stands in its grammar.

use std::fmt;

use llguidance::Matcher;
use toktrie::SimpleVob;

use super::GrammarError;
use super::compiler::said;

/// Follows one answer through its grammar.
pub struct GrammarMatcher {
    matcher: Matcher,
}

/// Tokens that may come next: a bit for each id.
#[derive(Clone)]
pub struct TokenSet(SimpleVob);

impl GrammarMatcher {
    pub(super) fn new(matcher: Matcher) -> Self {
        Self { matcher }
    }

    /// The tokens that may come next; the tokens that end an answer are among them where it may
    /// end, and alone once it is complete.
    ///
    /// # Errors
    ///
    /// `Stuck` when the grammar needs more than the parser's limits.
    pub fn allowed(&mut self) -> Result<TokenSet, GrammarError> {
        let set = self.matcher.compute_mask_or_eos().map_err(stuck)?;
        Ok(TokenSet(set))
    }

    /// Goes on by a token.
    ///
    /// # Errors
    ///
    /// `Stuck` when it is not allowed.
    pub fn accept(&mut self, token: u32) -> Result<(), GrammarError> {
        self.matcher.consume_token(token).map_err(stuck)
    }

    /// Another answer at the same place; they share nothing that one of them changes.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            matcher: self.matcher.deep_clone(),
        }
    }

    /// Whether the answer may end here.
    ///
    /// # Errors
    ///
    /// `Stuck` after an earlier error.
    pub fn may_end(&mut self) -> Result<bool, GrammarError> {
        self.matcher.is_accepting().map_err(stuck)
    }
}

impl TokenSet {
    /// Bits of the ids from 0 on, 32 in a word, the lowest bit first.
    pub fn words(&self) -> &[u32] {
        self.0.as_slice()
    }

    /// Whether the token is in it.
    pub fn contains(&self, token: u32) -> bool {
        (token as usize) < self.0.len() && self.0.is_allowed(token)
    }

    /// How many tokens are in it.
    pub fn num_tokens(&self) -> usize {
        self.0.num_set()
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "what a result is mapped with"
)]
fn stuck(error: anyhow::Error) -> GrammarError {
    GrammarError::Stuck(said(&error))
}

impl fmt::Debug for GrammarMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrammarMatcher").finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSet({} tokens)", self.num_tokens())
    }
}
