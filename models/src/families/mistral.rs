//! Mistral: a Llama whose layers all have the same sliding window, if any.

use super::{DEFAULTS, Defaults, Family, KvHeads, apply_one_window, shared};
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
            kv_heads: KvHeads::Required,
            ..DEFAULTS
        },
    )?;
    // Absent would mean 4096 to transformers and "none" to a reader; a file says null for none.
    if !fields.has("sliding_window") {
        return Err(fields.missing("sliding_window"));
    }
    apply_one_window(fields, &mut config)?;
    Ok(config)
}
