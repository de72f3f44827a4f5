//! A model's shape in one normal form, whatever its family wrote in `config.json`.

mod error;
mod fields;
mod rope;

use kernels::KvDtype;
use serde_json::{Map, Value};

use crate::families;

pub use error::ConfigError;
pub(crate) use fields::Fields;
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
    /// Added to the mean square in norms.
    pub rms_norm_eps: f32,
    /// Longest sequence that the model was made for, in tokens.
    pub max_position_embeddings: usize,
    /// The output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// Rotary embedding.
    pub rope: RopeConfig,
    /// Query, key and value projections have biases.
    pub qkv_bias: bool,
    /// The attention's output projection has a bias.
    pub o_bias: bool,
    /// The feed-forward projections have biases.
    pub mlp_bias: bool,
    /// Query and key heads are normalised before the rotary embedding.
    pub qk_norm: bool,
    /// What differs between layers, one element per layer.
    pub layers: Vec<LayerConfig>,
    /// Tokens that end a sequence, from `generation_config.json` and `config.json`, ascending.
    pub eos_token_ids: Vec<u32>,
}

/// What one layer does differently from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerConfig {
    /// Whether the rotary embedding is applied.
    pub rope: bool,
    /// Positions that a token sees, itself included; `None` sees all before it.
    pub sliding_window: Option<usize>,
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

    /// The same, with each pair's rotary frequency divided by one of `divisors`.
    ///
    /// # Errors
    /// `Contradiction`: not one for each pair, or an unusable one.
    pub(crate) fn with_rope_divisors(mut self, divisors: Vec<f32>) -> Result<Self, ConfigError> {
        self.rope.scaling = RopeScaling::Divisors(divisors);
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
        if !self.rms_norm_eps.is_finite() || self.rms_norm_eps < 0.0 {
            return contradiction(
                "rms_norm_eps",
                format!("{} is not usable", self.rms_norm_eps),
            );
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
        self.rope.validate(self.head_dim)
    }
}

fn object(file: &'static str, bytes: &[u8]) -> Result<Map<String, Value>, ConfigError> {
    serde_json::from_slice(bytes).map_err(|source| ConfigError::Json { file, source })
}

#[cfg(test)]
mod tests;
