//! Text to token ids and back.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokenizers::{AddedToken, Model};

use crate::encoding::Encoding;
use crate::token_decoder::{TokenDecoder, UnsupportedDecoder};
use crate::{ConfigError, SpecialTokens, TokenizerFiles};

/// A model's tokenizer: what `tokenizer.json` describes, with the special tokens that the
/// files beside it name. Clones share everything.
#[derive(Clone)]
pub struct Tokenizer {
    shared: Arc<Shared>,
}

/// Why a model's tokenizer cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// `tokenizer.json` is not what the tokenizers library writes.
    #[error("tokenizer.json: {0}")]
    Tokenizer(String),
    /// `tokenizer.json` has a decoder that cannot be streamed.
    #[error("tokenizer.json: {0}")]
    Decoder(#[from] UnsupportedDecoder),
    /// Another of the files.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `tokenizer_config.json` numbers a token differently from `tokenizer.json`.
    #[error("tokenizer_config.json says that {content:?} is token {id}; tokenizer.json disagrees")]
    AddedToken {
        /// Text of the token.
        content: String,
        /// Its id in `tokenizer_config.json`.
        id: u32,
    },
}

/// Why text could not be encoded, or tokens decoded.
#[derive(Debug, thiserror::Error)]
#[error("the tokenizer failed: {0}")]
pub struct EncodeError(String);

struct Shared {
    inner: tokenizers::Tokenizer,
    decoder: TokenDecoder,
    special: SpecialTokens,
    special_ids: BTreeSet<u32>,
    eos_ids: Vec<u32>,
}

impl Tokenizer {
    /// Builds the tokenizer of a model folder's files.
    ///
    /// Tokens that only `tokenizer_config.json` knows are added, as transformers does; truncation
    /// and padding that `tokenizer.json` may ask for are turned off.
    ///
    /// # Errors
    ///
    /// When a file cannot be understood, or decoding cannot be done token by token.
    pub fn from_files(files: &TokenizerFiles<'_>) -> Result<Self, TokenizerError> {
        let broken = |error: tokenizers::Error| TokenizerError::Tokenizer(error.to_string());
        let mut inner = tokenizers::Tokenizer::from_bytes(files.tokenizer).map_err(broken)?;
        inner.with_truncation(None).map_err(broken)?;
        inner.with_padding(None);
        add_missing_tokens(&mut inner, files)?;
        let decoder = TokenDecoder::from_tokenizer_json(files.tokenizer)?;

        let special = files.special_tokens()?;
        mark_special(&mut inner, &special).map_err(broken)?;
        let special_ids = inner
            .get_added_tokens_decoder()
            .iter()
            .filter(|(_, token)| token.special)
            .map(|(id, _)| *id)
            .collect();

        let mut eos_ids = Vec::new();
        eos_ids.extend(
            special
                .get("eos_token")
                .and_then(|token| inner.token_to_id(token)),
        );
        for id in files.generation_eos_ids()? {
            if !eos_ids.contains(&id) {
                eos_ids.push(id);
            }
        }
        let shared = Shared {
            inner,
            decoder,
            special,
            special_ids,
            eos_ids,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The tokens of `text`. Special tokens written in it are recognised.
    ///
    /// `add_special_tokens` adds what the tokenizer puts around a plain text (such as a
    /// beginning-of-sequence token); a rendered chat template has those already.
    ///
    /// # Errors
    ///
    /// When the tokenizer's model fails, e.g. on a character without a token and without an
    /// unknown token.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, EncodeError> {
        self.shared
            .inner
            .encode_fast(text, add_special_tokens)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| EncodeError(error.to_string()))
    }

    /// The tokens of `text`, the same as [`Self::encode`] gives, with the bytes that each stands
    /// for.
    ///
    /// # Errors
    ///
    /// As [`Self::encode`].
    pub fn encode_with_offsets(
        &self,
        text: &str,
        add_special_tokens: bool,
    ) -> Result<Encoding, EncodeError> {
        let encoding = self
            .shared
            .inner
            .encode(text, add_special_tokens)
            .map_err(|error| EncodeError(error.to_string()))?;
        let offsets = encoding.get_offsets().iter();
        Ok(Encoding {
            ids: encoding.get_ids().to_vec(),
            ranges: offsets.map(|&(start, end)| start..end).collect(),
        })
    }

    /// The text of `ids`, as the tokenizers library decodes it; unknown ids are left out.
    ///
    /// # Errors
    ///
    /// When the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, EncodeError> {
        self.shared
            .inner
            .decode(ids, skip_special_tokens)
            .map_err(|error| EncodeError(error.to_string()))
    }

    /// The id of a token's exact text.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.shared.inner.token_to_id(token)
    }

    /// The bytes that a token stands for inside a text: part of a character for some tokens,
    /// empty for an id that the vocabulary lacks.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        self.raw_token(id)
            .map(|raw| self.shared.decoder.bytes(&raw))
            .unwrap_or_default()
    }

    /// [`Self::token_bytes`] as text, U+FFFD for what is not UTF-8.
    pub fn token_text(&self, id: u32) -> String {
        String::from_utf8_lossy(&self.token_bytes(id)).into_owned()
    }

    /// Number of tokens, added ones included. Ids may have gaps; a model may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.shared.inner.get_vocab_size(true)
    }

    /// One more than the highest id.
    pub fn num_ids(&self) -> usize {
        let vocab = self.shared.inner.get_vocab(true);
        vocab.into_values().max().map_or(0, |id| id as usize + 1)
    }

    /// Whether tokens spell the bytes of a text, wherever in it they stand.
    pub fn is_byte_level(&self) -> bool {
        matches!(self.shared.decoder, TokenDecoder::ByteLevel)
    }

    /// Whether the vocabulary has a token of this id.
    pub fn contains(&self, id: u32) -> bool {
        self.raw_token(id).is_some()
    }

    /// The special tokens that have a name.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.shared.special
    }

    /// Ids of all special tokens, ascending.
    pub fn special_ids(&self) -> &BTreeSet<u32> {
        &self.shared.special_ids
    }

    /// Whether the token is left out of text unless special tokens are asked for.
    pub fn is_special(&self, id: u32) -> bool {
        self.shared.special_ids.contains(&id)
    }

    /// The beginning-of-sequence token.
    pub fn bos_id(&self) -> Option<u32> {
        self.shared
            .special
            .get("bos_token")
            .and_then(|token| self.token_to_id(token))
    }

    /// Tokens that end an answer: the tokenizer's own first, then those of
    /// `generation_config.json`.
    pub fn eos_ids(&self) -> &[u32] {
        &self.shared.eos_ids
    }

    pub(crate) fn decoder(&self) -> &TokenDecoder {
        &self.shared.decoder
    }

    /// The token as the vocabulary spells it, in the form that the decoder takes.
    pub(crate) fn raw_token(&self, id: u32) -> Option<String> {
        let inner = &self.shared.inner;
        inner
            .get_added_vocabulary()
            .simple_id_to_token(id)
            .or_else(|| inner.get_model().id_to_token(id))
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .finish_non_exhaustive()
    }
}

fn add_missing_tokens(
    inner: &mut tokenizers::Tokenizer,
    files: &TokenizerFiles<'_>,
) -> Result<(), TokenizerError> {
    for (id, token) in files.added_tokens()? {
        let content = token.content.clone();
        if inner.token_to_id(&content).is_none() {
            inner
                .add_tokens([token])
                .map_err(|error| TokenizerError::Tokenizer(error.to_string()))?;
        }
        if inner.token_to_id(&content) != Some(id) {
            return Err(TokenizerError::AddedToken { content, id });
        }
    }
    Ok(())
}

/// Makes the named tokens special where `tokenizer.json` does not say so, as transformers does.
fn mark_special(
    inner: &mut tokenizers::Tokenizer,
    special: &SpecialTokens,
) -> Result<(), tokenizers::Error> {
    for (_, token) in special.iter() {
        let known = inner.token_to_id(token).is_some();
        if known && !inner.get_added_vocabulary().is_special_token(token) {
            inner.add_special_tokens([AddedToken::from(token, true)])?;
        }
    }
    Ok(())
}
