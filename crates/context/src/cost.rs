//! What tokens cost on the machine that serves them.

/// Seconds of computing, learnt from the steps that the engine has run.
///
/// A prefill of `k` tokens behind `o` cached ones takes
/// `per_token * k + per_pair * k * (o + k / 2)`: linear layers and attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostModel {
    /// Seconds of a step whatever it computes.
    pub per_step: f64,
    /// Seconds per computed token.
    pub per_token: f64,
    /// Seconds per (query, key) pair.
    pub per_pair: f64,
    /// Tokens computed in one step.
    pub step_tokens: usize,
    /// Price of a token that stays in the KV cache for one turn, in seconds: 0 while there is room.
    pub residency: f64,
}

impl CostModel {
    /// Seconds to compute the last `tokens` of a prompt of which `cached` precede them.
    pub fn prefill_seconds(&self, tokens: usize, cached: usize) -> f64 {
        // In floating point, which is exact here and far faster than a division of integers.
        let steps = (tokens as f64 / self.step_tokens.max(1) as f64).ceil();
        let (k, o) = (tokens as f64, cached as f64);
        self.per_step * steps + self.per_token * k + self.per_pair * k * (o + (k + 1.0) / 2.0)
    }

    /// Seconds that `fewer` tokens of context save in a later turn that adds `new` tokens and
    /// generates `output`.
    pub fn saved_per_turn(&self, fewer: usize, new: f64, output: f64) -> f64 {
        let fewer = fewer as f64;
        fewer * (self.per_pair * (new + output) + self.residency)
    }
}
