//! The tensors of a decoder, named as `transformers` names them in all families.

use crate::config::ModelConfig;

/// A tensor that a model must have.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// Its name.
    pub(crate) name: String,
    /// Its shape: `[out_features, in_features]` or `[size]`.
    pub(crate) shape: Vec<usize>,
}

/// Names of tensors.
pub(crate) struct Names;

impl Names {
    pub(crate) const EMBEDDING: &'static str = "model.embed_tokens.weight";
    pub(crate) const FINAL_NORM: &'static str = "model.norm.weight";
    pub(crate) const LM_HEAD: &'static str = "lm_head.weight";
    /// Divisors of the rotary frequencies, `[rotary_dim / 2]`, in GGUF files: Llama 3.1's scaling.
    pub(crate) const ROPE_DIVISORS: &'static str = "rope_freqs.weight";

    /// Tensor `name` of layer `layer`.
    pub(crate) fn layer(layer: usize, name: &str) -> String {
        format!("model.layers.{layer}.{name}")
    }

    /// Whether a checkpoint may have the tensor although nothing reads it: frequencies that old
    /// versions of `transformers` saved, what the configuration has already taken over, and an
    /// output projection equal to the embedding.
    pub(crate) fn is_known_surplus(name: &str, config: &ModelConfig) -> bool {
        name.ends_with(".rotary_emb.inv_freq")
            || name == Self::ROPE_DIVISORS
            || (config.tie_word_embeddings && name == Self::LM_HEAD)
    }
}

/// All tensors of a model.
pub(crate) fn expected(config: &ModelConfig) -> Vec<Expected> {
    let (hidden, vocab) = (config.hidden_size, config.vocab_size);
    let mut tensors = Vec::new();
    let mut push = |name: String, shape: &[usize]| {
        tensors.push(Expected {
            name,
            shape: shape.to_vec(),
        });
    };
    push(Names::EMBEDDING.into(), &[vocab, hidden]);
    for layer in 0..config.num_layers() {
        for (name, out_features, in_features, bias) in projections(config) {
            push(
                Names::layer(layer, &format!("{name}.weight")),
                &[out_features, in_features],
            );
            if bias {
                push(
                    Names::layer(layer, &format!("{name}.bias")),
                    &[out_features],
                );
            }
        }
        push(Names::layer(layer, "input_layernorm.weight"), &[hidden]);
        push(
            Names::layer(layer, "post_attention_layernorm.weight"),
            &[hidden],
        );
        if config.qk_norm {
            push(
                Names::layer(layer, "self_attn.q_norm.weight"),
                &[config.head_dim],
            );
            push(
                Names::layer(layer, "self_attn.k_norm.weight"),
                &[config.head_dim],
            );
        }
    }
    push(Names::FINAL_NORM.into(), &[hidden]);
    if !config.tie_word_embeddings {
        push(Names::LM_HEAD.into(), &[vocab, hidden]);
    }
    tensors
}

/// Name, output features, input features and bias of a layer's matrix products.
fn projections(config: &ModelConfig) -> [(&'static str, usize, usize, bool); 7] {
    let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
    let q_size = config.num_q_heads * config.head_dim;
    let kv_size = config.num_kv_heads * config.head_dim;
    [
        ("self_attn.q_proj", q_size, hidden, config.qkv_bias),
        ("self_attn.k_proj", kv_size, hidden, config.qkv_bias),
        ("self_attn.v_proj", kv_size, hidden, config.qkv_bias),
        ("self_attn.o_proj", hidden, q_size, config.o_bias),
        ("mlp.gate_proj", intermediate, hidden, config.mlp_bias),
        ("mlp.up_proj", intermediate, hidden, config.mlp_bias),
        ("mlp.down_proj", hidden, intermediate, config.mlp_bias),
    ]
}
