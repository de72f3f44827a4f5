//! Metadata as the `config.json` that `transformers` would write for the model, so that the
//! families and their checks see one form.

use serde_json::{Map, Value, json};

use super::architecture::Architecture;
use super::header::TensorInfo;
use super::metadata::Metadata;
use super::{GgufError, family};
use crate::weights::Names;

/// What the tensors tell about the model.
pub(super) struct TensorFacts {
    /// Rows of the embedding.
    pub(super) vocab_size: Option<usize>,
    /// There is an output projection of its own.
    pub(super) has_output: bool,
    /// Layer 0 has a bias in its attention, or in its feed-forward network.
    pub(super) attention_bias: bool,
    pub(super) mlp_bias: bool,
    /// There are divisors of the rotary frequencies.
    pub(super) has_rope_divisors: bool,
    /// There are those of LongRoPE.
    pub(super) has_long_rope_divisors: bool,
    /// Their number.
    pub(super) count: usize,
}

impl TensorFacts {
    /// The facts of `tensors`.
    pub(super) fn of<'a>(tensors: impl Iterator<Item = &'a TensorInfo<'a>>) -> Self {
        let mut facts = Self {
            vocab_size: None,
            has_output: false,
            attention_bias: false,
            mlp_bias: false,
            has_rope_divisors: false,
            has_long_rope_divisors: false,
            count: 0,
        };
        for tensor in tensors {
            facts.count += 1;
            match tensor.name {
                "token_embd.weight" => facts.vocab_size = tensor.shape.first().copied(),
                "output.weight" => facts.has_output = true,
                Names::ROPE_DIVISORS => facts.has_rope_divisors = true,
                name if Names::LONG_ROPE_DIVISORS.contains(&name) => {
                    facts.has_long_rope_divisors = true;
                }
                name if !name.starts_with("blk.0.") || !name.ends_with(".bias") => {}
                name if name.contains(".attn_") => facts.attention_bias = true,
                _ => facts.mlp_bias = true,
            }
        }
        facts
    }
}

/// Tokens that end an answer wherever they exist, besides those that the metadata name: the ones
/// that llama.cpp looks for, of the families here.
const END_TOKENS: [&str; 10] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|end|>",
    "<end_of_turn>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
];

/// `config.json`.
///
/// # Errors
/// Each names the key.
pub(super) fn config(
    metadata: &Metadata<'_>,
    architecture: Architecture,
    tensors: &TensorFacts,
) -> Result<Map<String, Value>, GgufError> {
    family::refuse_what_changes_the_model(metadata, architecture)?;
    let key = |name: &str| format!("{}.{name}", architecture.name());
    let hidden_size = metadata.needed_count(&key("embedding_length"))?;
    let num_heads = needed_count_of_layers(metadata, &key("attention.head_count"))?;
    let num_kv_heads = metadata.count_of_layers(&key("attention.head_count_kv"))?;
    let head_dim = head_dim(metadata, &key, hidden_size, num_heads)?;
    let rotated = metadata
        .count(&key("rope.dimension_count"))?
        .unwrap_or(head_dim);
    if rotated > head_dim || (rotated != head_dim && architecture.has_interleaved_rows()) {
        let supported = format!("{head_dim}, the size of a head");
        return Err(metadata.unsupported(&key("rope.dimension_count"), supported));
    }
    let mut config = json!({
        "vocab_size": vocab_size(metadata, &key, tensors)?,
        "hidden_size": hidden_size,
        "intermediate_size": needed_count_of_layers(metadata, &key("feed_forward_length"))?,
        "num_hidden_layers": num_layers(metadata, &key("block_count"), tensors)?,
        "num_attention_heads": num_heads,
        "num_key_value_heads": num_kv_heads.unwrap_or(num_heads),
        "head_dim": head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": metadata.needed_count(&key("context_length"))?,
        "rms_norm_eps": metadata.needed_number(&key("attention.layer_norm_rms_epsilon"))?,
        "rope_theta": metadata.number(&key("rope.freq_base"))?.unwrap_or(10_000.0),
        "partial_rotary_factor": rotated as f64 / head_dim.max(1) as f64,
        "rope_scaling": rope_scaling(metadata, &key, tensors)?,
        "tie_word_embeddings": !tensors.has_output,
        "attention_bias": tensors.attention_bias,
        "mlp_bias": tensors.mlp_bias,
        "eos_token_id": end_tokens(metadata)?,
    });
    let specific = family::fields(metadata, &key, architecture, &config)?;
    match (&mut config, specific) {
        (Value::Object(config), Value::Object(specific)) => {
            config.extend(specific);
            Ok(std::mem::take(config))
        }
        _ => unreachable!("they were written as objects"),
    }
}

/// `generation_config.json`: the sampling that the file recommends.
///
/// # Errors
/// Each names the key.
pub(super) fn generation_config(metadata: &Metadata<'_>) -> Result<Map<String, Value>, GgufError> {
    let mut config = Map::new();
    for (name, key) in [
        ("temperature", "general.sampling.temp"),
        ("top_k", "general.sampling.top_k"),
        ("top_p", "general.sampling.top_p"),
        ("min_p", "general.sampling.min_p"),
        ("repetition_penalty", "general.sampling.penalty_repeat"),
    ] {
        if let Some(value) = metadata.number(key)? {
            config.insert(name.to_owned(), json!(value));
        }
    }
    Ok(config)
}

fn needed_count_of_layers(metadata: &Metadata<'_>, key: &str) -> Result<usize, GgufError> {
    let count = metadata.count_of_layers(key)?;
    count.ok_or_else(|| metadata.missing(key))
}

/// A count that the tensors bear out: a model allocates something for each layer.
fn num_layers(
    metadata: &Metadata<'_>,
    key: &str,
    tensors: &TensorFacts,
) -> Result<usize, GgufError> {
    let layers = metadata.needed_count(key)?;
    if layers > tensors.count {
        let reason = format!("{layers} layers of {} tensors", tensors.count);
        return Err(metadata.contradiction(key, reason));
    }
    Ok(layers)
}

fn head_dim(
    metadata: &Metadata<'_>,
    key: &dyn Fn(&str) -> String,
    hidden_size: usize,
    num_heads: usize,
) -> Result<usize, GgufError> {
    let key_length = key("attention.key_length");
    let head_dim = match metadata.count(&key_length)? {
        Some(head_dim) => head_dim,
        None if num_heads > 0 && hidden_size.is_multiple_of(num_heads) => hidden_size / num_heads,
        None => return Err(metadata.missing(&key_length)),
    };
    let value_length = key("attention.value_length");
    match metadata.count(&value_length)? {
        Some(length) if length != head_dim => {
            let supported = format!("{head_dim}, the length of a key");
            Err(metadata.unsupported(&value_length, supported))
        }
        _ => Ok(head_dim),
    }
}

/// The embedding's rows; a tokenizer with more tokens would name some that cannot be computed.
fn vocab_size(
    metadata: &Metadata<'_>,
    key: &dyn Fn(&str) -> String,
    tensors: &TensorFacts,
) -> Result<usize, GgufError> {
    const TOKENS: &str = "tokenizer.ggml.tokens";
    let named = metadata.count(&key("vocab_size"))?;
    let tokens = metadata.texts(TOKENS)?.map(|tokens| tokens.len());
    let Some(rows) = tensors.vocab_size.or(named).or(tokens) else {
        return Err(metadata.missing(&key("vocab_size")));
    };
    match tokens {
        Some(tokens) if tokens > rows => {
            let reason = format!("{tokens} tokens, but the embedding has {rows} rows");
            Err(metadata.contradiction(TOKENS, reason))
        }
        _ => Ok(rows),
    }
}

fn rope_scaling(
    metadata: &Metadata<'_>,
    key: &dyn Fn(&str) -> String,
    tensors: &TensorFacts,
) -> Result<Value, GgufError> {
    let type_key = key("rope.scaling.type");
    let factor_key = key("rope.scaling.factor");
    let factor = metadata.number(&factor_key)?;
    let old_factor = metadata.number(&key("rope.scale_linear"))?;
    let original = metadata.count(&key("rope.scaling.original_context_length"))?;
    let neutral = |value: super::value::Value<'_>| value.number() == Some(1.0);
    // Of LongRoPE `attn_factor` is a parameter, which is read with its divisors.
    let long = tensors.has_long_rope_divisors;
    let neutral_factors = ["yarn_attn_factor", "yarn_ext_factor", "attn_factor"];
    for name in &neutral_factors[..if long { 2 } else { 3 }] {
        metadata.refuse_unless(&key(&format!("rope.scaling.{name}")), "1", neutral)?;
    }
    metadata.refuse_unless(&key("rope.scaling.yarn_log_multiplier"), "0", |value| {
        value.number() == Some(0.0)
    })?;
    // Says that the model was trained with the scaling; nothing depends on it.
    metadata.flag(&key("rope.scaling.finetuned"))?;
    let kind = metadata.text(&type_key)?;
    if long && matches!(kind, None | Some("longrope")) {
        return Ok(Value::Null);
    }
    let scaling = match (kind, factor.or(old_factor)) {
        (None | Some("none"), None) => return Ok(Value::Null),
        (Some("none"), Some(_)) => return Ok(Value::Null),
        (None | Some("linear"), Some(factor)) => json!({"rope_type": "linear", "factor": factor}),
        (Some("linear" | "yarn"), None) => return Err(metadata.missing(&factor_key)),
        (Some("yarn"), Some(factor)) => {
            let original = original
                .ok_or_else(|| metadata.missing(&key("rope.scaling.original_context_length")))?;
            json!({
                "rope_type": "yarn",
                "factor": factor,
                "original_max_position_embeddings": original,
                "beta_fast": metadata.number(&key("rope.scaling.yarn_beta_fast"))?,
                "beta_slow": metadata.number(&key("rope.scaling.yarn_beta_slow"))?,
            })
        }
        (Some(_), _) => return Err(metadata.unsupported(&type_key, "none, linear, yarn")),
    };
    if tensors.has_rope_divisors || long {
        let reason = "the file scales by divisors of its own already";
        return Err(metadata.contradiction(&type_key, reason));
    }
    Ok(scaling)
}

/// Tokens that end an answer, ascending.
fn end_tokens(metadata: &Metadata<'_>) -> Result<Vec<u32>, GgufError> {
    let mut ends = Vec::new();
    for name in ["eos", "eot", "eom"] {
        ends.extend(metadata.token_id(&format!("tokenizer.ggml.{name}_token_id"))?);
    }
    let tokens = metadata.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
    let named = (0..).zip(&tokens);
    ends.extend(
        named
            .filter(|(_, token)| END_TOKENS.contains(token))
            .map(|(id, _)| id),
    );
    ends.sort_unstable();
    ends.dedup();
    Ok(ends)
}
