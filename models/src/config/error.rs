//! What can be wrong with a configuration.

use thiserror::Error;

/// A configuration that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is not a JSON object.
    #[error("{file} is not a JSON object: {source}")]
    Json {
        /// The file.
        file: &'static str,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// The file is not a list of JSON objects.
    #[error("{file} is not a JSON list of objects: {source}")]
    JsonList {
        /// The file.
        file: &'static str,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// No family of this name.
    #[error(
        "architecture {found} is not supported; supported are {}",
        supported.join(", ")
    )]
    UnsupportedArchitecture {
        /// `architectures` and `model_type` of the file.
        found: String,
        /// What is supported.
        supported: Vec<&'static str>,
    },
    /// A field without which the model cannot be built.
    #[error("{file}: field `{field}` is missing")]
    Missing {
        /// The file.
        file: &'static str,
        /// The field.
        field: String,
    },
    /// A field of another type.
    #[error("{file}: field `{field}` must be {expected}, but is {found}")]
    WrongType {
        /// The file.
        file: &'static str,
        /// The field.
        field: String,
        /// What it should be.
        expected: &'static str,
        /// What it is, as JSON.
        found: String,
    },
    /// A value that exists elsewhere but not here.
    #[error("{file}: `{field}` = {value} is not supported; supported is {supported}")]
    Unsupported {
        /// The file.
        file: &'static str,
        /// The field.
        field: String,
        /// Its value, as JSON.
        value: String,
        /// What is supported.
        supported: &'static str,
    },
    /// Fields that cannot be true together.
    #[error("config.json: {fields}: {reason}")]
    Contradiction {
        /// The fields.
        fields: &'static str,
        /// Why.
        reason: String,
    },
}
