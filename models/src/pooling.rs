//! How a text's vector is made of the states of its tokens, and where a model's files say so.

use std::path::Path;

use serde_json::{Map, Value};

use crate::config::{ConfigError, Fields};
use crate::model::{OpenError, optional_file};

const MODULES: &str = "modules.json";
const FOLDER: &str = "1_Pooling";
const FILE: &str = "1_Pooling/config.json";
/// What the names of modes begin with, in the file's older form.
const FLAG: &str = "pooling_mode_";
const MODE: &str = "pooling_mode";

/// How a text's vector is made of the last states of its tokens.
///
/// Source: the module `Pooling` of sentence-transformers
/// (<https://sbert.net/docs/package_reference/sentence_transformer/modules.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The state of the first token, which is BERT's `[CLS]`.
    Cls,
    /// The mean of all states, those of special tokens included.
    Mean,
    /// The state of the last token.
    LastToken,
}

/// The poolings that a kind of model does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poolings {
    /// All of them.
    pub(crate) known: &'static [Pooling],
    /// The same in words, for errors.
    pub(crate) in_words: &'static str,
}

impl Pooling {
    /// As sentence-transformers calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::LastToken => "lasttoken",
        }
    }

    /// What the files of sentence-transformers in `folder` ask for; `None` without any.
    ///
    /// # Errors
    /// Malformed files; modules other than a transformer, one pooling of `poolings`, and a norm.
    pub(crate) fn in_folder(folder: &Path, poolings: Poolings) -> Result<Option<Self>, OpenError> {
        if let Some(bytes) = optional_file(folder, MODULES)? {
            check_modules(&bytes)?;
        }
        let Some(bytes) = optional_file(folder, FILE)? else {
            return Ok(None);
        };
        let object: Map<String, Value> = serde_json::from_slice(&bytes)
            .map_err(|source| ConfigError::Json { file: FILE, source })?;
        Ok(Some(read(&object, poolings)?))
    }
}

/// A text's vector is what follows its transformer and its pooling; scaling it to length 1 may come
/// behind, and is done in any case.
fn check_modules(bytes: &[u8]) -> Result<(), ConfigError> {
    let modules: Vec<Map<String, Value>> =
        serde_json::from_slice(bytes).map_err(|source| ConfigError::JsonList {
            file: MODULES,
            source,
        })?;
    let known = [
        ("Transformer", Some("")),
        ("Pooling", Some(FOLDER)),
        ("Normalize", None),
    ];
    for (index, module) in modules.iter().enumerate() {
        let fields = Fields::new(MODULES, module);
        let kind = fields.text("type")?.ok_or_else(|| fields.missing("type"))?;
        let known = known.get(index);
        let known = known.filter(|(name, _)| kind.rsplit('.').next() == Some(*name));
        let Some((_, folder)) = known else {
            let supported = "Transformer, Pooling and Normalize, in this order";
            return Err(fields.unsupported("type", supported));
        };
        if let Some(folder) = folder
            && fields.text("path")?.unwrap_or_default() != *folder
        {
            let supported = "the model's own folder, and 1_Pooling for the pooling";
            return Err(fields.unsupported("path", supported));
        }
    }
    Ok(())
}

/// The one mode that is on: a flag for each, or the name of one.
fn read(object: &Map<String, Value>, poolings: Poolings) -> Result<Pooling, ConfigError> {
    let fields = Fields::new(FILE, object);
    let mut found = None;
    for name in fields.names() {
        let mode = match name.strip_prefix(FLAG) {
            Some(flag) if fields.flag(name)? == Some(true) => flag,
            None if name == MODE => fields.text(MODE)?.unwrap_or_default(),
            _ => continue,
        };
        let pooling = match mode {
            "cls_token" | "cls" => Some(Pooling::Cls),
            "mean_tokens" | "mean" => Some(Pooling::Mean),
            "lasttoken" => Some(Pooling::LastToken),
            _ => None,
        };
        let pooling = pooling.filter(|pooling| poolings.known.contains(pooling));
        let pooling = pooling.ok_or_else(|| fields.unsupported(name, poolings.in_words))?;
        if found.is_some_and(|other| other != pooling) {
            return Err(fields.unsupported(name, "one mode alone"));
        }
        found = Some(pooling);
    }
    found.ok_or_else(|| fields.missing(MODE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Poolings = Poolings {
        known: &[Pooling::Cls, Pooling::Mean, Pooling::LastToken],
        in_words: "cls, mean, lasttoken",
    };

    fn pooling(file: &str) -> Result<Pooling, String> {
        let object = serde_json::from_str(file).unwrap();
        read(&object, ALL).map_err(|error| error.to_string())
    }

    #[test]
    fn one_mode_is_on() {
        let flags = r#"{"word_embedding_dimension": 8, "pooling_mode_cls_token": false,
            "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false}"#;
        assert_eq!(pooling(flags), Ok(Pooling::Mean));
        let named = r#"{"pooling_mode": "lasttoken"}"#;
        assert_eq!(pooling(named), Ok(Pooling::LastToken));
        for (file, want) in [
            ("{}", "field `pooling_mode` is missing"),
            (
                r#"{"pooling_mode_max_tokens": true}"#,
                "`pooling_mode_max_tokens` = true is not supported; supported is cls, mean, lasttoken",
            ),
            (
                r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#,
                "supported is one mode alone",
            ),
            (
                r#"{"pooling_mode": "weighted"}"#,
                "`pooling_mode` = \"weighted\"",
            ),
            (r#"{"pooling_mode_cls_token": 1}"#, "must be true or false"),
        ] {
            let error = pooling(file).unwrap_err();
            assert!(
                error.starts_with(FILE) && error.contains(want),
                "{file}: {error}"
            );
        }
    }

    #[test]
    fn other_modules_are_named() {
        let module = |kind: &str, path: &str| {
            format!(r#"{{"type": "sentence_transformers.models.{kind}", "path": "{path}"}}"#)
        };
        let check = |modules: &[String]| {
            let list = format!("[{}]", modules.join(","));
            check_modules(list.as_bytes()).map_err(|error| error.to_string())
        };
        let first = [module("Transformer", ""), module("Pooling", "1_Pooling")];
        assert_eq!(check(&first), Ok(()));
        let [transformer, pooling] = first;
        let with = |last: String| check(&[transformer.clone(), pooling.clone(), last]);
        assert_eq!(with(module("Normalize", "2_Normalize")), Ok(()));
        let dense = with(module("Dense", "2_Dense")).unwrap_err();
        assert!(dense.contains("models.Dense"), "{dense}");
        let elsewhere = check(&[module("Transformer", "0_Transformer")]).unwrap_err();
        assert!(elsewhere.contains("0_Transformer"), "{elsewhere}");
        let swapped = check(&[module("Pooling", "1_Pooling")]).unwrap_err();
        assert!(swapped.contains("in this order"), "{swapped}");
        let object = check_modules(b"{}").unwrap_err().to_string();
        assert!(
            object.starts_with("modules.json is not a JSON list"),
            "{object}"
        );
    }
}
