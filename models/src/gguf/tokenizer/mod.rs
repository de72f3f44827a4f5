//! The tokenizer of a GGUF file's metadata, as the `tokenizer.json` that the `tokenizers` library
//! would write for it.

mod pre_tokenizer;
mod sentence_piece;
mod token;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::GgufError;
use super::metadata::Metadata;
use pre_tokenizer::PreTokenizer;
use token::{Token, TokenKind, Vocabulary};

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const MERGES: &str = "tokenizer.ggml.merges";

/// What concerns text.
pub(super) struct TextFiles {
    /// `tokenizer.json`
    pub(super) tokenizer: Vec<u8>,
    /// `tokenizer_config.json`, with the chat templates.
    pub(super) tokenizer_config: Vec<u8>,
}

/// `tokenizer.json`
#[derive(Serialize)]
struct TokenizerJson<'a> {
    version: &'static str,
    truncation: (),
    padding: (),
    added_tokens: Vec<Value>,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: Bpe<'a>,
}

/// Byte pair encoding (Sennrich et al. 2016).
#[derive(Serialize)]
struct Bpe<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    dropout: (),
    unk_token: Option<&'a str>,
    continuing_subword_prefix: (),
    end_of_word_suffix: (),
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: Vocabulary<'a>,
    merges: Vec<(&'a str, &'a str)>,
}

/// Tokenizer and templates; `None` of a file without a tokenizer.
///
/// # Errors
/// A kind of tokenizer that is not supported, or metadata of it that are missing or contradict each
/// other; each names the key.
pub(super) fn text_files(metadata: &Metadata<'_>) -> Result<Option<TextFiles>, GgufError> {
    let Some(model) = metadata.text(MODEL)?.filter(|model| *model != "none") else {
        return Ok(None);
    };
    let tokens = token::tokens(metadata)?;
    let special = SpecialTokens::of(metadata, &tokens)?;
    let tokenizer = match model {
        "gpt2" => byte_level(metadata, &tokens, &special)?,
        "llama" => sentence_piece(metadata, &tokens, &special)?,
        _ => {
            let supported = "gpt2 and llama; with a tokenizer.json beside it, the file needs none";
            return Err(metadata.unsupported(MODEL, supported));
        }
    };
    let tokenizer_config = tokenizer_config(metadata, &special)?;
    Ok(Some(TextFiles {
        tokenizer: bytes(&tokenizer),
        tokenizer_config: bytes(&tokenizer_config),
    }))
}

/// The default chat template; `None` of a file without one.
///
/// # Errors
/// `WrongType`.
pub(super) fn chat_template<'a>(metadata: &Metadata<'a>) -> Result<Option<&'a str>, GgufError> {
    metadata.text("tokenizer.chat_template")
}

fn bytes(json: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(json).expect("texts and numbers are JSON")
}

/// GPT-2's: pieces of a regular expression, spelt in its alphabet of 256 visible characters.
fn byte_level<'a>(
    metadata: &Metadata<'a>,
    tokens: &[Token<'a>],
    special: &SpecialTokens<'a>,
) -> Result<TokenizerJson<'a>, GgufError> {
    let pre = PreTokenizer::of(metadata)?;
    let merges = metadata
        .texts(MERGES)?
        .ok_or_else(|| metadata.missing(MERGES))?;
    let pair = |merge: &'a str| {
        merge.split_once(' ').ok_or_else(|| {
            metadata.contradiction(MERGES, format!("{merge:?} has no space between two tokens"))
        })
    };
    Ok(TokenizerJson {
        version: "1.0",
        truncation: (),
        padding: (),
        added_tokens: token::added(tokens),
        normalizer: pre.normalizer(),
        pre_tokenizer: pre.json(),
        post_processor: special.post_processor(metadata, pre.adds_bos())?,
        decoder: json!({
            "type": "ByteLevel",
            "add_prefix_space": true,
            "trim_offsets": true,
            "use_regex": true,
        }),
        model: Bpe {
            kind: "BPE",
            dropout: (),
            unk_token: None,
            continuing_subword_prefix: (),
            end_of_word_suffix: (),
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: pre.ignores_merges(),
            vocab: Vocabulary::new(tokens),
            merges: merges.into_iter().map(pair).collect::<Result<_, _>>()?,
        },
    })
}

/// SentencePiece's, as `transformers` converts it: the pair whose union has the best score is
/// merged first, and characters without a token are spelt in bytes.
fn sentence_piece<'a>(
    metadata: &Metadata<'a>,
    tokens: &[Token<'a>],
    special: &SpecialTokens<'a>,
) -> Result<TokenizerJson<'a>, GgufError> {
    let prefix = metadata
        .flag("tokenizer.ggml.add_space_prefix")?
        .unwrap_or(true);
    let space = json!({"String": sentence_piece::SPACE});
    let mut normalizers = vec![json!({
        "type": "Replace",
        "pattern": {"String": " "},
        "content": sentence_piece::SPACE,
    })];
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": space, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        let prepend = json!({"type": "Prepend", "prepend": sentence_piece::SPACE});
        normalizers.insert(0, prepend);
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    Ok(TokenizerJson {
        version: "1.0",
        truncation: (),
        padding: (),
        added_tokens: token::added(tokens),
        normalizer: json!({"type": "Sequence", "normalizers": normalizers}),
        pre_tokenizer: Value::Null,
        post_processor: special.post_processor(metadata, true)?,
        decoder: json!({"type": "Sequence", "decoders": decoders}),
        model: Bpe {
            kind: "BPE",
            dropout: (),
            unk_token: special.unknown.map(|(_, text)| text),
            continuing_subword_prefix: (),
            end_of_word_suffix: (),
            fuse_unk: true,
            byte_fallback: tokens.iter().any(|token| token.kind == TokenKind::Byte),
            ignore_merges: false,
            vocab: Vocabulary::new(tokens),
            merges: sentence_piece::merges(metadata, tokens)?,
        },
    })
}

/// Tokens with a part to play: id and text.
struct SpecialTokens<'a> {
    bos: Option<(u32, &'a str)>,
    eos: Option<(u32, &'a str)>,
    unknown: Option<(u32, &'a str)>,
    padding: Option<(u32, &'a str)>,
}

impl<'a> SpecialTokens<'a> {
    fn of(metadata: &Metadata<'a>, tokens: &[Token<'a>]) -> Result<Self, GgufError> {
        let token = |name: &str| {
            let key = format!("tokenizer.ggml.{name}_token_id");
            let Some(id) = metadata.token_id(&key)? else {
                return Ok(None);
            };
            match tokens.get(id as usize) {
                Some(token) => Ok(Some((id, token.text))),
                None => {
                    let reason = format!("there is no token {id} among {}", tokens.len());
                    Err(metadata.contradiction(&key, reason))
                }
            }
        };
        Ok(Self {
            bos: token("bos")?,
            eos: token("eos")?,
            unknown: token("unknown")?,
            padding: token("padding")?,
        })
    }

    /// Puts the tokens around a text that the file asks for.
    fn post_processor(
        &self,
        metadata: &Metadata<'_>,
        bos_by_default: bool,
    ) -> Result<Value, GgufError> {
        let key = "tokenizer.ggml.add_bos_token";
        let bos = match (metadata.flag(key)?, self.bos) {
            (Some(true), None) => {
                return Err(metadata.contradiction(key, "there is no bos_token_id"));
            }
            (None, bos) => bos.filter(|_| bos_by_default),
            (Some(add), bos) => bos.filter(|_| add),
        };
        let key = "tokenizer.ggml.add_eos_token";
        let eos = match (metadata.flag(key)?.unwrap_or(false), self.eos) {
            (true, None) => return Err(metadata.contradiction(key, "there is no eos_token_id")),
            (add, eos) => eos.filter(|_| add),
        };
        if bos.is_none() && eos.is_none() {
            return Ok(Value::Null);
        }
        let around = |sequence: &str, type_id: u32| {
            let token = |token: Option<(u32, &str)>| {
                token.map(|(_, text)| json!({"SpecialToken": {"id": text, "type_id": type_id}}))
            };
            let sequence = json!({"Sequence": {"id": sequence, "type_id": type_id}});
            let parts = [token(bos), Some(sequence), token(eos)];
            parts.into_iter().flatten().collect::<Vec<Value>>()
        };
        let tokens: Map<String, Value> = [bos, eos]
            .into_iter()
            .flatten()
            .map(|(id, text)| {
                let token = json!({"id": text, "ids": [id], "tokens": [text]});
                (text.to_owned(), token)
            })
            .collect();
        let pair = [around("A", 0), around("B", 1)].concat();
        Ok(json!({
            "type": "TemplateProcessing",
            "single": around("A", 0),
            "pair": pair,
            "special_tokens": tokens,
        }))
    }
}

/// `tokenizer_config.json`: special tokens by name, and the chat templates.
fn tokenizer_config(
    metadata: &Metadata<'_>,
    special: &SpecialTokens<'_>,
) -> Result<Map<String, Value>, GgufError> {
    let mut config = Map::new();
    for (name, token) in [
        ("bos_token", special.bos),
        ("eos_token", special.eos),
        ("unk_token", special.unknown),
        ("pad_token", special.padding),
    ] {
        config.insert(name.to_owned(), json!(token.map(|(_, text)| text)));
    }
    let default = chat_template(metadata)?;
    let mut templates = Vec::new();
    const NAMED: &str = "tokenizer.chat_template.";
    for key in metadata.keys(NAMED) {
        let template = metadata.needed_text(key)?;
        templates.push(json!({"name": key[NAMED.len()..], "template": template}));
    }
    let template = match (default, templates.is_empty()) {
        (None, true) => return Ok(config),
        (Some(template), true) => json!(template),
        (default, false) => {
            templates.extend(default.map(|t| json!({"name": "default", "template": t})));
            Value::Array(templates)
        }
    };
    config.insert("chat_template".to_owned(), template);
    Ok(config)
}
