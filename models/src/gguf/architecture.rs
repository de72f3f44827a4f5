//! The architectures of GGUF files that a family stands for.

use super::GgufError;
use super::metadata::Metadata;

/// An architecture: `general.architecture`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Architecture {
    Gemma2,
    Gemma3,
    Granite,
    /// Llama, Mistral, Mixtral, SmolLM2.
    Llama,
    Olmo2,
    Phi3,
    Qwen2,
    Qwen3,
    Qwen3Moe,
    SmolLm3,
}

const ALL: [(&str, Architecture); 10] = [
    ("gemma2", Architecture::Gemma2),
    ("gemma3", Architecture::Gemma3),
    ("granite", Architecture::Granite),
    ("llama", Architecture::Llama),
    ("olmo2", Architecture::Olmo2),
    ("phi3", Architecture::Phi3),
    ("qwen2", Architecture::Qwen2),
    ("qwen3", Architecture::Qwen3),
    ("qwen3moe", Architecture::Qwen3Moe),
    ("smollm3", Architecture::SmolLm3),
];

impl Architecture {
    /// The file's.
    ///
    /// # Errors
    /// `Missing`, `Unsupported`.
    pub(super) fn of(metadata: &Metadata<'_>) -> Result<Self, GgufError> {
        const KEY: &str = "general.architecture";
        let name = metadata.needed_text(KEY)?;
        let found = ALL.iter().find(|(known, _)| *known == name);
        let supported = || ALL.map(|(known, _)| known).join(", ");
        found
            .map(|&(_, architecture)| architecture)
            .ok_or_else(|| metadata.unsupported(KEY, supported()))
    }

    /// Its name, which is also the first part of its keys.
    pub(super) fn name(self) -> &'static str {
        let found = ALL.iter().find(|(_, architecture)| *architecture == self);
        found.expect("every architecture has a name").0
    }

    /// Whether the rows of query and key heads lie as pairs that are rotated against each other
    /// (row 0, row `head_dim / 2`, row 1, ..), and not as two halves.
    ///
    /// llama.cpp's conversion reorders them for the architectures that it rotates pair by pair:
    /// `LlamaModel.permute` in its `convert_hf_to_gguf.py`, which Granite and SmolLM3 inherit.
    pub(super) fn has_interleaved_rows(self) -> bool {
        match self {
            Self::Granite | Self::Llama | Self::SmolLm3 => true,
            Self::Gemma2
            | Self::Gemma3
            | Self::Olmo2
            | Self::Phi3
            | Self::Qwen2
            | Self::Qwen3
            | Self::Qwen3Moe => false,
        }
    }

    /// Whether norms' weights are stored whole, where `transformers` stores them less 1.
    pub(super) fn has_whole_norm_weights(self) -> bool {
        matches!(self, Self::Gemma2 | Self::Gemma3)
    }
}
