//! Llama 2 and 3.x, and the many models that are Llamas by shape (SmolLM2 among them).

use super::{DEFAULTS, Defaults, Family, shared};
use crate::config::{ConfigError, Fields, ModelConfig};

pub(super) const FAMILY: Family = Family {
    model_type: "llama",
    architecture: "LlamaForCausalLM",
    config,
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let mut config = shared(
        fields,
        &Defaults {
            model_type: "llama",
            ..DEFAULTS
        },
    )?;
    let attention_bias = fields.flag("attention_bias")?.unwrap_or(false);
    config.qkv_bias = attention_bias;
    config.o_bias = attention_bias;
    config.mlp_bias = fields.flag("mlp_bias")?.unwrap_or(false);
    Ok(config)
}
