//! The files of a model folder that concern text, as bytes, and what is read from them.

use serde_json::{Map, Value};
use tokenizers::AddedToken;

/// A model's text files as they lie in its folder; only `tokenizer.json` is required.
#[derive(Clone, Copy, Debug)]
pub struct TokenizerFiles<'a> {
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// `tokenizer_config.json`: special tokens by name, chat template.
    pub tokenizer_config: Option<&'a [u8]>,
    /// `special_tokens_map.json`, read for names that `tokenizer_config.json` leaves out.
    pub special_tokens_map: Option<&'a [u8]>,
    /// `generation_config.json`: further end-of-sequence tokens.
    pub generation_config: Option<&'a [u8]>,
    /// `chat_template.jinja`, which wins over the template in `tokenizer_config.json`.
    pub chat_template: Option<&'a [u8]>,
}

/// A text file that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON.
    #[error("{file}: {source}")]
    Json {
        /// Name of the file.
        file: &'static str,
        /// What the JSON parser says.
        source: serde_json::Error,
    },
    /// JSON of another shape than transformers writes.
    #[error("{file}: {key} has an unexpected shape")]
    Shape {
        /// Name of the file.
        file: &'static str,
        /// The key concerned.
        key: String,
    },
    /// Not UTF-8.
    #[error("{file} is not UTF-8")]
    NotUtf8 {
        /// Name of the file.
        file: &'static str,
    },
}

/// The special tokens that have a name, e.g. (`bos_token`, `<s>`), in transformers' order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    named: Vec<(&'static str, String)>,
}

const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
const GENERATION_CONFIG: &str = "generation_config.json";
const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// The names under which transformers hands special tokens to chat templates.
const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

impl<'a> TokenizerFiles<'a> {
    /// Only `tokenizer.json`.
    pub fn new(tokenizer: &'a [u8]) -> Self {
        Self {
            tokenizer,
            tokenizer_config: None,
            special_tokens_map: None,
            generation_config: None,
            chat_template: None,
        }
    }

    /// The special tokens that have a name.
    ///
    /// # Errors
    ///
    /// When a file is not JSON, or a token is neither a string nor an object with `content`.
    pub fn special_tokens(&self) -> Result<SpecialTokens, ConfigError> {
        let config = parse(TOKENIZER_CONFIG, self.tokenizer_config)?;
        let map = parse(SPECIAL_TOKENS_MAP, self.special_tokens_map)?;
        let mut named = Vec::new();
        for name in NAMES {
            let token = match config.get(name) {
                Some(value) => token_content(TOKENIZER_CONFIG, name, value)?,
                None => match map.get(name) {
                    Some(value) => token_content(SPECIAL_TOKENS_MAP, name, value)?,
                    None => None,
                },
            };
            named.extend(token.map(|token| (name, token)));
        }
        Ok(SpecialTokens { named })
    }

    /// The chat templates by name: the one in `chat_template.jinja`, else those of
    /// `tokenizer_config.json`, where a single one is called `default`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or the template is neither a string nor a list of objects
    /// with `name` and `template`.
    pub fn chat_templates(&self) -> Result<Vec<(String, String)>, ConfigError> {
        if let Some(bytes) = self.chat_template {
            let source = std::str::from_utf8(bytes).map_err(|_| ConfigError::NotUtf8 {
                file: CHAT_TEMPLATE,
            })?;
            return Ok(vec![("default".into(), source.into())]);
        }
        let mut config = parse(TOKENIZER_CONFIG, self.tokenizer_config)?;
        let shape = || ConfigError::Shape {
            file: TOKENIZER_CONFIG,
            key: "chat_template".into(),
        };
        match config.remove("chat_template") {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(source)) => Ok(vec![("default".into(), source)]),
            Some(Value::Array(list)) => list
                .iter()
                .map(|entry| {
                    let field = |key| entry.get(key).and_then(Value::as_str).map(str::to_owned);
                    field("name").zip(field("template")).ok_or_else(shape)
                })
                .collect(),
            Some(_) => Err(shape()),
        }
    }

    /// `eos_token_id` of `generation_config.json`, a number or a list of them.
    ///
    /// # Errors
    ///
    /// When the file is not JSON or the key has another shape.
    pub fn generation_eos_ids(&self) -> Result<Vec<u32>, ConfigError> {
        let config = parse(GENERATION_CONFIG, self.generation_config)?;
        let id = |value: &Value| {
            value
                .as_u64()
                .and_then(|id| u32::try_from(id).ok())
                .ok_or_else(|| ConfigError::Shape {
                    file: GENERATION_CONFIG,
                    key: "eos_token_id".into(),
                })
        };
        match config.get("eos_token_id") {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(id).collect(),
            Some(value) => Ok(vec![id(value)?]),
        }
    }

    /// `added_tokens_decoder` of `tokenizer_config.json`, ascending by id.
    pub(crate) fn added_tokens(&self) -> Result<Vec<(u32, AddedToken)>, ConfigError> {
        let mut config = parse(TOKENIZER_CONFIG, self.tokenizer_config)?;
        let Some(Value::Object(entries)) = config.remove("added_tokens_decoder") else {
            return Ok(Vec::new());
        };
        let mut tokens = Vec::with_capacity(entries.len());
        for (key, entry) in entries {
            let content = entry.get("content").and_then(Value::as_str);
            let flag = |key: &str| entry.get(key).and_then(Value::as_bool).unwrap_or(false);
            let (Ok(id), Some(content)) = (key.parse(), content) else {
                let key = format!("added_tokens_decoder.{key}");
                return Err(ConfigError::Shape {
                    file: TOKENIZER_CONFIG,
                    key,
                });
            };
            let token = AddedToken::from(content, flag("special"))
                .single_word(flag("single_word"))
                .lstrip(flag("lstrip"))
                .rstrip(flag("rstrip"))
                .normalized(flag("normalized"));
            tokens.push((id, token));
        }
        tokens.sort_by_key(|(id, _)| *id);
        Ok(tokens)
    }
}

impl SpecialTokens {
    /// The token of that name, e.g. `bos_token`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, token)| token)
    }

    /// Name and text of each token.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.named
            .iter()
            .map(|(name, token)| (*name, token.as_str()))
    }
}

fn parse(file: &'static str, bytes: Option<&[u8]>) -> Result<Map<String, Value>, ConfigError> {
    match bytes {
        None => Ok(Map::new()),
        Some(bytes) => {
            serde_json::from_slice(bytes).map_err(|source| ConfigError::Json { file, source })
        }
    }
}

fn token_content(
    file: &'static str,
    name: &str,
    value: &Value,
) -> Result<Option<String>, ConfigError> {
    match value {
        Value::Null => Ok(None),
        Value::String(token) => Ok(Some(token.clone())),
        Value::Object(token) => match token.get("content").and_then(Value::as_str) {
            Some(content) => Ok(Some(content.to_owned())),
            None => Err(ConfigError::Shape {
                file,
                key: name.to_owned(),
            }),
        },
        _ => Err(ConfigError::Shape {
            file,
            key: name.to_owned(),
        }),
    }
}
