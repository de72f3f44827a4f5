//! What one token stands for, without its neighbours: the streamable part of `tokenizer.json`'s
//! `decoder`.
//!
//! The decoders of byte-level BPE (GPT-2's alphabet of 256 visible characters) and of converted
//! SentencePiece models (`Replace`, `ByteFallback`, `Fuse`, `Strip`, `Metaspace`), and those of BERT's
//! word pieces, act token by token, except at the beginning of the text and inside runs of bytes. Those two are the
//! [`crate::Detokenizer`]'s business.

use serde_json::Value;
use tokenizers::decoders::wordpiece::cleanup;

/// The decoder of a tokenizer, token by token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenDecoder {
    /// Tokens spell bytes in GPT-2's alphabet.
    ByteLevel,
    /// Tokens spell text, with a visible character for the space.
    Sentence(SentenceDecoder),
    /// Tokens are pieces of words.
    Pieces(PieceDecoder),
    /// There is no decoder: tokens are words, joined by spaces.
    Words,
}

/// Decoder of BERT's tokenizers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PieceDecoder {
    /// What a token begins with that goes on with a word.
    prefix: String,
    /// Whether the space before punctuation is left out.
    cleans_up: bool,
}

/// Decoder of converted SentencePiece models.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SentenceDecoder {
    /// Each pattern is replaced by its content, in order.
    replacements: Vec<(String, String)>,
    /// Tokens `<0x00>` to `<0xFF>` are bytes.
    byte_fallback: bool,
    /// Spelling of the space that is dropped, not replaced, in the first token.
    dropped_in_first: Option<String>,
    /// At most this many of the character are cut from the beginning of the text.
    pub(crate) strip: Option<(char, usize)>,
}

/// One token, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Complete characters.
    Text(String),
    /// Bytes that are text only together with their neighbours.
    Bytes(Vec<u8>),
}

/// A `decoder` in `tokenizer.json` that needs the whole text before it can say anything.
#[derive(Debug, thiserror::Error)]
#[error("decoder {0} is not supported")]
pub struct UnsupportedDecoder(String);

impl TokenDecoder {
    /// Reads the `decoder` of a `tokenizer.json`.
    pub(crate) fn from_tokenizer_json(bytes: &[u8]) -> Result<Self, UnsupportedDecoder> {
        let json: Value = serde_json::from_slice(bytes)
            .map_err(|error| UnsupportedDecoder(format!("of a broken file ({error})")))?;
        let mut steps = Vec::new();
        match json.get("decoder") {
            None | Some(Value::Null) => return Ok(Self::Words),
            Some(decoder) => flatten(decoder, &mut steps),
        }
        let kinds: Vec<&str> = steps.iter().map(|step| kind(step)).collect();
        if matches!(kinds.as_slice(), ["ByteLevel"] | ["ByteLevel", "Fuse"]) {
            return Ok(Self::ByteLevel);
        }
        if let (["WordPiece"], [step]) = (kinds.as_slice(), steps.as_slice()) {
            return PieceDecoder::from_step(step).map(Self::Pieces);
        }
        let mut sentence = SentenceDecoder::default();
        let mut fused = false;
        for step in steps {
            sentence.add_step(step, &mut fused)?;
        }
        Ok(Self::Sentence(sentence))
    }

    /// What the token stands for; `first` when it begins the text.
    pub(crate) fn piece(&self, token: &str, first: bool) -> Piece {
        match self {
            Self::ByteLevel => Piece::Bytes(byte_level(token)),
            Self::Sentence(sentence) => sentence.piece(token, first),
            Self::Pieces(pieces) => Piece::Text(pieces.text(token, first)),
            Self::Words if first => Piece::Text(token.to_owned()),
            Self::Words => Piece::Text(format!(" {token}")),
        }
    }

    /// The bytes of a token in the middle of a text.
    pub(crate) fn bytes(&self, token: &str) -> Vec<u8> {
        match self.piece(token, false) {
            Piece::Bytes(bytes) => bytes,
            Piece::Text(text) => text.into_bytes(),
        }
    }
}

impl PieceDecoder {
    fn from_step(step: &Value) -> Result<Self, UnsupportedDecoder> {
        let prefix = step.get("prefix").and_then(Value::as_str);
        let cleans_up = step.get("cleanup").and_then(Value::as_bool);
        let (prefix, cleans_up) = prefix
            .zip(cleans_up)
            .ok_or_else(|| UnsupportedDecoder(step.to_string()))?;
        Ok(Self {
            prefix: prefix.to_owned(),
            cleans_up,
        })
    }

    fn text(&self, token: &str, first: bool) -> String {
        let text = match token.strip_prefix(&self.prefix) {
            _ if first => token.to_owned(),
            Some(rest) => rest.to_owned(),
            None => format!(" {token}"),
        };
        match self.cleans_up {
            true => cleanup(&text),
            false => text,
        }
    }
}

impl SentenceDecoder {
    fn add_step(&mut self, step: &Value, fused: &mut bool) -> Result<(), UnsupportedDecoder> {
        let text = |key: &str| step.get(key).and_then(Value::as_str);
        let unsupported = || UnsupportedDecoder(step.to_string());
        match kind(step) {
            "Replace" if !*fused => {
                let pattern = step.pointer("/pattern/String").and_then(Value::as_str);
                let (pattern, content) = pattern.zip(text("content")).ok_or_else(unsupported)?;
                self.replacements
                    .push((pattern.to_owned(), content.to_owned()));
            }
            "ByteFallback" if !*fused => self.byte_fallback = true,
            "Metaspace" if !*fused => {
                let space = text("replacement").ok_or_else(unsupported)?;
                let never = text("prepend_scheme") == Some("never")
                    || step.get("add_prefix_space") == Some(&Value::Bool(false));
                self.dropped_in_first = (!never).then(|| space.to_owned());
                self.replacements.push((space.to_owned(), " ".to_owned()));
            }
            "Fuse" => *fused = true,
            "Strip" if *fused && step.get("stop").and_then(Value::as_u64) == Some(0) => {
                let content = text("content").and_then(|content| content.chars().next());
                let start = step.get("start").and_then(Value::as_u64);
                let start = start.and_then(|start| usize::try_from(start).ok());
                self.strip = Some(content.zip(start).ok_or_else(unsupported)?);
            }
            _ => return Err(unsupported()),
        }
        Ok(())
    }

    fn piece(&self, token: &str, first: bool) -> Piece {
        if self.byte_fallback
            && let Some(byte) = fallback_byte(token)
        {
            return Piece::Bytes(vec![byte]);
        }
        let mut text = token.to_owned();
        if first && let Some(space) = &self.dropped_in_first {
            text = text.replace(space, "");
        }
        for (pattern, content) in &self.replacements {
            text = text.replace(pattern, content);
        }
        Piece::Text(text)
    }
}

fn flatten<'a>(decoder: &'a Value, steps: &mut Vec<&'a Value>) {
    match decoder.get("decoders").and_then(Value::as_array) {
        Some(inner) if kind(decoder) == "Sequence" => {
            inner.iter().for_each(|step| flatten(step, steps));
        }
        _ => steps.push(decoder),
    }
}

fn kind(step: &Value) -> &str {
    step.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// `<0x0A>` is the byte 10.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let two_hex = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    two_hex
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

/// A token's bytes in GPT-2's alphabet; a token with any other character stands for itself.
fn byte_level(token: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = token.chars().map(alphabet_byte).collect();
    bytes.unwrap_or_else(|| token.as_bytes().to_vec())
}

/// Inverse of GPT-2's `bytes_to_unicode`: printable Latin-1 stands for itself, the 68 other
/// bytes are numbered from U+0100 in ascending order.
fn alphabet_byte(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => u8::try_from(code).ok(),
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7F).ok(),
        0x143 => Some(0xAD),
        _ => None,
    }
}
