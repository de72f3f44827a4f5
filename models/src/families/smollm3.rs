//! SmolLM3: some layers have no rotary embedding (by default every fourth).

use super::{DEFAULTS, Defaults, Family, KvHeads, apply_windows, shared};
use crate::config::{ConfigError, Fields, ModelConfig};

pub(super) const FAMILY: Family = Family {
    model_type: "smollm3",
    architecture: "SmolLM3ForCausalLM",
    config,
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let mut config = shared(
        fields,
        &Defaults {
            model_type: "smollm3",
            rope_theta: 2_000_000.0,
            tie_word_embeddings: true,
            kv_heads: KvHeads::Required,
            ..DEFAULTS
        },
    )?;
    let attention_bias = fields.flag("attention_bias")?.unwrap_or(false);
    config.qkv_bias = attention_bias;
    config.o_bias = attention_bias;
    config.mlp_bias = fields.flag("mlp_bias")?.unwrap_or(false);
    let rope = rope_layers(fields, config.num_layers())?;
    for (layer, &rope) in config.layers.iter_mut().zip(&rope) {
        layer.rope = rope;
    }
    if fields.flag("use_sliding_window")?.unwrap_or(false) {
        let has_window = fields.count("sliding_window")?.is_some();
        apply_windows(fields, &mut config.layers, |layer| {
            has_window && !rope[layer]
        })?;
    }
    Ok(config)
}

/// Whether each layer rotates. `no_rope_layers` has, in spite of its name, a 1 for those that do.
fn rope_layers(fields: &Fields<'_>, num_layers: usize) -> Result<Vec<bool>, ConfigError> {
    let Some(listed) = fields.counts("no_rope_layers")? else {
        let interval = fields.count("no_rope_layer_interval")?.unwrap_or(4);
        if interval == 0 {
            let reason = "must be positive".into();
            return Err(ConfigError::Contradiction {
                fields: "no_rope_layer_interval",
                reason,
            });
        }
        return Ok((1..=num_layers)
            .map(|layer| !layer.is_multiple_of(interval))
            .collect());
    };
    // transformers asks for at least as many as there are layers, and reads the first ones.
    if listed.len() < num_layers {
        return Err(ConfigError::Contradiction {
            fields: "no_rope_layers, num_hidden_layers",
            reason: format!("{} entries for {num_layers} layers", listed.len()),
        });
    }
    Ok(listed
        .into_iter()
        .take(num_layers)
        .map(|rope| rope != 0)
        .collect())
}
