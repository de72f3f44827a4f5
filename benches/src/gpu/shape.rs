//! The models whose shapes are measured.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use anyhow::Context;
use clap::ValueEnum;
use models::ModelConfig;
use serde::{Deserialize, Serialize};

use super::requests::Requests;
use super::scale::Scale;

/// A model's shape; its weights are random.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
pub enum Shape {
    /// Llama-3.1-8B's.
    #[value(name = "L")]
    L,
    /// Qwen3-0.6B's.
    #[value(name = "Q")]
    Q,
    /// Two layers of 64 elements, to try the program.
    #[value(name = "tiny")]
    #[serde(rename = "tiny")]
    Tiny,
}

impl Shape {
    /// The folder with its `config.json`, in `shapes`.
    pub fn folder(self, shapes: &Path) -> PathBuf {
        shapes.join(match self {
            Self::L => "llama-3.1-8b-shape",
            Self::Q => "qwen3-0.6b-shape",
            Self::Tiny => "tiny-shape",
        })
    }

    /// Draws requests for it; its folder lies in `shapes`.
    ///
    /// # Errors
    /// What is wrong with its `config.json`.
    pub fn requests(self, shapes: &Path, scale: Scale) -> anyhow::Result<Requests> {
        let path = self.folder(shapes).join("config.json");
        let config = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Requests {
            scale,
            vocab_size: ModelConfig::parse(&config, None)?.vocab_size,
        })
    }

    /// What it is called in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::L => "Llama-3.1-8B's shape (L)",
            Self::Q => "Qwen3-0.6B's shape (Q)",
            Self::Tiny => "a tiny shape",
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L => "L",
            Self::Q => "Q",
            Self::Tiny => "tiny",
        })
    }
}

#[cfg(test)]
mod tests {
    use models::KvDtype;

    use super::*;

    /// Parameters as the models' cards have them; 15.01 GB and 1.19 GB of them in bfloat16 are read in a
    /// step that decodes, which leaves the embedding of the larger one out.
    #[test]
    fn shapes_are_those_of_the_models() {
        let shapes = Path::new(env!("CARGO_MANIFEST_DIR")).join("gpu");
        let config = |shape: Shape| {
            let path = shape.folder(&shapes).join("config.json");
            ModelConfig::parse(&fs::read(path).unwrap(), None).unwrap()
        };
        let [large, small, tiny] = [Shape::L, Shape::Q, Shape::Tiny].map(config);
        assert_eq!(large.num_parameters(), 8_030_261_248);
        assert_eq!(small.num_parameters(), 596_049_920);
        assert_eq!(large.kv_bytes_per_token(KvDtype::Bf16), 131_072);
        assert_eq!(small.kv_bytes_per_token(KvDtype::Bf16), 114_688);
        for config in [large, small, tiny] {
            assert_eq!(config.max_position_embeddings, 40_960);
        }
    }
}
