//! Mixtral: a Mistral with experts in every layer, whose names its checkpoints kept from the start.

use super::{DEFAULTS, Defaults, Family, apply_one_window, shared};
use crate::config::{ConfigError, ExpertsConfig, Fields, ModelConfig};
use crate::weights::Naming;

pub(super) const FAMILY: Family = Family {
    model_type: "mixtral",
    architecture: "MixtralForCausalLM",
    config,
};

const NAMING: Naming = Naming {
    renamed: &[
        (".block_sparse_moe.", ".mlp."),
        (".w1.", ".gate_proj."),
        (".w2.", ".down_proj."),
        (".w3.", ".up_proj."),
    ],
    ..Naming::PLAIN
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let mut config = shared(
        fields,
        &Defaults {
            model_type: "mixtral",
            rope_theta: 1_000_000.0,
            ..DEFAULTS
        },
    )?;
    config.naming = NAMING;
    config.experts = Some(ExpertsConfig {
        num_experts: fields.needed_count("num_local_experts")?,
        num_experts_per_tok: fields.needed_count("num_experts_per_tok")?,
        intermediate_size: config.intermediate_size,
        norm_topk_prob: true,
    });
    for layer in &mut config.layers {
        layer.experts = true;
    }
    apply_one_window(fields, &mut config)?;
    Ok(config)
}
