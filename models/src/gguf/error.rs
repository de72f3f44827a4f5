//! What can be wrong with a GGUF file.

use thiserror::Error;

use crate::config::ConfigError;

/// A GGUF file that cannot be used.
#[derive(Debug, Error)]
pub enum GgufError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The folder has no GGUF file, or more than one model.
    #[error("{folder}: {reason}")]
    Folder {
        /// The folder.
        folder: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The header is malformed.
    #[error("{file}: not a GGUF file that can be read: {reason}")]
    Header {
        /// The file.
        file: String,
        /// What is wrong, and at which byte.
        reason: String,
    },
    /// Metadata without which the model cannot be built.
    #[error("{file}: metadata `{key}` is missing")]
    Missing {
        /// The file.
        file: String,
        /// The key.
        key: String,
    },
    /// Metadata of another type.
    #[error("{file}: metadata `{key}` must be {expected}, but is {found}")]
    WrongType {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Metadata that exists elsewhere but not here.
    #[error("{file}: metadata `{key}` = {value} is not supported; supported is {supported}")]
    Unsupported {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What is supported.
        supported: String,
    },
    /// Metadata that cannot be true together.
    #[error("{file}: metadata `{key}`: {reason}")]
    Contradiction {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// Why.
        reason: String,
    },
    /// The model that the metadata describe.
    #[error("{file}: its metadata, as a config.json: {source}")]
    Config {
        /// The file.
        file: String,
        /// What is wrong.
        source: ConfigError,
    },
}
