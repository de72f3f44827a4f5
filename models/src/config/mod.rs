//! A model's shape in one normal form, whatever its family wrote in `config.json`.

mod error;
mod experts;
mod fields;
mod multipliers;
mod norms;
mod rope;

use kernels::{Activation, KvDtype};
use serde_json::{Map, Value};

use crate::families;
use crate::weights::Naming;

pub use error::ConfigError;
pub use experts::ExpertsConfig;
pub(crate) use fields::Fields;
pub use multipliers::Multipliers;
pub(crate) use norms::LayerNorms;
pub use norms::{NormConfig, NormKind, NormPlacement, QkNorm};
pub use rope::{RopeConfig, RopeScaling};

/// Everything that the decoder needs to know about a model besides its weights.
///
/// Made from a `config.json` in the form of `transformers` 4 (`rope_theta`, `rope_scaling`) or 5
/// (`rope_parameters`, `layer_types`), with the defaults that `transformers` has for the family.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// `model_type` of the family.
    pub family: &'static str,
    /// Tokens of the vocabulary: rows of the embedding.
    pub vocab_size: usize,
    /// Elements of a token's state.
    pub hidden_size: usize,
    /// Elements of the gate in the feed-forward network.
    pub intermediate_size: usize,
    /// Query heads; a multiple of `num_kv_heads`.
    pub num_q_heads: usize,
    /// Key/value heads.
    pub num_kv_heads: usize,
    /// Elements per head.
    pub head_dim: usize,
    /// Norms.
    pub norms: NormConfig,
    /// The non-linear function of the feed-forward network.
    pub activation: Activation,
    /// What activations are multiplied by.
    pub multipliers: Multipliers,
    /// Factor of attention's scores.
    pub attention_scale: f32,
    /// Scores `s` become `cap * tanh(s / cap)`.
    pub attention_soft_cap: Option<f32>,
    /// Each query head has an attention sink.
    pub attention_sinks: bool,
    /// Logits, likewise to `attention_soft_cap`.
    pub logits_soft_cap: Option<f32>,
    /// Longest sequence that the model was made for, in tokens.
    pub max_position_embeddings: usize,
    /// The output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// Rotary embedding.
    pub rope: RopeConfig,
    /// Rotary embedding of the layers with a sliding window, where it is another one.
    pub sliding_rope: Option<RopeConfig>,
    /// Query, key and value projections have biases.
    pub qkv_bias: bool,
    /// The attention's output projection has a bias.
    pub o_bias: bool,
    /// The feed-forward projections have biases.
    pub mlp_bias: bool,
    /// Norms of queries and keys.
    pub qk_norm: QkNorm,
    /// The feed-forward network has a gate.
    pub mlp_gate: bool,
    /// Experts, in the layers that have them.
    pub experts: Option<ExpertsConfig>,
    /// What differs between layers, one element per layer.
    pub layers: Vec<LayerConfig>,
    /// Tokens that end a sequence, from `generation_config.json` and `config.json`, ascending.
    pub eos_token_ids: Vec<u32>,
    /// How the family's checkpoints write tensors.
    pub(crate) naming: Naming,
}

/// What one layer does differently from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerConfig {
    /// Whether the rotary embedding is applied.
    pub rope: bool,
    /// Positions that a token sees, itself included; `None` sees all before it.
    pub sliding_window: Option<usize>,
    /// Whether there are experts in the place of one feed-forward network.
    pub experts: bool,
}

impl ModelConfig {
    /// Reads `config.json` and, where the model has one, `generation_config.json`.
    ///
    /// # Errors
    /// Malformed JSON; an architecture that is not supported; a field that is missing, of the wrong
    /// type, or contradicts another. Each names the field.
    pub fn parse(config: &[u8], generation_config: Option<&[u8]>) -> Result<Self, ConfigError> {
        let config = object("config.json", config)?;
        let fields = Fields::new("config.json", &config);
        let family = families::of(&fields)?;
        let mut parsed = (family.config)(&fields)?;
        parsed.eos_token_ids = fields.token_ids("eos_token_id")?;
        if let Some(bytes) = generation_config {
            let generation = object("generation_config.json", bytes)?;
            let fields = Fields::new("generation_config.json", &generation);
            parsed
                .eos_token_ids
                .extend(fields.token_ids("eos_token_id")?);
        }
        parsed.eos_token_ids.sort_unstable();
        parsed.eos_token_ids.dedup();
        parsed.validate()?;
        Ok(parsed)
    }

    /// The experts of layer `layer`.
    pub(crate) fn experts_of(&self, layer: usize) -> Option<&ExpertsConfig> {
        self.experts.as_ref().filter(|_| self.layers[layer].experts)
    }

    /// The same, with the rotary frequencies scaled by `scaling`.
    ///
    /// # Errors
    /// `Contradiction`: of divisors not one for each pair, or an unusable one.
    pub(crate) fn with_rope_scaling(mut self, scaling: RopeScaling) -> Result<Self, ConfigError> {
        self.rope.scaling = scaling;
        self.validate()?;
        Ok(self)
    }

    /// Number of decoder layers.
    pub fn num_layers(&self) -> usize {
        self.layers.len()
    }

    /// Bytes that one token's keys and values take in all layers.
    pub fn kv_bytes_per_token(&self, dtype: KvDtype) -> usize {
        2 * self.num_layers() * self.num_kv_heads * dtype.head_bytes(self.head_dim)
    }

    /// Tokens that a token sees in the layers with a sliding window, itself included; of several
    /// windows the longest. `None` if all layers see everything.
    pub fn sliding_window(&self) -> Option<usize> {
        let windows = self.layers.iter().filter_map(|layer| layer.sliding_window);
        windows.max()
    }

    /// Bytes that one token's keys and values take in the layers with a sliding window.
    pub fn window_kv_bytes_per_token(&self, dtype: KvDtype) -> usize {
        let layers = self.layers.iter();
        let count = layers
            .filter(|layer| layer.sliding_window.is_some())
            .count();
        self.kv_bytes_per_token(dtype) / self.num_layers() * count
    }

    /// Number of weights.
    pub fn num_parameters(&self) -> usize {
        crate::weights::expected(self)
            .iter()
            .map(|tensor| tensor.shape.iter().product::<usize>())
            .sum()
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let contradiction = |fields: &'static str, reason: String| {
            Err(ConfigError::Contradiction { fields, reason })
        };
        self.validate_sizes()?;
        if !self.norms.eps.is_finite() || self.norms.eps < 0.0 {
            let reason = format!("{} is not usable", self.norms.eps);
            return contradiction("rms_norm_eps", reason);
        }
        self.multipliers.validate()?;
        if let Some(experts) = &self.experts {
            experts.validate()?;
        }
        if !self.attention_scale.is_finite() || self.attention_scale <= 0.0 {
            let reason = format!("{} multiplies scores", self.attention_scale);
            return contradiction("attention_multiplier, query_pre_attn_scalar", reason);
        }
        for (field, cap) in [
            ("attn_logit_softcapping", self.attention_soft_cap),
            ("final_logit_softcapping", self.logits_soft_cap),
        ] {
            if let Some(cap) = cap.filter(|cap| !cap.is_finite() || *cap <= 0.0) {
                return contradiction(field, format!("{cap} caps nothing"));
            }
        }
        if let Some(window) = self
            .layers
            .iter()
            .find(|layer| layer.sliding_window == Some(0))
        {
            return contradiction("sliding_window", format!("{window:?} sees nothing"));
        }
        let eos = self
            .eos_token_ids
            .iter()
            .find(|&&id| id as usize >= self.vocab_size);
        if let Some(id) = eos {
            let reason = format!(
                "token {id} is outside the vocabulary of {}",
                self.vocab_size
            );
            return contradiction("eos_token_id, vocab_size", reason);
        }
        if let Some(rope) = &self.sliding_rope {
            rope.validate(self.head_dim)?;
        }
        self.rope.validate(self.head_dim)
    }

    /// Sizes are positive, and heads are whole groups.
    fn validate_sizes(&self) -> Result<(), ConfigError> {
        let contradiction = |fields: &'static str, reason: String| {
            Err(ConfigError::Contradiction { fields, reason })
        };
        let positive = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_layers()),
            ("num_attention_heads", self.num_q_heads),
            ("num_key_value_heads", self.num_kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        if let Some((field, _)) = positive.into_iter().find(|&(_, value)| value == 0) {
            return contradiction(field, "must be positive".into());
        }
        if !self.num_q_heads.is_multiple_of(self.num_kv_heads) {
            return contradiction(
                "num_attention_heads, num_key_value_heads",
                format!(
                    "{} is not a multiple of {}",
                    self.num_q_heads, self.num_kv_heads
                ),
            );
        }
        Ok(())
    }
}

fn object(file: &'static str, bytes: &[u8]) -> Result<Map<String, Value>, ConfigError> {
    serde_json::from_slice(bytes).map_err(|source| ConfigError::Json { file, source })
}

#[cfg(test)]
mod tests;
