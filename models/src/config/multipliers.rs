//! Numbers that activations are multiplied by.

use super::ConfigError;

/// What a model multiplies its activations by; all are 1 in most models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multipliers {
    /// Embeddings: Gemma has the root of `hidden_size`, Granite a field.
    pub embedding: f32,
    /// What attention and the feed-forward network add to the state.
    pub residual: f32,
    /// Logits.
    pub logits: f32,
}

impl Multipliers {
    /// Of most models.
    pub(crate) const ONE: Self = Self {
        embedding: 1.0,
        residual: 1.0,
        logits: 1.0,
    };

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let all = [
            ("embedding_multiplier", self.embedding),
            ("residual_multiplier", self.residual),
            ("logits_scaling", self.logits),
        ];
        let unusable = |&(_, value): &(&str, f32)| !value.is_finite() || value == 0.0;
        match all.into_iter().find(unusable) {
            None => Ok(()),
            Some((fields, value)) => Err(ConfigError::Contradiction {
                fields,
                reason: format!("multiplies by {value}"),
            }),
        }
    }
}
