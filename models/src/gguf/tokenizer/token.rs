//! The tokens of a vocabulary.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::{GgufError, Metadata, TOKENS};

const TYPES: &str = "tokenizer.ggml.token_type";

/// A token; its id is its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) kind: TokenKind,
}

/// What a token is for: `llama_token_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A piece of text.
    Normal,
    /// Stands for what has no token.
    Unknown,
    /// Structure, not text.
    Control,
    /// Found in a text before anything else.
    UserDefined,
    /// Fills up the vocabulary.
    Unused,
    /// `<0x0A>`: a byte.
    Byte,
}

/// Text to id, of all tokens that are used.
pub(super) struct Vocabulary<'a>(Vec<(&'a str, usize)>);

/// All tokens; without a vocabulary, none.
///
/// # Errors
/// Types that are unknown or fewer than tokens.
pub(super) fn tokens<'a>(metadata: &Metadata<'a>) -> Result<Vec<Token<'a>>, GgufError> {
    let texts = metadata.texts(TOKENS)?.unwrap_or_default();
    let kinds = metadata.counts(TYPES)?;
    if let Some(kinds) = kinds.as_ref().filter(|kinds| kinds.len() != texts.len()) {
        let reason = format!("{} types of {} tokens", kinds.len(), texts.len());
        return Err(metadata.contradiction(TYPES, reason));
    }
    let kind = |id: usize| match kinds.as_ref().map_or(1, |kinds| kinds[id]) {
        // llama.cpp writes 0 for tokens that it knows nothing of.
        0 | 1 => Ok(TokenKind::Normal),
        2 => Ok(TokenKind::Unknown),
        3 => Ok(TokenKind::Control),
        4 => Ok(TokenKind::UserDefined),
        5 => Ok(TokenKind::Unused),
        6 => Ok(TokenKind::Byte),
        other => Err(metadata.contradiction(TYPES, format!("token {id} is of type {other}"))),
    };
    let token = |(id, text)| {
        Ok(Token {
            text,
            kind: kind(id)?,
        })
    };
    texts.into_iter().enumerate().map(token).collect()
}

/// The tokens that are found in a text as they are, in the form of `added_tokens`.
pub(super) fn added(tokens: &[Token<'_>]) -> Vec<Value> {
    let added = tokens.iter().enumerate().filter_map(|(id, token)| {
        let special = match token.kind {
            TokenKind::Control | TokenKind::Unknown => true,
            TokenKind::UserDefined => false,
            TokenKind::Normal | TokenKind::Unused | TokenKind::Byte => return None,
        };
        Some(json!({
            "id": id,
            "content": token.text,
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": false,
            "special": special,
        }))
    });
    added.collect()
}

impl<'a> Vocabulary<'a> {
    /// The vocabulary of `tokens`.
    pub(super) fn new(tokens: &[Token<'a>]) -> Self {
        let used = tokens.iter().enumerate();
        let used = used.filter(|(_, token)| token.kind != TokenKind::Unused);
        Self(used.map(|(id, token)| (token.text, id)).collect())
    }
}

impl Serialize for Vocabulary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (text, id) in &self.0 {
            map.serialize_entry(text, id)?;
        }
        map.end()
    }
}
