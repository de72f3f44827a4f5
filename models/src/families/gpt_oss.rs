//! gpt-oss (OpenAI, 2025): attention sinks, a window on every second layer, and experts with biases,
//! in bfloat16 or in MXFP4.

use kernels::Activation;

use super::{DEFAULTS, Defaults, Family, apply_windows, shared};
use crate::config::{ConfigError, ExpertsConfig, Fields, ModelConfig};
use crate::weights::Naming;

pub(super) const FAMILY: Family = Family {
    model_type: "gpt_oss",
    architecture: "GptOssForCausalLM",
    config,
};

const NAMING: Naming = Naming {
    renamed: &[(".mlp.router.", ".mlp.gate.")],
    expert_stacks: true,
    ..Naming::PLAIN
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    if let Some(quantization) = fields.object("quantization_config")?
        && quantization.text("quant_method")? != Some("mxfp4")
    {
        return Err(quantization.unsupported("quant_method", "mxfp4"));
    }
    let mut config = shared(
        fields,
        &Defaults {
            model_type: "gpt_oss",
            rope_theta: 150_000.0,
            ..DEFAULTS
        },
    )?;
    config.naming = NAMING;
    let attention_bias = fields.flag("attention_bias")?.unwrap_or(true);
    config.qkv_bias = attention_bias;
    config.o_bias = attention_bias;
    config.mlp_bias = true;
    config.attention_sinks = true;
    let number = |name, default| Ok(fields.number(name)?.unwrap_or(default) as f32);
    let (alpha, limit) = (number("swiglu_alpha", 1.702)?, number("swiglu_limit", 7.0)?);
    if !limit.is_finite() || limit <= 0.0 {
        return Err(fields.unsupported("swiglu_limit", "a positive number"));
    }
    config.activation = Activation::ClampedSwiglu { alpha, limit };
    config.experts = Some(ExpertsConfig {
        num_experts: fields.needed_count("num_local_experts")?,
        num_experts_per_tok: fields.needed_count("num_experts_per_tok")?,
        intermediate_size: config.intermediate_size,
        norm_topk_prob: true,
    });
    for layer in &mut config.layers {
        layer.experts = true;
    }
    apply_windows(fields, &mut config.layers, |layer| layer % 2 == 0)?;
    Ok(config)
}
