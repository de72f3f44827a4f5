//! What Gemma 2 and Gemma 3 have in common: norms on both sides, whose weights are stored less 1,
//! embeddings that are scaled, and soft caps.

use super::{DEFAULTS, Defaults, HeadDim, KvHeads, shared};
use crate::config::{ConfigError, Fields, ModelConfig, NormPlacement};

/// What they have in common of the meaning of absent fields.
pub(super) const GEMMA: Defaults = Defaults {
    tie_word_embeddings: true,
    activation: ("hidden_activation", "gelu_pytorch_tanh"),
    kv_heads: KvHeads::Required,
    head_dim: HeadDim::Elements(256),
    ..DEFAULTS
};

/// The soft caps that absent fields mean.
pub(super) struct SoftCaps {
    pub(super) attention: Option<f64>,
    pub(super) logits: Option<f64>,
}

pub(super) fn config(
    fields: &Fields<'_>,
    defaults: &Defaults,
    caps: &SoftCaps,
) -> Result<ModelConfig, ConfigError> {
    let mut config = shared(fields, defaults)?;
    if fields.flag("use_bidirectional_attention")? == Some(true) {
        return Err(fields.unsupported("use_bidirectional_attention", "false"));
    }
    let attention_bias = fields.flag("attention_bias")?.unwrap_or(false);
    config.qkv_bias = attention_bias;
    config.o_bias = attention_bias;
    config.norms.placement = NormPlacement::Around;
    config.norms.weight_offset = 1.0;
    config.multipliers.embedding = (config.hidden_size as f32).sqrt();
    let scalar = fields.number("query_pre_attn_scalar")?.unwrap_or(256.0);
    config.attention_scale = (1.0 / scalar.sqrt()) as f32;
    let cap = |name, default| match fields.has(name) {
        true => fields.number(name),
        false => Ok(default),
    };
    let single = |cap: f64| cap as f32;
    config.attention_soft_cap = cap("attn_logit_softcapping", caps.attention)?.map(single);
    config.logits_soft_cap = cap("final_logit_softcapping", caps.logits)?.map(single);
    Ok(config)
}
