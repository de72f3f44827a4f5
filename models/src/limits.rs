//! What a runner is sized for.

use crate::adapter::modules_of;
use crate::config::{ModelConfig, NormPlacement};

/// Sizes of everything that is allocated when a model is loaded; a step allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Blocks of the KV cache, the null block included.
    pub num_blocks: usize,
    /// Blocks of the KV cache of layers with a sliding window, the null block included; `None` if they
    /// share the other layers' cache.
    pub window_blocks: Option<usize>,
    /// Tokens per block.
    pub block_size: usize,
    /// Most tokens in one step.
    pub max_num_batched_tokens: usize,
    /// Most rows of logits in one step.
    pub max_num_seqs: usize,
    /// Longest sequence in tokens: rows of the rotary table.
    pub max_model_len: usize,
}

/// What adapters may need of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoraLimits {
    /// Adapters that are loaded at a time.
    pub max_loras: usize,
    /// Largest rank of an update.
    pub max_lora_rank: usize,
}

impl LoraLimits {
    /// Most bytes that the adapters' matrices take: all of the layers, of the largest rank, in f32.
    pub fn adapter_bytes(&self, config: &ModelConfig) -> usize {
        let modules = modules_of(config).into_iter();
        let features = modules.map(|module| module.out_features + module.in_features);
        let elements = self.max_lora_rank * features.sum::<usize>();
        self.max_loras * elements * size_of::<f32>()
    }
}

impl Limits {
    /// Bytes of a step's activations and logits on the device.
    pub fn workspace_bytes(&self, config: &ModelConfig) -> usize {
        let qkv = (config.num_q_heads + 2 * config.num_kv_heads) * config.head_dim;
        let attended = config.num_q_heads * config.head_dim;
        let projected = match config.norms.placement {
            NormPlacement::Before => 0,
            NormPlacement::After | NormPlacement::Around => config.hidden_size,
        };
        let experts = config
            .experts
            .map_or(0, |experts| experts.elements_per_token(config.hidden_size));
        let per_token = projected
            + 3 * config.hidden_size
            + qkv
            + attended
            + 3 * config.intermediate_size
            + experts;
        let per_row = config.hidden_size + attended + config.vocab_size;
        let elements = self.max_num_batched_tokens * per_token + self.max_num_seqs * per_row;
        elements * size_of::<f32>()
    }
}
