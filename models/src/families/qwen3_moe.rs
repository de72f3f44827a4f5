//! Qwen3 with experts, in all layers or in some.

use super::{DEFAULTS, Defaults, Family, KvHeads, shared};
use crate::config::{ConfigError, ExpertsConfig, Fields, ModelConfig, QkNorm};

pub(super) const FAMILY: Family = Family {
    model_type: "qwen3_moe",
    architecture: "Qwen3MoeForCausalLM",
    config,
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let mut config = shared(
        fields,
        &Defaults {
            model_type: "qwen3_moe",
            kv_heads: KvHeads::Required,
            ..DEFAULTS
        },
    )?;
    let attention_bias = fields.flag("attention_bias")?.unwrap_or(false);
    config.qkv_bias = attention_bias;
    config.o_bias = attention_bias;
    config.qk_norm = QkNorm::Heads;
    if fields.flag("use_sliding_window")? == Some(true) {
        return Err(fields.unsupported("use_sliding_window", "false"));
    }
    config.experts = Some(ExpertsConfig {
        num_experts: num_experts(fields)?,
        num_experts_per_tok: fields.needed_count("num_experts_per_tok")?,
        intermediate_size: fields.needed_count("moe_intermediate_size")?,
        norm_topk_prob: fields.flag("norm_topk_prob")?.unwrap_or(false),
    });
    let dense = fields.counts("mlp_only_layers")?.unwrap_or_default();
    if let Some(layer) = dense.iter().find(|&&l| l >= config.num_layers() as u64) {
        return Err(ConfigError::Contradiction {
            fields: "mlp_only_layers, num_hidden_layers",
            reason: format!("there is no layer {layer}"),
        });
    }
    let step = fields.count("decoder_sparse_step")?.unwrap_or(1);
    if step == 0 {
        return Err(fields.unsupported("decoder_sparse_step", "a positive number"));
    }
    for (index, layer) in config.layers.iter_mut().enumerate() {
        layer.experts = !dense.contains(&(index as u64)) && (index + 1).is_multiple_of(step);
    }
    Ok(config)
}

/// `num_experts` (transformers 4), or `num_local_experts` (transformers 5).
fn num_experts(fields: &Fields<'_>) -> Result<usize, ConfigError> {
    match (
        fields.count("num_experts")?,
        fields.count("num_local_experts")?,
    ) {
        (Some(old), Some(new)) if old != new => Err(ConfigError::Contradiction {
            fields: "num_experts, num_local_experts",
            reason: format!("{old} or {new} experts"),
        }),
        (Some(count), _) | (None, Some(count)) => Ok(count),
        (None, None) => Err(fields.missing("num_experts")),
    }
}
