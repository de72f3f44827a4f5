//! Tokens to text, one token at a time.

use std::collections::BTreeSet;

use crate::Tokenizer;
use crate::token_decoder::{Piece, TokenDecoder};

/// What becomes of special tokens in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialTokenText {
    /// They are left out.
    Skip,
    /// They are written as the vocabulary spells them.
    Keep,
}

/// Incremental decoder of one answer.
///
/// 1. [`Self::push`] takes a token and returns the text that has become certain: never a part
///    of a character, never U+FFFD for a character that later tokens may still complete.
/// 2. [`Self::finish`] returns what was held back, U+FFFD if the answer ends inside a character.
///
/// All deltas together are [`Tokenizer::decode`] of all tokens, at constant cost per token. There
/// is one exception, in models with byte-fallback tokens: when a run of byte tokens is not
/// UTF-8, `decode` replaces the whole run by U+FFFD, which a stream that has sent the run's
/// valid characters cannot; here only the invalid bytes become U+FFFD, one each.
#[derive(Clone, Debug)]
pub struct Detokenizer {
    tokenizer: Tokenizer,
    special: SpecialTokenText,
    /// Special tokens that are written all the same.
    kept: BTreeSet<u32>,
    /// Beginning of a character, at most 3 bytes.
    pending: Vec<u8>,
    /// Whether a token has been decoded.
    started: bool,
    /// Characters that may still be cut from the beginning of the text.
    strip: Option<(char, usize)>,
}

impl Detokenizer {
    /// A decoder at the beginning of a text.
    pub fn new(tokenizer: &Tokenizer, special: SpecialTokenText) -> Self {
        let strip = match tokenizer.decoder() {
            TokenDecoder::Sentence(sentence) => sentence.strip,
            TokenDecoder::ByteLevel | TokenDecoder::Pieces(_) | TokenDecoder::Words => None,
        };
        let tokenizer = tokenizer.clone();
        Self {
            tokenizer,
            special,
            kept: BTreeSet::new(),
            pending: Vec::new(),
            started: false,
            strip,
        }
    }

    /// Writes these special tokens even where special tokens are left out, for a parser that needs
    /// to see them ([`crate::AnswerFormat::special_markers`]). Text that is no token of the
    /// vocabulary, or not a special one, changes nothing.
    #[must_use]
    pub fn keeping(mut self, tokens: &[&str]) -> Self {
        let ids = tokens
            .iter()
            .filter_map(|token| self.tokenizer.token_to_id(token));
        self.kept.extend(ids);
        self
    }

    /// Adds a token and returns the text that it completes, often empty. Ids that the
    /// vocabulary lacks have no text.
    pub fn push(&mut self, id: u32) -> String {
        let skips = self.special == SpecialTokenText::Skip && !self.kept.contains(&id);
        if skips && self.tokenizer.is_special(id) {
            return String::new();
        }
        let Some(token) = self.tokenizer.raw_token(id) else {
            return String::new();
        };
        let piece = self.tokenizer.decoder().piece(&token, !self.started);
        self.started = true;
        let mut text = String::new();
        match piece {
            Piece::Bytes(bytes) => {
                self.pending.extend_from_slice(&bytes);
                self.take_complete(&mut text);
            }
            Piece::Text(complete) => {
                self.take_rest(&mut text);
                text.push_str(&complete);
            }
        }
        self.strip_beginning(text)
    }

    /// Ends the text and returns what was held back.
    pub fn finish(&mut self) -> String {
        let mut text = String::new();
        self.take_rest(&mut text);
        self.strip_beginning(text)
    }

    /// Moves all complete characters out of `pending`.
    fn take_complete(&mut self, text: &mut String) {
        let mut from = 0;
        loop {
            match std::str::from_utf8(&self.pending[from..]) {
                Ok(valid) => {
                    text.push_str(valid);
                    from = self.pending.len();
                    break;
                }
                Err(error) => {
                    let valid_to = from + error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.pending[from..valid_to]));
                    from = valid_to;
                    let Some(invalid) = error.error_len() else {
                        break;
                    };
                    self.push_replacement(invalid, text);
                    from += invalid;
                }
            }
        }
        self.pending.drain(..from);
    }

    /// Moves everything out of `pending`: nothing can complete it any more.
    fn take_rest(&mut self, text: &mut String) {
        if !self.pending.is_empty() {
            self.push_replacement(self.pending.len(), text);
            self.pending.clear();
        }
    }

    /// Byte-level decoders replace a broken character as a whole, byte-fallback decoders each
    /// of its bytes.
    fn push_replacement(&self, num_bytes: usize, text: &mut String) {
        let times = match self.tokenizer.decoder() {
            TokenDecoder::Sentence(_) => num_bytes,
            TokenDecoder::ByteLevel | TokenDecoder::Pieces(_) | TokenDecoder::Words => 1,
        };
        text.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, times));
    }

    fn strip_beginning(&mut self, mut text: String) -> String {
        while let Some((content, left)) = self.strip {
            match text.chars().next() {
                Some(first) if left > 0 && first == content => {
                    text.remove(0);
                    self.strip = Some((content, left - 1));
                }
                Some(_) => self.strip = None,
                None => break,
            }
        }
        text
    }
}
