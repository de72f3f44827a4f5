//! The vocabulary as llguidance wants it: a trie over the bytes of its tokens.

use std::fmt;

use toktrie::{TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use super::GrammarError;
use crate::Tokenizer;

/// A tokenizer with the trie of its tokens.
pub(super) struct Vocabulary {
    tokenizer: Tokenizer,
    trie: TokTrie,
}

impl Vocabulary {
    /// # Errors
    ///
    /// `NoEnd` where no token ends an answer.
    pub(super) fn new(tokenizer: &Tokenizer) -> Result<Self, GrammarError> {
        let num_ids = tokenizer.num_ids();
        let ends: Vec<TokenId> = tokenizer
            .eos_ids()
            .iter()
            .copied()
            .filter(|&id| (id as usize) < num_ids)
            .collect();
        let Some(&first) = ends.first() else {
            return Err(GrammarError::NoEnd);
        };
        let words: Vec<Vec<u8>> = (0..num_ids as TokenId)
            .map(|id| word(tokenizer, id))
            .collect();
        let info = TokRxInfo::new(num_ids as u32, first);
        Ok(Self {
            tokenizer: tokenizer.clone(),
            trie: TokTrie::from(&info, &words).with_eos_tokens(&ends),
        })
    }
}

/// The bytes of a token. Special tokens are no text, which the marker keeps them from being.
fn word(tokenizer: &Tokenizer, id: TokenId) -> Vec<u8> {
    let bytes = tokenizer.token_bytes(id);
    if !tokenizer.is_special(id) {
        return bytes;
    }
    let mut marked = vec![TokTrie::SPECIAL_TOKEN_MARKER];
    marked.extend(bytes);
    marked
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        let encode = |text: &str| self.tokenizer.encode(text, false).unwrap_or_default();
        let ids = self.trie.tokenize_with_greedy_fallback(bytes, encode);
        // A normaliser may have changed the text, and a special token may stand for some of it.
        if self.trie.decode_raw(&ids) == bytes {
            ids
        } else {
            self.trie.greedy_tokenize(bytes)
        }
    }

    /// Text that a grammar leaves no choice about is tokenised the way that the model has learned.
    fn tokenize_is_canonical(&self) -> bool {
        self.tokenizer.is_byte_level()
    }
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary")
            .field("num_ids", &self.trie.vocab_size())
            .finish_non_exhaustive()
    }
}
