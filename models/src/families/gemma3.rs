//! Gemma 3 (Gemma Team, 2025), the decoder of text: of six layers five have a window and a rotary
//! embedding of their own, and query and key heads are normalised.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{Defaults, Family, apply_windows, gemma};
use crate::config::{ConfigError, Fields, ModelConfig, QkNorm};
use crate::weights::Naming;

pub(super) const FAMILY: Family = Family {
    model_type: "gemma3_text",
    architecture: "Gemma3ForCausalLM",
    config,
};

/// The models that also see, of which this is the decoder of text.
pub(super) const SEEING: Family = Family {
    model_type: "gemma3",
    architecture: "Gemma3ForConditionalGeneration",
    config: text_config,
};

/// Their `text_config` leaves out what `Gemma3TextConfig` of transformers has by default.
static TEXT_DEFAULTS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let defaults = json!({
        "vocab_size": 262_208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-6,
    });
    match defaults {
        Value::Object(defaults) => defaults,
        _ => unreachable!("it was written as an object"),
    }
});

const SEEING_NAMING: Naming = Naming {
    // Of transformers 4, and of transformers 5.
    prefixes: &["language_model.model.", "model.language_model."],
    surplus: &[
        "language_model.lm_head.",
        "model.multi_modal_projector.",
        "model.vision_tower.",
        "multi_modal_projector.",
        "vision_tower.",
    ],
    ..Naming::PLAIN
};

fn text_config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let text = fields.object("text_config")?;
    let text = text.ok_or_else(|| fields.missing("text_config"))?;
    let mut config = config(&text.with_defaults(&TEXT_DEFAULTS))?;
    config.naming = SEEING_NAMING;
    Ok(config)
}

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let caps = gemma::SoftCaps {
        attention: None,
        logits: None,
    };
    let defaults = Defaults {
        model_type: "gemma3_text",
        rope_theta: 1_000_000.0,
        sliding_rope_theta: Some(10_000.0),
        ..gemma::GEMMA
    };
    let mut config = gemma::config(fields, &defaults, &caps)?;
    config.qk_norm = QkNorm::Heads;
    let pattern = fields.count("sliding_window_pattern")?.unwrap_or(6);
    if pattern == 0 {
        return Err(fields.unsupported("sliding_window_pattern", "a positive number"));
    }
    apply_windows(fields, &mut config.layers, |layer| {
        !(layer + 1).is_multiple_of(pattern)
    })?;
    Ok(config)
}
