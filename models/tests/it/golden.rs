//! What transformers computed; scripts/reference/models makes the files.

use std::path::{Path, PathBuf};

use kernels::InstructionSet;
use safetensors::SafeTensors;
use serde::Deserialize;

/// Most distance between two rows of logits: the largest difference of an element, divided by the
/// largest magnitude in the expected row.
pub(crate) const TOLERANCE: f32 = 2e-5;

/// [`TOLERANCE`] of the embedded model, whose weights are bfloat16. Where the machine multiplies
/// bfloat16, activations are rounded for them, to 8 bits: by 2^-9 at most, 150 times the tolerance.
/// Rounding before every product adds up to a few times that.
pub(crate) fn embedded_tolerance() -> f32 {
    if rounds_bf16() { 0.02 } else { TOLERANCE }
}

/// Whether activations that meet weights in bfloat16 are rounded for them.
pub(crate) fn rounds_bf16() -> bool {
    InstructionSet::Avx512Bf16.is_available()
}

/// [`TOLERANCE`] against logits of rounded inputs, for the few rows where another order of additions
/// moves an input across the middle of two bfloat16, so that it is rounded to the other one.
pub(crate) const ROUNDED_TOLERANCE: f32 = 0.01;

/// Every variant.
pub(crate) const VARIANTS: &[&str] = &[
    "llama2-mha",
    "llama3-gqa",
    "llama-mqa-biases",
    "llama-linear-tied",
    "llama-yarn",
    "llama-float16",
    "llama-bfloat16-sharded",
    "mistral-window",
    "mistral-head-dim",
    "qwen2",
    "qwen2-window",
    "qwen3",
    "qwen3-yarn-window",
    "smollm3",
    "smollm3-window",
    "phi3",
    "phi3-longrope-short",
    "phi3-longrope-long",
    "granite",
    "olmo2",
    "gemma2",
    "gemma3",
    "qwen3-moe",
    "qwen3-moe-sparse",
    "mixtral",
    "starcoder2",
    "gpt-oss",
    "gpt-oss-mxfp4",
];

/// A prompt and the embedded model's greedy answer, its end included unless it was cut.
#[derive(Deserialize)]
pub(crate) struct Answer {
    pub(crate) prompt: Vec<u32>,
    pub(crate) answer: Vec<u32>,
}

/// The embedded model's fifty prompts.
pub(crate) fn answers() -> Vec<Answer> {
    let path = folder().join("pebble-20m/answers.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A variant's prompt, its greedy tokens, and the logits of both.
pub(crate) struct Golden {
    pub(crate) prompt: Vec<u32>,
    pub(crate) prompt_logits: Vec<Vec<f32>>,
    pub(crate) tokens: Vec<u32>,
    pub(crate) logits: Vec<Vec<f32>>,
}

/// The folder of all goldens: `PURSER_GOLDENS`, where the program was built on another machine.
pub(crate) fn folder() -> PathBuf {
    match std::env::var_os("PURSER_GOLDENS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/goldens"),
    }
}

impl Golden {
    /// Reads a variant's file.
    pub(crate) fn read(variant: &str) -> Self {
        let bytes = file(variant, "golden.safetensors");
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        Self {
            prompt: ids(&tensors, "prompt"),
            prompt_logits: rows(&tensors, "prompt_logits"),
            tokens: ids(&tensors, "tokens"),
            logits: rows(&tensors, "logits"),
        }
    }

    /// The same prompt and tokens, with the logits of inputs that are rounded to bfloat16.
    pub(crate) fn rounded(self, variant: &str) -> Self {
        let bytes = file(variant, "golden.bfloat16.safetensors");
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        Self {
            prompt_logits: rows(&tensors, "prompt_logits"),
            logits: rows(&tensors, "logits"),
            ..self
        }
    }
}

/// A file of a variant.
fn file(variant: &str, name: &str) -> Vec<u8> {
    std::fs::read(folder().join(variant).join(name)).unwrap()
}

/// Rows of f32.
pub(crate) fn rows(tensors: &SafeTensors<'_>, name: &str) -> Vec<Vec<f32>> {
    let tensor = tensors.tensor(name).unwrap();
    let elements = tensor
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let elements: Vec<f32> = elements.collect();
    elements
        .chunks(tensor.shape()[1])
        .map(<[f32]>::to_vec)
        .collect()
}

fn ids(tensors: &SafeTensors<'_>, name: &str) -> Vec<u32> {
    let tensor = tensors.tensor(name).unwrap();
    tensor
        .data()
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

/// See [`TOLERANCE`].
pub(crate) fn distance(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let difference = got
        .iter()
        .zip(want)
        .fold(0.0f32, |most, (a, b)| match (a - b).abs() {
            difference if difference.is_nan() => f32::INFINITY,
            difference => most.max(difference),
        });
    difference / largest
}
