//! What the machine's figures mean for a model.

use models::{Dtype, Model, Quantization};
use serde::Serialize;

use super::machine::Machine;
use crate::config::serve::EngineConfig;
use crate::sizing::Sizing;

/// What fits, and how fast it can be at most.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Forecast {
    /// The model's name.
    pub(super) model: String,
    /// Its weights.
    pub(super) parameters: usize,
    /// Bytes of the weights in memory.
    pub(super) weight_bytes: usize,
    /// Of these, what a step reads.
    pub(super) step_weight_bytes: usize,
    /// The same if the weights were quantised to 8 bits.
    pub(super) step_weight_bytes_q8_0: usize,
    /// Type of the KV cache's elements.
    pub(super) kv_cache_dtype: &'static str,
    /// Bytes of one token's keys and values.
    pub(super) kv_bytes_per_token: usize,
    /// Bytes of the KV cache.
    pub(super) kv_cache_bytes: usize,
    /// Tokens that it holds.
    pub(super) kv_cache_tokens: usize,
    /// Tokens that would fit into all the memory that the weights leave free.
    pub(super) most_kv_cache_tokens: usize,
    /// Longest sequence that the model itself allows.
    pub(super) max_position_embeddings: usize,
    /// Longest sequence that will be served.
    pub(super) max_model_len: usize,
    /// Tokens per step.
    pub(super) max_num_batched_tokens: usize,
    /// Prompt tokens per second, if nothing but multiplying took time.
    pub(super) prefill_tokens_per_second: f64,
    /// Tokens per second of one answer, if nothing but reading the weights from memory took time;
    /// what fits into the processor's caches can be faster.
    pub(super) decode_tokens_per_second: f64,
}

impl Forecast {
    /// Of `model`, opened and not yet loaded.
    pub(super) fn new(
        model: &Model,
        engine: &EngineConfig,
        sizing: &Sizing,
        machine: &Machine,
    ) -> Self {
        let kv_dtype = engine.kv_cache_dtype.on(engine.device);
        let (dtype, quantization) = (engine.dtype, engine.quantization);
        let weight_bytes = model.loaded_weight_bytes(dtype, quantization);
        let step_weight_bytes = model.step_weight_bytes(dtype, quantization);
        let kv_bytes_per_token = model.kv_bytes_per_token(kv_dtype);
        let left = machine.available_bytes.saturating_sub(weight_bytes);
        let operations = 2.0 * model.prompt_weights() as f64;
        let peak = machine.peak(operands(dtype, weight_bytes, model.num_parameters()));
        Self {
            model: model.name().to_owned(),
            parameters: model.num_parameters(),
            weight_bytes,
            step_weight_bytes,
            step_weight_bytes_q8_0: model.step_weight_bytes(Dtype::Auto, Quantization::Q8_0),
            kv_cache_dtype: kv_dtype.name(),
            kv_bytes_per_token,
            kv_cache_bytes: sizing.kv_cache_bytes,
            // The null block holds no tokens.
            kv_cache_tokens: (sizing.num_blocks - 1) * sizing.block_size,
            most_kv_cache_tokens: left / kv_bytes_per_token,
            max_position_embeddings: model.config().max_position_embeddings,
            max_model_len: sizing.max_model_len,
            max_num_batched_tokens: sizing.max_num_batched_tokens,
            prefill_tokens_per_second: 1e9 * peak / operations,
            decode_tokens_per_second: 1e9 * machine.read_gb_per_second / step_weight_bytes as f64,
        }
    }
}

/// What may be multiplied with weights that have so many bytes: f32 with f32; 16 bits with bf16
/// where there are instructions for it; fewer with integers.
fn operands(dtype: Dtype, bytes: usize, weights: usize) -> &'static [&'static str] {
    match bytes as f64 / weights as f64 {
        _ if dtype == Dtype::Float32 => &["f32"],
        ..1.9 => &["f32", "bf16", "integer"],
        ..3.0 => &["f32", "bf16"],
        _ => &["f32"],
    }
}
