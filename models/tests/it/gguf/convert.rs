//! A folder as `save_pretrained` writes it, as the GGUF file that llama.cpp's conversion would make
//! of it.

use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::Value;

use super::blocks::Kind;
use super::writer::{Entry, Gguf, TensorData};

const STEMS: [(&str, &str); 16] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.gate", "ffn_gate_inp"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// The folder's model with matrices of `kind`; those whose rows are no whole blocks stay f32.
pub(crate) fn convert(folder: &Path, kind: Kind) -> Gguf {
    let config: Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut gguf = Gguf::default();
    let arch = metadata(&mut gguf, &config);
    let heads = |name: &str| match name {
        _ if !matches!(arch, "llama" | "smollm3" | "granite") => None,
        name if name.contains("q_proj") => config["num_attention_heads"].as_u64(),
        name if name.contains("k_proj") => config["num_key_value_heads"].as_u64(),
        _ => None,
    };
    let tied = config["tie_word_embeddings"] == true;
    let mut all = tensors.tensors();
    // Experts become parts of one tensor in their order.
    all.sort_by_key(|(name, _)| expert_of(name).map_or(0, |(_, expert)| expert));
    for (name, tensor) in all {
        if tied && name == "lm_head.weight" {
            continue;
        }
        let mut values = floats(tensor.dtype(), tensor.data());
        let shape = tensor.shape().to_vec();
        if let Some(heads) = heads(&name) {
            let cols = if shape.len() == 2 { shape[1] } else { 1 };
            values = interleave(&values, heads as usize, cols);
        }
        if arch.starts_with("gemma") && name.ends_with("norm.weight") {
            values.iter_mut().for_each(|weight| *weight += 1.0);
        }
        if let Some((stacked, expert)) = expert_of(&name) {
            let found = gguf.tensors.iter_mut().find(|t| t.name == stacked);
            if let Some(found) = found {
                assert_eq!(found.shape[0], expert);
                found.shape[0] += 1;
                found.bytes.extend(Kind::F32.encode(&values));
                continue;
            }
            gguf.tensors.push(TensorData {
                name: stacked,
                shape: vec![1, shape[0], shape[1]],
                type_id: Kind::F32.type_id(),
                bytes: Kind::F32.encode(&values),
            });
            continue;
        }
        // Vectors stay f32.
        let kind = match shape[..] {
            [_, cols] if kind.fits(cols) => kind,
            _ => Kind::F32,
        };
        gguf.tensors.push(TensorData {
            name: gguf_name(&name, arch),
            shape,
            type_id: kind.type_id(),
            bytes: kind.encode(&values),
        });
    }
    gguf
}

fn metadata(gguf: &mut Gguf, config: &Value) -> &'static str {
    let arch = match config["architectures"][0].as_str().unwrap() {
        "LlamaForCausalLM" | "MistralForCausalLM" | "MixtralForCausalLM" => "llama",
        "Gemma2ForCausalLM" => "gemma2",
        "Gemma3ForCausalLM" => "gemma3",
        "GraniteForCausalLM" => "granite",
        "Olmo2ForCausalLM" => "olmo2",
        "Phi3ForCausalLM" => "phi3",
        "Qwen3MoeForCausalLM" => "qwen3moe",
        "Qwen2ForCausalLM" => "qwen2",
        "Qwen3ForCausalLM" => "qwen3",
        "SmolLM3ForCausalLM" => "smollm3",
        other => panic!("{other}"),
    };
    gguf.set("general.architecture", Entry::Text(arch.to_owned()));
    let count = |name: &str| config[name].as_u64().map(|n| Entry::U32(n as u32));
    let number = |name: &str| config[name].as_f64().map(|x| Entry::F32(x as f32));
    for (key, entry) in [
        ("context_length", count("max_position_embeddings")),
        ("embedding_length", count("hidden_size")),
        ("block_count", count("num_hidden_layers")),
        ("feed_forward_length", count("intermediate_size")),
        ("attention.head_count", count("num_attention_heads")),
        ("attention.head_count_kv", count("num_key_value_heads")),
        ("attention.key_length", count("head_dim")),
        ("attention.value_length", count("head_dim")),
        ("attention.sliding_window", count("sliding_window")),
        (
            "attention.sliding_window_pattern",
            count("sliding_window_pattern"),
        ),
        ("expert_count", count("num_local_experts")),
        ("expert_used_count", count("num_experts_per_tok")),
        ("expert_feed_forward_length", count("moe_intermediate_size")),
        ("embedding_scale", number("embedding_multiplier")),
        ("residual_scale", number("residual_multiplier")),
        ("attention.scale", number("attention_multiplier")),
        ("logit_scale", number("logits_scaling")),
        ("attn_logit_softcapping", number("attn_logit_softcapping")),
        ("final_logit_softcapping", number("final_logit_softcapping")),
    ] {
        if let Some(entry) = entry {
            gguf.set(&format!("{arch}.{key}"), entry);
        }
    }
    let eps = config["rms_norm_eps"].as_f64().unwrap();
    let eps_key = format!("{arch}.attention.layer_norm_rms_epsilon");
    gguf.set(&eps_key, Entry::F32(eps as f32));
    let eos = config["eos_token_id"].as_u64().unwrap_or(2);
    gguf.set("tokenizer.ggml.eos_token_id", Entry::U32(eos as u32));
    rope(gguf, arch, config);
    arch
}

fn rope(gguf: &mut Gguf, arch: &str, config: &Value) {
    let mut rope = &config["rope_parameters"];
    if let Some(sliding) = rope["sliding_attention"]["rope_theta"].as_f64() {
        let key = format!("{arch}.rope.freq_base_swa");
        gguf.set(&key, Entry::F32(sliding as f32));
        rope = &rope["full_attention"];
    }
    let number = |name: &str| rope[name].as_f64();
    let base = number("rope_theta").or(config["rope_theta"].as_f64());
    let key = |name: &str| format!("{arch}.rope.{name}");
    gguf.set(&key("freq_base"), Entry::F32(base.unwrap() as f32));
    let kind = rope["rope_type"].as_str().unwrap_or("default");
    match kind {
        "default" => {}
        "linear" | "yarn" => {
            gguf.set(&key("scaling.type"), Entry::Text(kind.to_owned()));
            let factor = number("factor").unwrap() as f32;
            gguf.set(&key("scaling.factor"), Entry::F32(factor));
            if let Some(original) = number("original_max_position_embeddings") {
                let original = Entry::U32(original as u32);
                gguf.set(&key("scaling.original_context_length"), original);
            }
        }
        "longrope" => longrope(gguf, arch, config),
        "llama3" => {
            let divisors = llama3_divisors(config, &number);
            gguf.tensors.push(TensorData {
                name: "rope_freqs.weight".to_owned(),
                shape: vec![divisors.len()],
                type_id: 0,
                bytes: divisors.iter().flat_map(|d| d.to_le_bytes()).collect(),
            });
        }
        other => panic!("{other}"),
    }
}

/// As `Phi3MiniModel` of the conversion writes it.
fn longrope(gguf: &mut Gguf, arch: &str, config: &Value) {
    let rope = &config["rope_parameters"];
    let key = |name: &str| format!("{arch}.rope.{name}");
    let kind = Entry::Text("longrope".to_owned());
    gguf.set(&key("scaling.type"), kind);
    let original = rope["original_max_position_embeddings"].as_f64().unwrap();
    let original_key = key("scaling.original_context_length");
    gguf.set(&original_key, Entry::U32(original as u32));
    let scale = config["max_position_embeddings"].as_f64().unwrap() / original;
    let factor = (1.0 + scale.ln() / original.ln()).sqrt();
    gguf.set(&key("scaling.attn_factor"), Entry::F32(factor as f32));
    for (name, list) in [("long", "long_factor"), ("short", "short_factor")] {
        let divisors = rope[list].as_array().unwrap().iter();
        let divisors: Vec<f32> = divisors.map(|x| x.as_f64().unwrap() as f32).collect();
        if name == "long" {
            let heads = config["num_attention_heads"].as_u64().unwrap();
            let head_dim = config["hidden_size"].as_u64().unwrap() / heads;
            assert!(2 * divisors.len() as u64 <= head_dim);
            gguf.set(
                &key("dimension_count"),
                Entry::U32(2 * divisors.len() as u32),
            );
        }
        gguf.tensors.push(TensorData {
            name: format!("rope_factors_{name}.weight"),
            shape: vec![divisors.len()],
            type_id: 0,
            bytes: divisors.iter().flat_map(|d| d.to_le_bytes()).collect(),
        });
    }
}

/// As `convert_hf_to_gguf.py` computes them.
fn llama3_divisors(config: &Value, number: &dyn Fn(&str) -> Option<f64>) -> Vec<f32> {
    let head_dim = config["head_dim"].as_u64().unwrap() as usize;
    let parameter = |name: &str| number(name).unwrap();
    let original = parameter("original_max_position_embeddings");
    let (low, high) = (parameter("low_freq_factor"), parameter("high_freq_factor"));
    let factor = parameter("factor");
    let divisor = |pair: usize| {
        let frequency = parameter("rope_theta").powf(-2.0 * pair as f64 / head_dim as f64);
        let wavelength = std::f64::consts::TAU / frequency;
        if wavelength < original / high {
            1.0
        } else if wavelength > original / low {
            factor as f32
        } else {
            let smooth = (original / wavelength - low) / (high - low);
            (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
        }
    };
    (0..head_dim / 2).map(divisor).collect()
}

fn floats(dtype: Dtype, data: &[u8]) -> Vec<f32> {
    let pairs = || data.chunks_exact(2).map(|b| [b[0], b[1]]);
    match dtype {
        Dtype::F32 => {
            let elements = data.chunks_exact(4);
            elements
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect()
        }
        Dtype::F16 => pairs()
            .map(|b| half::f16::from_le_bytes(b).to_f32())
            .collect(),
        Dtype::BF16 => pairs()
            .map(|b| half::bf16::from_le_bytes(b).to_f32())
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// `LlamaModel.permute`: `[heads, 2, half, cols]` to `[heads, half, 2, cols]`.
fn interleave(values: &[f32], heads: usize, cols: usize) -> Vec<f32> {
    let rows = values.len() / cols / heads;
    let half = rows / 2;
    let mut out = Vec::with_capacity(values.len());
    for head in 0..heads {
        for pair in 0..half {
            for side in 0..2 {
                let row = head * rows + side * half + pair;
                out.extend(&values[row * cols..][..cols]);
            }
        }
    }
    out
}

/// The tensor of all experts that one's is part of, and which expert it is.
fn expert_of(name: &str) -> Option<(String, usize)> {
    let (layer, rest) = name.split_once(".experts.")?;
    let layer = layer.strip_prefix("model.layers.")?.split('.').next()?;
    let (expert, rest) = rest.split_once('.')?;
    let stem = match rest {
        "gate_proj.weight" | "w1.weight" => "ffn_gate_exps",
        "down_proj.weight" | "w2.weight" => "ffn_down_exps",
        "up_proj.weight" | "w3.weight" => "ffn_up_exps",
        other => panic!("{other}"),
    };
    Some((
        format!("blk.{layer}.{stem}.weight"),
        expert.parse().unwrap(),
    ))
}

fn gguf_name(name: &str, arch: &str) -> String {
    match name {
        "model.embed_tokens.weight" => return "token_embd.weight".to_owned(),
        "model.norm.weight" => return "output_norm.weight".to_owned(),
        "lm_head.weight" => return "output.weight".to_owned(),
        _ => {}
    }
    let rest = name.strip_prefix("model.layers.").unwrap();
    let (layer, rest) = rest.split_once('.').unwrap();
    let (stem, end) = rest.rsplit_once('.').unwrap();
    if stem == "post_attention_layernorm" && matches!(arch, "gemma2" | "gemma3" | "olmo2") {
        return format!("blk.{layer}.post_attention_norm.{end}");
    }
    let stem = stem
        .strip_prefix("block_sparse_moe.")
        .map_or(stem.to_owned(), |rest| format!("mlp.{rest}"));
    let (_, stem) = STEMS.iter().find(|(known, _)| *known == stem).unwrap();
    format!("blk.{layer}.{stem}.{end}")
}
