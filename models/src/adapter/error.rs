//! What can be wrong with an adapter.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::WeightsError;
use crate::config::ConfigError;

/// An adapter that cannot be used.
#[derive(Debug, Error)]
pub enum AdapterError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file with more bytes than an adapter of the largest rank can have.
    #[error("{}: more than {most} bytes, which no adapter of the largest rank has", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes.
        most: usize,
    },
    /// A field of `adapter_config.json` that is missing or of another type.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A field of `adapter_config.json` that asks for something that is not done.
    #[error("adapter_config.json: `{field}`: {reason}")]
    Field {
        /// The field.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// The header of `adapter_model.safetensors`.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A tensor of `adapter_model.safetensors`.
    #[error("adapter_model.safetensors: tensor {tensor}: {reason}")]
    Tensor {
        /// The tensor.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
}

impl AdapterError {
    pub(super) fn field(field: &str, reason: impl Into<String>) -> Self {
        Self::Field {
            field: field.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn tensor(tensor: &str, reason: impl Into<String>) -> Self {
        Self::Tensor {
            tensor: tensor.to_owned(),
            reason: reason.into(),
        }
    }
}
