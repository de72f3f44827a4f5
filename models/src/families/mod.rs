//! The architecture families. Another one is a file that fills a [`ModelConfig`] and a line in
//! [`FAMILIES`].

mod gemma;
mod gemma2;
mod gemma3;
mod gpt_oss;
mod granite;
mod llama;
mod mistral;
mod mixtral;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3_moe;
mod smollm3;
mod starcoder2;

use kernels::Activation;

use crate::config::{
    ConfigError, Fields, LayerConfig, ModelConfig, Multipliers, NormConfig, NormKind,
    NormPlacement, QkNorm, RopeConfig,
};
use crate::weights::Naming;

/// An architecture that the decoder can be.
pub(crate) struct Family {
    /// Its `model_type`.
    model_type: &'static str,
    /// Its entry in `architectures`.
    architecture: &'static str,
    /// Fills the configuration from `config.json`.
    pub(crate) config: fn(&Fields<'_>) -> Result<ModelConfig, ConfigError>,
}

impl Family {
    /// Whether `class` is that of the family, or of its models without a head, as embedders are saved.
    fn has_class(&self, class: &str) -> bool {
        let stem = self.architecture.strip_suffix("ForCausalLM");
        let is_bare = stem.is_some_and(|stem| class.strip_suffix("Model") == Some(stem));
        class == self.architecture || is_bare
    }
}

/// Every family.
const FAMILIES: &[Family] = &[
    gemma2::FAMILY,
    gemma3::FAMILY,
    gemma3::SEEING,
    gpt_oss::FAMILY,
    granite::FAMILY,
    llama::FAMILY,
    mistral::FAMILY,
    mixtral::FAMILY,
    olmo2::FAMILY,
    phi3::FAMILY,
    qwen2::FAMILY,
    qwen3::FAMILY,
    qwen3_moe::FAMILY,
    smollm3::FAMILY,
    starcoder2::FAMILY,
];

/// The family that `architectures` names, or else `model_type`.
pub(crate) fn of(fields: &Fields<'_>) -> Result<&'static Family, ConfigError> {
    let architectures = fields.texts("architectures")?.unwrap_or_default();
    let model_type = fields.text("model_type")?;
    let found = match architectures.as_slice() {
        [] => FAMILIES
            .iter()
            .find(|family| Some(family.model_type) == model_type),
        [named, ..] => FAMILIES.iter().find(|family| family.has_class(named)),
    };
    let name = architectures.first().copied().or(model_type);
    let Some(name) = name else {
        return Err(fields.missing("architectures"));
    };
    let supported = || FAMILIES.iter().map(|family| family.architecture).collect();
    let found = found.ok_or_else(|| ConfigError::UnsupportedArchitecture {
        found: name.to_owned(),
        supported: supported(),
    })?;
    // Their texts cannot be computed token by token.
    if fields.flag("is_causal")? == Some(false) {
        return Err(fields.unsupported("is_causal", "true"));
    }
    if fields.flag("use_bidirectional_attention")? == Some(true) {
        return Err(fields.unsupported("use_bidirectional_attention", "false"));
    }
    // A family that reads one of them looks at it itself.
    let reads_mxfp4 = found.model_type == gpt_oss::FAMILY.model_type;
    if !reads_mxfp4 && fields.object("quantization_config")?.is_some() {
        let supported = "an unquantised checkpoint of f32, f16 or bf16";
        return Err(fields.unsupported("quantization_config", supported));
    }
    Ok(found)
}

/// What a family's file adds to the fields that all families share.
struct Defaults {
    model_type: &'static str,
    rope_theta: f64,
    /// The same of layers with a window, where they have a rotary embedding of their own.
    sliding_rope_theta: Option<f64>,
    tie_word_embeddings: bool,
    /// The field of what norms add to the mean square.
    norm_eps: &'static str,
    /// The field that names the activation, and the name that it must have if it is there.
    activation: (&'static str, &'static str),
    /// What an absent `num_key_value_heads` means.
    kv_heads: KvHeads,
    /// What an absent `head_dim` means.
    head_dim: HeadDim,
}

/// Of most families, for a file to change what is different.
const DEFAULTS: Defaults = Defaults {
    model_type: "",
    rope_theta: 10_000.0,
    sliding_rope_theta: None,
    tie_word_embeddings: false,
    norm_eps: "rms_norm_eps",
    activation: ("hidden_act", "silu"),
    kv_heads: KvHeads::AsQuery,
    head_dim: HeadDim::Divided,
};

/// Meaning of an absent `num_key_value_heads`.
enum KvHeads {
    /// As many as query heads.
    AsQuery,
    /// An error.
    Required,
}

/// Meaning of an absent `head_dim`.
#[derive(Clone, Copy)]
enum HeadDim {
    /// `hidden_size / num_attention_heads`.
    Divided,
    /// An error.
    Required,
    /// This many elements.
    Elements(usize),
}

/// The fields that all families share; every layer rotates and sees everything, nothing has biases.
fn shared(fields: &Fields<'_>, defaults: &Defaults) -> Result<ModelConfig, ConfigError> {
    let (field, name) = defaults.activation;
    if fields.text(field)?.is_some_and(|found| found != name) {
        return Err(fields.unsupported(field, name));
    }
    let hidden_size = fields.needed_count("hidden_size")?;
    let Heads {
        num_q_heads,
        num_kv_heads,
        head_dim,
    } = heads(fields, defaults, hidden_size)?;
    let max_position_embeddings = fields.needed_count("max_position_embeddings")?;
    let theta = defaults.rope_theta;
    let (rope, sliding_rope) = match defaults.sliding_rope_theta {
        None => (
            RopeConfig::parse(fields, theta, max_position_embeddings)?,
            None,
        ),
        Some(sliding_theta) => {
            let thetas = (theta, sliding_theta);
            let (rope, sliding) =
                RopeConfig::parse_by_layer_type(fields, thetas, max_position_embeddings)?;
            (rope, Some(sliding))
        }
    };
    let layer = LayerConfig {
        rope: true,
        sliding_window: None,
        experts: false,
    };
    Ok(ModelConfig {
        family: defaults.model_type,
        vocab_size: fields.needed_count("vocab_size")?,
        hidden_size,
        intermediate_size: fields.needed_count("intermediate_size")?,
        num_q_heads,
        num_kv_heads,
        head_dim,
        norms: NormConfig {
            kind: NormKind::Rms,
            eps: fields.needed_number(defaults.norm_eps)? as f32,
            weight_offset: 0.0,
            placement: NormPlacement::Before,
        },
        activation: match name {
            "gelu_pytorch_tanh" => Activation::GeluTanh,
            _ => Activation::Silu,
        },
        multipliers: Multipliers::ONE,
        attention_scale: 1.0 / (head_dim as f32).sqrt(),
        attention_soft_cap: None,
        attention_sinks: false,
        logits_soft_cap: None,
        max_position_embeddings,
        tie_word_embeddings: fields
            .flag("tie_word_embeddings")?
            .unwrap_or(defaults.tie_word_embeddings),
        rope,
        sliding_rope,
        qkv_bias: false,
        o_bias: false,
        mlp_bias: false,
        mlp_gate: true,
        experts: None,
        qk_norm: QkNorm::None,
        layers: vec![layer; fields.needed_count("num_hidden_layers")?],
        eos_token_ids: Vec::new(),
        naming: Naming::PLAIN,
    })
}

struct Heads {
    num_q_heads: usize,
    num_kv_heads: usize,
    head_dim: usize,
}

fn heads(
    fields: &Fields<'_>,
    defaults: &Defaults,
    hidden_size: usize,
) -> Result<Heads, ConfigError> {
    let num_q_heads = fields.needed_count("num_attention_heads")?;
    let num_kv_heads = match (fields.count("num_key_value_heads")?, &defaults.kv_heads) {
        (Some(heads), _) => heads,
        (None, KvHeads::AsQuery) => num_q_heads,
        (None, KvHeads::Required) => return Err(fields.missing("num_key_value_heads")),
    };
    let head_dim = match (fields.count("head_dim")?, defaults.head_dim) {
        (Some(head_dim), _) => head_dim,
        (None, HeadDim::Divided) if num_q_heads > 0 && hidden_size.is_multiple_of(num_q_heads) => {
            hidden_size / num_q_heads
        }
        (None, HeadDim::Elements(head_dim)) => head_dim,
        (None, HeadDim::Divided | HeadDim::Required) => return Err(fields.missing("head_dim")),
    };
    Ok(Heads {
        num_q_heads,
        num_kv_heads,
        head_dim,
    })
}

/// One window for all layers, if `sliding_window` is there.
fn apply_one_window(fields: &Fields<'_>, config: &mut ModelConfig) -> Result<(), ConfigError> {
    if fields.texts("layer_types")?.is_some() {
        return Err(fields.unsupported("layer_types", "one sliding_window for all layers"));
    }
    let window = fields.count("sliding_window")?;
    for layer in &mut config.layers {
        layer.sliding_window = window;
    }
    Ok(())
}

/// Which layers have a sliding window: those that `layer_types` says, or else `by_default`.
fn apply_windows(
    fields: &Fields<'_>,
    layers: &mut [LayerConfig],
    by_default: impl Fn(usize) -> bool,
) -> Result<(), ConfigError> {
    let sliding: Vec<bool> = match fields.texts("layer_types")? {
        None => (0..layers.len()).map(by_default).collect(),
        Some(types) if types.len() != layers.len() => {
            return Err(ConfigError::Contradiction {
                fields: "layer_types, num_hidden_layers",
                reason: format!("{} types of {} layers", types.len(), layers.len()),
            });
        }
        Some(types) => {
            let sliding = |name: &&str| match *name {
                "full_attention" => Some(false),
                "sliding_attention" => Some(true),
                _ => None,
            };
            let known: Option<Vec<bool>> = types.iter().map(sliding).collect();
            known.ok_or_else(|| {
                fields.unsupported("layer_types", "full_attention, sliding_attention")
            })?
        }
    };
    if !sliding.contains(&true) {
        return Ok(());
    }
    let window = fields.needed_count("sliding_window")?;
    for (layer, sliding) in layers.iter_mut().zip(sliding) {
        layer.sliding_window = sliding.then_some(window);
    }
    Ok(())
}

/// Windows of the Qwen models: `use_sliding_window` turns them on, from layer `max_window_layers`.
fn apply_qwen_windows(fields: &Fields<'_>, config: &mut ModelConfig) -> Result<(), ConfigError> {
    if !fields.flag("use_sliding_window")?.unwrap_or(false) {
        let asked = fields.texts("layer_types")?.unwrap_or_default();
        if asked.contains(&"sliding_attention") {
            return Err(ConfigError::Contradiction {
                fields: "layer_types, use_sliding_window",
                reason: "a layer slides, but windows are turned off".into(),
            });
        }
        return Ok(());
    }
    let first = match fields.texts("layer_types")? {
        Some(_) => 0,
        None => fields.needed_count("max_window_layers")?,
    };
    apply_windows(fields, &mut config.layers, |layer| layer >= first)
}
