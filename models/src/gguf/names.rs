//! GGUF's names of tensors.

use super::architecture::Architecture;
use crate::weights::Names;

/// Tensors outside of the layers.
const OUTER: [(&str, &str); 3] = [
    ("token_embd.weight", Names::EMBEDDING),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", Names::LM_HEAD),
];

/// Tensors of a layer, without `weight` or `bias`.
const OF_LAYER: [(&str, &str); 15] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_qkv", "self_attn.qkv_proj"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate_inp", Names::ROUTER),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// What some architectures mean by names that others use otherwise.
const OTHERWISE: [(Architecture, &str, &str); 3] = [
    (
        Architecture::Gemma2,
        "ffn_norm",
        "pre_feedforward_layernorm",
    ),
    (
        Architecture::Gemma3,
        "ffn_norm",
        "pre_feedforward_layernorm",
    ),
    (Architecture::Phi3, "ffn_up", "mlp.gate_up_proj"),
];

/// Tensors of all experts of a layer, one after the other, without `weight`.
const OF_EXPERTS: [(&str, &str); 3] = [
    ("ffn_gate_exps", "gate_proj"),
    ("ffn_up_exps", "up_proj"),
    ("ffn_down_exps", "down_proj"),
];

/// The layer and the projection of a tensor that has those of all experts.
pub(super) fn of_experts(name: &str) -> Option<(usize, &'static str)> {
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let stem = rest.strip_suffix(".weight")?;
    let (_, projection) = OF_EXPERTS.iter().find(|(gguf, _)| *gguf == stem)?;
    Some((layer.parse().ok()?, projection))
}

/// The name of `transformers`; one that is not known stays as it is, and nothing reads it.
pub(super) fn transformers_name(name: &str, architecture: Architecture) -> String {
    let of_layer = || {
        let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
        let (stem, end) = rest.rsplit_once('.')?;
        let otherwise = OTHERWISE
            .iter()
            .find(|(whose, gguf, _)| *whose == architecture && *gguf == stem);
        let known = match otherwise {
            Some((_, _, known)) => known,
            None => OF_LAYER.iter().find(|(gguf, _)| *gguf == stem)?.1,
        };
        let layer = layer.parse().ok()?;
        matches!(end, "weight" | "bias").then(|| Names::layer(layer, &format!("{known}.{end}")))
    };
    let outer = OUTER.iter().find(|(gguf, _)| *gguf == name);
    match outer {
        Some((_, known)) => (*known).to_owned(),
        None => of_layer().unwrap_or_else(|| name.to_owned()),
    }
}

/// Whether the tensor's rows belong to query or key heads.
pub(super) fn has_head_rows(name: &str) -> bool {
    let projection = ["attn_q", "attn_k"].map(|stem| format!(".{stem}."));
    name.starts_with("blk.") && projection.iter().any(|stem| name.contains(stem.as_str()))
}
