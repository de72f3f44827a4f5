//! The tensors of a decoder, named as `transformers` names them in all families.

use crate::config::{ModelConfig, NormKind, QkNorm};

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
    /// What the names of all tensors but the output projection begin with, unless the model was saved
    /// without one.
    pub(crate) const BODY: &'static str = "model.";
    pub(crate) const EMBEDDING: &'static str = "model.embed_tokens.weight";
    /// The same in the checkpoint of a model that was saved without an output projection, as embedders
    /// are.
    pub(crate) const BARE_EMBEDDING: &'static str = "embed_tokens.weight";
    pub(crate) const FINAL_NORM: &'static str = "model.norm";
    pub(crate) const LM_HEAD: &'static str = "lm_head.weight";
    /// What the names of all tensors of layers begin with.
    pub(crate) const LAYERS: &'static str = "model.layers.";
    /// Divisors of the rotary frequencies, `[rotary_dim / 2]`, in GGUF files: Llama 3.1's scaling.
    pub(crate) const ROPE_DIVISORS: &'static str = "rope_freqs.weight";

    /// The divisors of LongRoPE, likewise: the short ones and the long ones.
    pub(crate) const LONG_ROPE_DIVISORS: [&'static str; 2] =
        ["rope_factors_short.weight", "rope_factors_long.weight"];
    /// The projection that says which experts a token passes through.
    pub(crate) const ROUTER: &'static str = "mlp.gate";

    /// Projection `name` of expert `expert`.
    pub(crate) fn expert(expert: usize, name: &str) -> String {
        format!("mlp.experts.{expert}.{name}")
    }

    /// Whether the tensor is one of an expert.
    pub(crate) fn is_of_expert(name: &str) -> bool {
        name.contains(".mlp.experts.")
    }

    /// Tensor `name` of layer `layer`.
    pub(crate) fn layer(layer: usize, name: &str) -> String {
        format!("{}{layer}.{name}", Self::LAYERS)
    }

    /// Whether a checkpoint may have the tensor although nothing reads it: frequencies that old
    /// versions of `transformers` saved, what the configuration has already taken over, and an
    /// output projection equal to the embedding.
    pub(crate) fn is_known_surplus(name: &str, config: &ModelConfig) -> bool {
        name.ends_with(".rotary_emb.inv_freq")
            || name == Self::ROPE_DIVISORS
            || Self::LONG_ROPE_DIVISORS.contains(&name)
            || (config.tie_word_embeddings && name == Self::LM_HEAD)
            || config
                .naming
                .surplus
                .iter()
                .any(|start| name.starts_with(start))
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
        for projection in projections(config, layer) {
            let name = |end: &str| Names::layer(layer, &format!("{}.{end}", projection.name));
            let (out_features, in_features) = (projection.out_features, projection.in_features);
            push(name("weight"), &[out_features, in_features]);
            if projection.bias {
                push(name("bias"), &[out_features]);
            }
        }
        for norm in config.norms.placement.names().into_iter() {
            for end in norm_tensors(config.norms.kind) {
                push(Names::layer(layer, &format!("{norm}.{end}")), &[hidden]);
            }
        }
        if config.attention_sinks {
            push(
                Names::layer(layer, "self_attn.sinks"),
                &[config.num_q_heads],
            );
        }
        if let Some([q, k]) = qk_norm_sizes(config) {
            push(Names::layer(layer, "self_attn.q_norm.weight"), &[q]);
            push(Names::layer(layer, "self_attn.k_norm.weight"), &[k]);
        }
    }
    for end in norm_tensors(config.norms.kind) {
        push(format!("{}.{end}", Names::FINAL_NORM), &[hidden]);
    }
    if !config.tie_word_embeddings {
        push(Names::LM_HEAD.into(), &[vocab, hidden]);
    }
    tensors
}

/// Sizes of the norms of queries and of keys, where there are any.
fn qk_norm_sizes(config: &ModelConfig) -> Option<[usize; 2]> {
    match config.qk_norm {
        QkNorm::None => None,
        QkNorm::Heads => Some([config.head_dim; 2]),
        QkNorm::Whole => {
            let heads = [config.num_q_heads, config.num_kv_heads];
            Some(heads.map(|heads| heads * config.head_dim))
        }
    }
}

/// The tensors of a norm.
fn norm_tensors(kind: NormKind) -> &'static [&'static str] {
    match kind {
        NormKind::Rms => &["weight"],
        NormKind::Layer => &["weight", "bias"],
    }
}

/// A matrix product of a layer.
struct Projection {
    name: String,
    out_features: usize,
    in_features: usize,
    bias: bool,
}

fn projections(config: &ModelConfig, layer: usize) -> Vec<Projection> {
    let hidden = config.hidden_size;
    let q_size = config.num_q_heads * config.head_dim;
    let kv_size = config.num_kv_heads * config.head_dim;
    let mut all = Vec::new();
    let mut push = |name: String, out_features, in_features, bias| {
        all.push(Projection {
            name,
            out_features,
            in_features,
            bias,
        });
    };
    push("self_attn.q_proj".into(), q_size, hidden, config.qkv_bias);
    push("self_attn.k_proj".into(), kv_size, hidden, config.qkv_bias);
    push("self_attn.v_proj".into(), kv_size, hidden, config.qkv_bias);
    push("self_attn.o_proj".into(), hidden, q_size, config.o_bias);
    let bias = config.mlp_bias;
    let Some(experts) = config.experts_of(layer) else {
        let intermediate = config.intermediate_size;
        if config.mlp_gate {
            push("mlp.gate_proj".into(), intermediate, hidden, bias);
        }
        push("mlp.up_proj".into(), intermediate, hidden, bias);
        push("mlp.down_proj".into(), hidden, intermediate, bias);
        return all;
    };
    push(Names::ROUTER.into(), experts.num_experts, hidden, bias);
    for expert in 0..experts.num_experts {
        let intermediate = experts.intermediate_size;
        for name in ["gate_proj", "up_proj"] {
            push(Names::expert(expert, name), intermediate, hidden, bias);
        }
        push(
            Names::expert(expert, "down_proj"),
            hidden,
            intermediate,
            bias,
        );
    }
    all
}
