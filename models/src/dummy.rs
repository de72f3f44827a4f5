//! Random weights in the place of a checkpoint's, to measure with.

use std::collections::BTreeMap;
use std::path::Path;

use kernels::WeightDtype;

use crate::config::ModelConfig;
use crate::model::{Model, ModelFiles, OpenError};
use crate::weights::{Bytes, Checkpoint, RowOrder, Shard, Tensor, expected};

/// Values are of at most this size, as those of vLLM's `--load-format dummy`.
const LARGEST: f32 = 1e-3;
/// Values that are drawn; they are repeated from there on.
const DRAWN: usize = 1 << 22;

/// The model of a folder's `config.json`, with random weights in bfloat16.
///
/// # Errors
/// `NoFolder`, `Io`, `Config`.
pub(crate) fn open(folder: &Path) -> Result<Model, OpenError> {
    let files = ModelFiles::in_folder(folder)?;
    let config = ModelConfig::parse(&files.config, files.generation_config.as_deref())?;
    let checkpoint = checkpoint(&config);
    Model::with_plain_names(folder.display().to_string(), files, config, checkpoint)
}

/// All tensors lie in the same memory: of the largest there is one copy, however many layers there
/// are.
fn checkpoint(config: &ModelConfig) -> Checkpoint {
    let dtype = WeightDtype::Bf16;
    let bytes = |shape: &[usize]| shape.iter().product::<usize>() * dtype.block_bytes();
    let tensors: BTreeMap<String, Tensor> = expected(config)
        .into_iter()
        .map(|tensor| {
            let range = 0..bytes(&tensor.shape);
            let tensor_here = Tensor {
                shard: 0,
                element: Ok(dtype),
                shape: tensor.shape,
                range,
                row_order: RowOrder::Natural,
                scales: None,
            };
            (tensor.name, tensor_here)
        })
        .collect();
    let largest = tensors.values().map(|tensor| tensor.range.end).max();
    let shard = Shard {
        name: "random weights".to_owned(),
        bytes: Bytes::Made(random_bf16(largest.unwrap_or(0) / 2)),
    };
    Checkpoint::new(vec![shard], tensors)
}

/// `count` values, uniform between `-LARGEST` and `LARGEST`, always the same.
fn random_bf16(count: usize) -> Vec<u8> {
    // SplitMix64 (Steele et al., "Fast splittable pseudorandom number generators", 2014).
    let mut state = 0u64;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        half::bf16::from_f32(unit * LARGEST)
    };
    let mut bytes = Vec::with_capacity(2 * count);
    for _ in 0..count.min(DRAWN) {
        bytes.extend(draw().to_le_bytes());
    }
    while bytes.len() < 2 * count {
        let more = bytes.len().min(2 * count - bytes.len());
        bytes.extend_from_within(..more);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_small_repeated_and_never_fewer() {
        let bytes = random_bf16(DRAWN + 5);
        assert_eq!(bytes.len(), 2 * (DRAWN + 5));
        assert_eq!(bytes[..10], bytes[2 * DRAWN..]);
        let values = bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&pair| half::bf16::from_le_bytes(pair).to_f32());
        let (least, most) = values.fold((0.0f32, 0.0f32), |(least, most), x| {
            (least.min(x), most.max(x))
        });
        assert!(least < -0.99e-3 && most > 0.99e-3 && least >= -1e-3 && most <= 1e-3);
    }
}
