//! What an architecture's metadata say beyond those that all have.

use serde_json::{Value, json};

use super::GgufError;
use super::architecture::Architecture;
use super::metadata::Metadata;
use crate::config::RopeScaling;

/// Fields of `config.json` beside `shared`, which all architectures have: the class of
/// `transformers`, its `model_type`, windows, and what else the family has.
///
/// # Errors
/// Each names the key.
pub(super) fn fields(
    metadata: &Metadata<'_>,
    key: &dyn Fn(&str) -> String,
    architecture: Architecture,
    shared: &Value,
) -> Result<Value, GgufError> {
    let window_key = key("attention.sliding_window");
    let window = metadata.count(&window_key)?.filter(|&window| window > 0);
    let has_experts = metadata.count(&key("expert_count"))?.unwrap_or(0) > 0;
    let mut fields = match architecture {
        Architecture::Gemma2 => gemma2(metadata, key, shared)?,
        Architecture::Gemma3 => gemma3(metadata, key, shared, window)?,
        Architecture::Granite => granite(metadata, key)?,
        Architecture::Llama if has_experts => experts(metadata, key, "Mixtral", "mixtral")?,
        Architecture::Llama if window.is_some() => class("Mistral", "mistral"),
        Architecture::Llama => class("Llama", "llama"),
        Architecture::Olmo2 => class("Olmo2", "olmo2"),
        Architecture::Phi3 => class("Phi3", "phi3"),
        Architecture::Qwen2 => class("Qwen2", "qwen2"),
        Architecture::Qwen3 => class("Qwen3", "qwen3"),
        Architecture::Qwen3Moe => experts(metadata, key, "Qwen3Moe", "qwen3_moe")?,
        Architecture::SmolLm3 => class("SmolLM3", "smollm3"),
    };
    let has_windows = matches!(
        architecture,
        Architecture::Gemma2 | Architecture::Gemma3 | Architecture::Llama | Architecture::Phi3
    );
    if window.is_some() && !has_windows {
        return Err(metadata.unsupported(&window_key, "none"));
    }
    // Where Gemma 2 says nothing, llama.cpp takes the window of all of its models.
    let default = (architecture == Architecture::Gemma2).then_some(4096);
    fields["sliding_window"] = json!(window.or(default));
    Ok(fields)
}

/// LongRoPE with these divisors.
///
/// # Errors
/// Each names the key.
pub(super) fn long_rope(
    metadata: &Metadata<'_>,
    architecture: Architecture,
    short_factor: Vec<f32>,
    long_factor: Vec<f32>,
) -> Result<RopeScaling, GgufError> {
    let key = |name: &str| format!("{}.rope.scaling.{name}", architecture.name());
    let original = key("original_context_length");
    let original = metadata
        .count(&original)?
        .ok_or_else(|| metadata.missing(&original))?;
    Ok(RopeScaling::LongRope {
        short_factor,
        long_factor,
        original_max_position_embeddings: original,
        attention_factor: metadata.number(&key("attn_factor"))?.unwrap_or(1.0),
    })
}

/// Keys that other models of the architecture have, and that change what is computed.
///
/// # Errors
/// Names the key.
pub(super) fn refuse_what_changes_the_model(
    metadata: &Metadata<'_>,
    architecture: Architecture,
) -> Result<(), GgufError> {
    let understood: &[&str] = match architecture {
        Architecture::Gemma2 => &["attn_logit_softcapping", "final_logit_softcapping"],
        Architecture::Gemma3 => &["final_logit_softcapping"],
        Architecture::Granite => &[
            "attention.scale",
            "logit_scale",
            "residual_scale",
            "embedding_scale",
        ],
        Architecture::Llama | Architecture::Qwen3Moe => &["expert_count", "expert_used_count"],
        Architecture::Olmo2
        | Architecture::Phi3
        | Architecture::Qwen2
        | Architecture::Qwen3
        | Architecture::SmolLm3 => &[],
    };
    let none = |value: super::value::Value<'_>| value.number() == Some(0.0);
    for name in [
        "expert_count",
        "expert_used_count",
        "expert_shared_count",
        "nextn_predict_layers",
        "attention.max_alibi_bias",
        "attention.clamp_kqv",
        "attention.scale",
        "attn_logit_softcapping",
        "final_logit_softcapping",
        "logit_scale",
        "residual_scale",
        "embedding_scale",
    ] {
        if !understood.contains(&name) {
            metadata.refuse_unless(&format!("{}.{name}", architecture.name()), "none", none)?;
        }
    }
    metadata.refuse_unless(
        &format!("{}.attention.causal", architecture.name()),
        "true",
        |value| value.flag() == Some(true),
    )?;
    metadata.refuse_unless("general.type", "model", |value| {
        value.text() == Some("model")
    })
}

fn class(name: &str, model_type: &str) -> Value {
    json!({"architectures": [format!("{name}ForCausalLM")], "model_type": model_type})
}

/// Experts in all layers, whose shares add up to 1: llama.cpp knows nothing else of these models.
fn experts(
    metadata: &Metadata<'_>,
    key: &dyn Fn(&str) -> String,
    name: &str,
    model_type: &str,
) -> Result<Value, GgufError> {
    // 1 is a softmax, in the enumeration of gguf-py.
    metadata.refuse_unless(&key("expert_gating_func"), "1, a softmax", |value| {
        value.number() == Some(1.0)
    })?;
    metadata.refuse_unless(&key("expert_weights_scale"), "none", |value| {
        matches!(value.number(), Some(0.0 | 1.0))
    })?;
    metadata.refuse_unless(&key("expert_weights_norm"), "true", |value| {
        value.flag() == Some(true)
    })?;
    let count = metadata.needed_count(&key("expert_count"))?;
    let mut fields = class(name, model_type);
    fields["num_local_experts"] = count.into();
    fields["num_experts_per_tok"] = metadata.needed_count(&key("expert_used_count"))?.into();
    fields["norm_topk_prob"] = true.into();
    if model_type == "qwen3_moe" {
        let size = metadata.needed_count(&key("expert_feed_forward_length"))?;
        fields["moe_intermediate_size"] = size.into();
    }
    Ok(fields)
}

fn granite(metadata: &Metadata<'_>, key: &dyn Fn(&str) -> String) -> Result<Value, GgufError> {
    let mut fields = class("Granite", "granite");
    for (field, name) in [
        ("embedding_multiplier", "embedding_scale"),
        ("residual_multiplier", "residual_scale"),
        ("attention_multiplier", "attention.scale"),
        ("logits_scaling", "logit_scale"),
    ] {
        fields[field] = metadata.needed_number(&key(name))?.into();
    }
    Ok(fields)
}

fn gemma2(
    metadata: &Metadata<'_>,
    key: &dyn Fn(&str) -> String,
    shared: &Value,
) -> Result<Value, GgufError> {
    const LAYERS_OF_27B: u64 = 46;
    let mut fields = class("Gemma2", "gemma2");
    fields["query_pre_attn_scalar"] = query_scalar(shared, LAYERS_OF_27B);
    for name in ["attn_logit_softcapping", "final_logit_softcapping"] {
        if let Some(cap) = metadata.number(&key(name))? {
            fields[name] = cap.into();
        }
    }
    Ok(fields)
}

fn gemma3(
    metadata: &Metadata<'_>,
    key: &dyn Fn(&str) -> String,
    shared: &Value,
    window: Option<usize>,
) -> Result<Value, GgufError> {
    const LAYERS_OF_27B: u64 = 62;
    let mut fields = class("Gemma3", "gemma3_text");
    fields["query_pre_attn_scalar"] = query_scalar(shared, LAYERS_OF_27B);
    fields["rope_local_base_freq"] = metadata
        .number(&key("rope.freq_base_swa"))?
        .unwrap_or(10_000.0)
        .into();
    let pattern = metadata.count(&key("attention.sliding_window_pattern"))?;
    fields["sliding_window_pattern"] = pattern.unwrap_or(6).into();
    if window.is_none() {
        let layers = shared["num_hidden_layers"].as_u64().unwrap_or(0);
        let types: Vec<&str> = (0..layers).map(|_| "full_attention").collect();
        fields["layer_types"] = json!(types);
    }
    if let Some(cap) = metadata.number(&key("final_logit_softcapping"))? {
        fields["final_logit_softcapping"] = cap.into();
    }
    Ok(fields)
}

/// The square of what queries are divided by, which no key says: the size of a head, but in the
/// models of 27 billion weights, told by their layers, `hidden_size / num_attention_heads`.
fn query_scalar(shared: &Value, layers_of_27b: u64) -> Value {
    let count = |name: &str| shared[name].as_u64().unwrap_or(0);
    match count("num_hidden_layers") == layers_of_27b {
        true => (count("hidden_size") / count("num_attention_heads").max(1)).into(),
        false => count("head_dim").into(),
    }
}
