//! Qwen3: query and key heads are normalised, and the head's size is a field of its own.

use super::{DEFAULTS, Defaults, Family, HeadDim, KvHeads, apply_qwen_windows, shared};
use crate::config::{ConfigError, Fields, ModelConfig, QkNorm};

pub(super) const FAMILY: Family = Family {
    model_type: "qwen3",
    architecture: "Qwen3ForCausalLM",
    config,
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let mut config = shared(
        fields,
        &Defaults {
            model_type: "qwen3",
            kv_heads: KvHeads::Required,
            head_dim: HeadDim::Required,
            ..DEFAULTS
        },
    )?;
    let attention_bias = fields.flag("attention_bias")?.unwrap_or(false);
    config.qkv_bias = attention_bias;
    config.o_bias = attention_bias;
    config.qk_norm = QkNorm::Heads;
    apply_qwen_windows(fields, &mut config)?;
    Ok(config)
}
