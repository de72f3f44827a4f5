//! An encoder's tensors: which there are, and how they come into its network.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use super::config::EncoderConfig;
use crate::weights::{Checkpoint, Expected, WeightsError};

/// What names begin with in the checkpoint of a model with a head.
const PREFIXES: [&str; 2] = ["bert.", "roberta."];

const EMBEDDING: &str = "embeddings.word_embeddings.weight";

/// Beginnings of the names of what no text's vector needs: heads, and numbers from zero on that old
/// versions of `transformers` saved.
const SURPLUS: [&str; 4] = ["embeddings.position_ids", "pooler.", "cls.", "lm_head."];

/// The checkpoint by the names of the bare model, and the names of the tensors that nothing reads.
///
/// # Errors
/// A tensor that is missing, or has another shape or an element type that is not read.
pub(super) fn checked(
    checkpoint: Checkpoint,
    config: &EncoderConfig,
) -> Result<(Checkpoint, Vec<String>), WeightsError> {
    let mut prefixes = PREFIXES.into_iter();
    let prefix = prefixes.find(|prefix| {
        let embedding = format!("{prefix}{EMBEDDING}");
        checkpoint.file_of(&embedding).is_some()
    });
    let prefix = prefix.unwrap_or("");
    let checkpoint = checkpoint.renamed(|name| match name.strip_prefix(prefix) {
        Some(rest) => rest.to_owned(),
        None => name.to_owned(),
    });
    let name_in_file = |name: &str| format!("{prefix}{name}");
    let is_surplus = |name: &str| SURPLUS.iter().any(|start| name.starts_with(start));
    let unread = checkpoint.check_tensors(&expected(config), name_in_file, is_surplus)?;
    Ok((checkpoint, unread))
}

/// All tensors in f32, by name. The checkpoint's pages are given back one after the other.
///
/// # Errors
/// Those of candle.
pub(super) fn read(
    checkpoint: &Checkpoint,
    config: &EncoderConfig,
) -> candle_core::Result<HashMap<String, Tensor>> {
    let mut tensors = HashMap::new();
    for Expected { name, shape } in expected(config) {
        let matrix = checkpoint.matrix(&name);
        let mut values = vec![0.0f32; matrix.rows * matrix.cols];
        for (row, values) in values.chunks_exact_mut(matrix.cols).enumerate() {
            matrix.view().read(row, 0, values);
        }
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        drop(matrix);
        checkpoint.release(&name);
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// The tensors of a bare model, as `transformers` names them in all families here.
fn expected(config: &EncoderConfig) -> Vec<Expected> {
    let hidden = config.hidden_size;
    let mut tensors = Vec::new();
    let mut push = |name: String, shape: &[usize]| {
        tensors.push(Expected {
            name,
            shape: shape.to_vec(),
        });
    };
    for (name, rows) in [
        ("word", config.vocab_size),
        ("position", config.max_position_embeddings),
        ("token_type", config.type_vocab_size),
    ] {
        let name = format!("embeddings.{name}_embeddings.weight");
        push(name, &[rows, hidden]);
    }
    for end in ["weight", "bias"] {
        push(format!("embeddings.LayerNorm.{end}"), &[hidden]);
    }
    let intermediate = config.intermediate_size;
    let projections = [
        ("attention.self.query", hidden, hidden),
        ("attention.self.key", hidden, hidden),
        ("attention.self.value", hidden, hidden),
        ("attention.output.dense", hidden, hidden),
        ("intermediate.dense", intermediate, hidden),
        ("output.dense", hidden, intermediate),
    ];
    for layer in 0..config.num_layers {
        let layer = format!("encoder.layer.{layer}");
        for (name, out_features, in_features) in projections {
            push(
                format!("{layer}.{name}.weight"),
                &[out_features, in_features],
            );
            push(format!("{layer}.{name}.bias"), &[out_features]);
        }
        for name in ["attention.output", "output"] {
            for end in ["weight", "bias"] {
                push(format!("{layer}.{name}.LayerNorm.{end}"), &[hidden]);
            }
        }
    }
    tensors
}
