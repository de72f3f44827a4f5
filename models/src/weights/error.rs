//! What can be wrong with weights.

use std::path::PathBuf;

use thiserror::Error;

/// Weights that cannot be used.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// The folder has neither a single file nor an index of shards.
    #[error("{}: neither model.safetensors nor model.safetensors.index.json", folder.display())]
    NoWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder has weights that are no data alone.
    #[error(
        "{}: weights in pytorch_model.bin are not read, because reading them can run what is in \
         them; save the model as model.safetensors",
        folder.display()
    )]
    Pickled {
        /// The folder.
        folder: PathBuf,
    },
    /// A file cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The index of shards is malformed.
    #[error("{file}: {reason}")]
    Index {
        /// The index.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A shard that the index names does not exist.
    #[error("shard {shard} is missing; {index} names it")]
    MissingShard {
        /// The shard.
        shard: String,
        /// The index.
        index: String,
    },
    /// A file's header is malformed.
    #[error("{file}: not a safetensors file: {reason}")]
    Header {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A file is shorter, or longer, than its header says.
    #[error("{file}: truncated or damaged: {expected} bytes expected, {actual} found")]
    Length {
        /// The file.
        file: String,
        /// Bytes that the header asks for.
        expected: u64,
        /// Bytes of the file.
        actual: u64,
    },
    /// A tensor that the architecture needs.
    #[error("tensor {tensor} is missing (looked in {files})")]
    MissingTensor {
        /// The tensor.
        tensor: String,
        /// Where it should be.
        files: String,
    },
    /// A tensor of another shape.
    #[error(
        "{file}: tensor {tensor} has shape {actual:?}, but the configuration asks for {expected:?}"
    )]
    Shape {
        /// The tensor.
        tensor: String,
        /// The file.
        file: String,
        /// Shape by the configuration.
        expected: Vec<usize>,
        /// Shape in the file.
        actual: Vec<usize>,
    },
    /// A tensor of an element type that cannot be read.
    #[error(
        "{file}: tensor {tensor} is {actual}; supported are F32, F16 and BF16, and in GGUF files \
         Q4_0, Q5_0, Q8_0, Q4_K, Q5_K and Q6_K"
    )]
    Dtype {
        /// The tensor.
        tensor: String,
        /// The file.
        file: String,
        /// Element type in the file.
        actual: String,
    },
}
