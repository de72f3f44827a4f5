//! Which texts a model takes, by the files of sentence-transformers and of its tokenizer.

use std::path::Path;

use serde_json::{Map, Value};

use crate::config::{ConfigError, Fields};
use crate::model::{OpenError, optional_file};

/// The same file, under the names that sentence-transformers has for families.
const FILES: [&str; 3] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_xlm-roberta_config.json",
];
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// What a model's files say of its texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SentenceConfig {
    /// Tokens at most, special ones included; `None` is as many as the model has positions.
    pub(super) max_tokens: Option<usize>,
    /// Texts are written in lower case before they are tokenised.
    pub(super) lower_case: bool,
}

impl SentenceConfig {
    /// Reads the files in `folder`. As sentence-transformers has it, `max_seq_length` bounds texts,
    /// and without it the tokenizer's `model_max_length` does.
    ///
    /// # Errors
    /// Malformed files.
    pub(super) fn read(folder: &Path) -> Result<Self, OpenError> {
        let mut config = Self::default();
        for file in FILES {
            if let Some(object) = object(folder, file)? {
                let fields = Fields::new(file, &object);
                config = Self {
                    max_tokens: fields.count("max_seq_length")?,
                    lower_case: fields.flag("do_lower_case")?.unwrap_or(false),
                };
                break;
            }
        }
        if config.max_tokens.is_none()
            && let Some(object) = object(folder, TOKENIZER_CONFIG)?
        {
            let fields = Fields::new(TOKENIZER_CONFIG, &object);
            // A number with thirty digits stands for no limit.
            let length = fields.number("model_max_length")?;
            config.max_tokens = length.map(|length| length as usize);
        }
        Ok(config)
    }
}

fn object(folder: &Path, file: &'static str) -> Result<Option<Map<String, Value>>, OpenError> {
    let Some(bytes) = optional_file(folder, file)? else {
        return Ok(None);
    };
    let object = serde_json::from_slice(&bytes);
    Ok(object.map_err(|source| ConfigError::Json { file, source })?)
}
