//! Mistral: a Llama whose layers all have the same sliding window, if any.

use super::{Defaults, Family, HeadDim, KvHeads, shared};
use crate::config::{ConfigError, Fields, ModelConfig};

pub(super) const FAMILY: Family = Family {
    model_type: "mistral",
    architecture: "MistralForCausalLM",
    config,
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let mut config = shared(
        fields,
        &Defaults {
            model_type: "mistral",
            rope_theta: 10_000.0,
            tie_word_embeddings: false,
            kv_heads: KvHeads::Required,
            head_dim: HeadDim::Divided,
        },
    )?;
    if fields.texts("layer_types")?.is_some() {
        return Err(fields.unsupported("layer_types", "one sliding_window for all layers"));
    }
    // Absent would mean 4096 to transformers and "none" to a reader; a file says null for none.
    if !fields.names().any(|name| name == "sliding_window") {
        return Err(fields.missing("sliding_window"));
    }
    let window = fields.count("sliding_window")?;
    for layer in &mut config.layers {
        layer.sliding_window = window;
    }
    Ok(config)
}
