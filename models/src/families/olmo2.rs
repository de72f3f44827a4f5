//! OLMo 2: norms stand after attention and the feed-forward network only, and queries and keys are
//! normalised before they are heads.

use super::{DEFAULTS, Defaults, Family, shared};
use crate::config::{ConfigError, Fields, ModelConfig, NormPlacement, QkNorm};

pub(super) const FAMILY: Family = Family {
    model_type: "olmo2",
    architecture: "Olmo2ForCausalLM",
    config,
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let mut config = shared(
        fields,
        &Defaults {
            model_type: "olmo2",
            ..DEFAULTS
        },
    )?;
    let attention_bias = fields.flag("attention_bias")?.unwrap_or(false);
    config.qkv_bias = attention_bias;
    config.o_bias = attention_bias;
    config.norms.placement = NormPlacement::After;
    config.qk_norm = QkNorm::Whole;
    Ok(config)
}
