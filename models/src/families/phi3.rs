//! Phi-3, Phi-3.5 and Phi-4, the small ones among them: projections that are fused in the file, a
//! part of the head rotated, and LongRoPE.

use super::{DEFAULTS, Defaults, Family, apply_one_window, shared};
use crate::config::{ConfigError, Fields, ModelConfig};
use crate::weights::{Fused, Naming};

pub(super) const FAMILY: Family = Family {
    model_type: "phi3",
    architecture: "Phi3ForCausalLM",
    config,
};

const NAMING: Naming = Naming {
    fused: &[
        Fused {
            name: "self_attn.qkv_proj",
            parts: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        },
        Fused {
            name: "mlp.gate_up_proj",
            parts: &["mlp.gate_proj", "mlp.up_proj"],
        },
    ],
    ..Naming::PLAIN
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let mut config = shared(
        fields,
        &Defaults {
            model_type: "phi3",
            ..DEFAULTS
        },
    )?;
    config.naming = NAMING;
    apply_one_window(fields, &mut config)?;
    Ok(config)
}
