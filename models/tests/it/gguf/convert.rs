//! A folder as `save_pretrained` writes it, as the GGUF file that llama.cpp's conversion would make
//! of it.

use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::Value;

use super::blocks::Kind;
use super::writer::{Entry, Gguf, TensorData};

const STEMS: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
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
        _ if !matches!(arch, "llama" | "smollm3") => None,
        name if name.contains("q_proj") => config["num_attention_heads"].as_u64(),
        name if name.contains("k_proj") => config["num_key_value_heads"].as_u64(),
        _ => None,
    };
    let tied = config["tie_word_embeddings"] == true;
    for (name, tensor) in tensors.tensors() {
        if tied && name == "lm_head.weight" {
            continue;
        }
        let mut values = floats(tensor.dtype(), tensor.data());
        let shape = tensor.shape().to_vec();
        if let Some(heads) = heads(&name) {
            let cols = if shape.len() == 2 { shape[1] } else { 1 };
            values = interleave(&values, heads as usize, cols);
        }
        // Vectors stay f32.
        let kind = match shape[..] {
            [_, cols] if kind.fits(cols) => kind,
            _ => Kind::F32,
        };
        gguf.tensors.push(TensorData {
            name: gguf_name(&name),
            shape,
            type_id: kind.type_id(),
            bytes: kind.encode(&values),
        });
    }
    gguf
}

fn metadata(gguf: &mut Gguf, config: &Value) -> &'static str {
    let arch = match config["architectures"][0].as_str().unwrap() {
        "LlamaForCausalLM" | "MistralForCausalLM" => "llama",
        "Qwen2ForCausalLM" => "qwen2",
        "Qwen3ForCausalLM" => "qwen3",
        "SmolLM3ForCausalLM" => "smollm3",
        other => panic!("{other}"),
    };
    gguf.set("general.architecture", Entry::Text(arch.to_owned()));
    let count = |name: &str| config[name].as_u64().map(|n| Entry::U32(n as u32));
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
    let rope = &config["rope_parameters"];
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

fn gguf_name(name: &str) -> String {
    match name {
        "model.embed_tokens.weight" => return "token_embd.weight".to_owned(),
        "model.norm.weight" => return "output_norm.weight".to_owned(),
        "lm_head.weight" => return "output.weight".to_owned(),
        _ => {}
    }
    let rest = name.strip_prefix("model.layers.").unwrap();
    let (layer, rest) = rest.split_once('.').unwrap();
    let (stem, end) = rest.rsplit_once('.').unwrap();
    let (_, stem) = STEMS.iter().find(|(known, _)| *known == stem).unwrap();
    format!("blk.{layer}.{stem}.{end}")
}
