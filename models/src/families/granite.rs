//! Granite 3.x: a Llama that multiplies embeddings, scores, what layers add, and logits.

use super::{DEFAULTS, Defaults, Family, shared};
use crate::config::{ConfigError, Fields, ModelConfig, Multipliers};

pub(super) const FAMILY: Family = Family {
    model_type: "granite",
    architecture: "GraniteForCausalLM",
    config,
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let mut config = shared(
        fields,
        &Defaults {
            model_type: "granite",
            ..DEFAULTS
        },
    )?;
    let attention_bias = fields.flag("attention_bias")?.unwrap_or(false);
    config.qkv_bias = attention_bias;
    config.o_bias = attention_bias;
    config.mlp_bias = fields.flag("mlp_bias")?.unwrap_or(false);
    let number = |name| Ok(fields.number(name)?.unwrap_or(1.0));
    config.multipliers = Multipliers {
        embedding: number("embedding_multiplier")? as f32,
        residual: number("residual_multiplier")? as f32,
        logits: (1.0 / number("logits_scaling")?) as f32,
    };
    config.attention_scale = number("attention_multiplier")? as f32;
    Ok(config)
}
