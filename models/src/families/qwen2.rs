//! Qwen2 and Qwen2.5: biases on query, key and value; windows on the upper layers, if turned on.

use super::{DEFAULTS, Defaults, Family, KvHeads, apply_qwen_windows, shared};
use crate::config::{ConfigError, Fields, ModelConfig};

pub(super) const FAMILY: Family = Family {
    model_type: "qwen2",
    architecture: "Qwen2ForCausalLM",
    config,
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let mut config = shared(
        fields,
        &Defaults {
            model_type: "qwen2",
            kv_heads: KvHeads::Required,
            ..DEFAULTS
        },
    )?;
    config.qkv_bias = true;
    apply_qwen_windows(fields, &mut config)?;
    Ok(config)
}
