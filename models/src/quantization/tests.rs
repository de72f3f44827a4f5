//! The mixture is llama.cpp's.

use kernels::WeightFormat::{self, Checkpoint, Q4K, Q6K, Q8_0};

use super::Quantization;
use crate::ModelConfig;

fn config(hidden_size: usize, layers: usize, tied: bool) -> ModelConfig {
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": 100,
        "hidden_size": hidden_size,
        "intermediate_size": 512,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": tied,
    });
    ModelConfig::parse(config.to_string().as_bytes(), None).unwrap()
}

/// Layers whose down projection gets 6 bits.
fn more_bits(layers: usize) -> Vec<usize> {
    let config = config(256, layers, true);
    let format = |layer: usize| {
        let tensor = format!("model.layers.{layer}.mlp.down_proj.weight");
        Quantization::Q4KM.format(&tensor, 512, &config, Checkpoint)
    };
    (0..layers).filter(|&layer| format(layer) == Q6K).collect()
}

#[test]
fn the_layers_of_llama_cpp_get_more_bits() {
    // By hand from `use_more_bits`: i < n / 8, i >= 7 n / 8, or (i - n / 8) % 3 == 2.
    assert_eq!(more_bits(8), [0, 3, 6, 7]);
    assert_eq!(more_bits(4), [2, 3]);
    let of_30 = [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29];
    assert_eq!(more_bits(30), of_30);
}

#[test]
fn the_output_projection_gets_more_bits() {
    let format = |tensor: &str, tied: bool, cols: usize| {
        Quantization::Q4KM.format(tensor, cols, &config(256, 8, tied), Checkpoint)
    };
    assert_eq!(format("model.embed_tokens.weight", true, 256), Q6K);
    assert_eq!(format("model.embed_tokens.weight", false, 256), Q4K);
    assert_eq!(format("lm_head.weight", false, 256), Q6K);
    assert_eq!(
        format("model.layers.0.self_attn.v_proj.weight", true, 256),
        Q6K
    );
    assert_eq!(
        format("model.layers.0.self_attn.q_proj.weight", true, 256),
        Q4K
    );
    assert_eq!(
        format("model.layers.1.self_attn.v_proj.weight", true, 256),
        Q4K
    );
    // SmolLM2-135M's 576 columns are whole blocks of 32 only, and 40 not even that.
    assert_eq!(format("lm_head.weight", false, 576), Q8_0);
    assert_eq!(format("lm_head.weight", false, 40), Checkpoint);
}

#[test]
fn other_quantisations_treat_all_alike() {
    let config = config(64, 2, true);
    let format = |quantization: Quantization, plain: WeightFormat| {
        quantization.format("model.layers.0.mlp.up_proj.weight", 64, &config, plain)
    };
    assert_eq!(
        format(Quantization::None, WeightFormat::F32),
        WeightFormat::F32
    );
    assert_eq!(format(Quantization::Bf16, Checkpoint), WeightFormat::Bf16);
    assert_eq!(format(Quantization::Q8_0, Checkpoint), Q8_0);
    // All but the two down projections, whose 512 columns are whole blocks: 13 of 15.
    assert_eq!(Quantization::Q4KM.num_fallbacks(&config), 13);
    assert_eq!(Quantization::Q8_0.num_fallbacks(&config), 0);
}
