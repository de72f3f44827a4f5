//! Mixtures of experts in the place of feed-forward networks.

use super::ConfigError;

/// Feed-forward networks of which each token passes through some (Shazeer et al., "Outrageously
/// Large Neural Networks", 2017).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertsConfig {
    /// Networks of a layer.
    pub num_experts: usize,
    /// How many of them a token passes through: those with the largest router logits.
    pub num_experts_per_tok: usize,
    /// Elements of the gate in each.
    pub intermediate_size: usize,
    /// The chosen ones' shares add up to 1; otherwise they are those of a softmax over all.
    pub norm_topk_prob: bool,
}

impl ExpertsConfig {
    /// Elements of activations that a token of `hidden_size` elements takes beside those of a decoder
    /// without experts.
    pub(crate) fn elements_per_token(&self, hidden_size: usize) -> usize {
        self.num_experts + 2 * hidden_size + 3 * self.intermediate_size
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let contradiction = |fields, reason| Err(ConfigError::Contradiction { fields, reason });
        let (all, some) = (self.num_experts, self.num_experts_per_tok);
        if some == 0 || some > all {
            let reason = format!("{some} of {all} experts");
            return contradiction("num_experts_per_tok, num_experts", reason);
        }
        if self.intermediate_size == 0 {
            return contradiction("moe_intermediate_size", "must be positive".into());
        }
        Ok(())
    }
}
