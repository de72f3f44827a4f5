//! StarCoder2: layer norms, biases everywhere, and a feed-forward network without a gate.

use super::{DEFAULTS, Defaults, Family, KvHeads, apply_one_window, shared};
use crate::config::{ConfigError, Fields, ModelConfig, NormKind};
use crate::weights::Naming;

pub(super) const FAMILY: Family = Family {
    model_type: "starcoder2",
    architecture: "Starcoder2ForCausalLM",
    config,
};

const NAMING: Naming = Naming {
    renamed: &[
        (".mlp.c_fc.", ".mlp.up_proj."),
        (".mlp.c_proj.", ".mlp.down_proj."),
    ],
    ..Naming::PLAIN
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let mut config = shared(
        fields,
        &Defaults {
            model_type: "starcoder2",
            tie_word_embeddings: true,
            norm_eps: "norm_epsilon",
            activation: ("hidden_act", "gelu_pytorch_tanh"),
            kv_heads: KvHeads::Required,
            ..DEFAULTS
        },
    )?;
    config.naming = NAMING;
    config.norms.kind = NormKind::Layer;
    config.mlp_gate = false;
    let bias = fields.flag("use_bias")?.unwrap_or(true);
    config.qkv_bias = bias;
    config.o_bias = bias;
    config.mlp_bias = bias;
    apply_one_window(fields, &mut config)?;
    Ok(config)
}
