//! GGUF's names of tensors.

use crate::weights::Names;

/// Tensors outside of the layers.
const OUTER: [(&str, &str); 3] = [
    ("token_embd.weight", Names::EMBEDDING),
    ("output_norm.weight", Names::FINAL_NORM),
    ("output.weight", Names::LM_HEAD),
];

/// Tensors of a layer, without `weight` or `bias`.
const OF_LAYER: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The name of `transformers`; one that is not known stays as it is, and nothing reads it.
pub(super) fn transformers_name(name: &str) -> String {
    let of_layer = || {
        let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
        let (stem, end) = rest.rsplit_once('.')?;
        let (_, known) = OF_LAYER.iter().find(|(gguf, _)| *gguf == stem)?;
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
