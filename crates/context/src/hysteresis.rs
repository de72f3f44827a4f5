//! How far down a batch of edits goes.
//!
//! A prompt that grows by `g` tokens a turn needs a batch that frees `D` tokens every `D / g`
//! turns. Each batch loses something and computes what is behind its first edit again, so it costs
//! `(T(S(D)) + w * loss(D)) * g / D` per turn: small batches pay the suffix often, large ones give
//! up text that was still of use.

/// Shares of the budget that a batch may free when the low mark is `auto`.
pub(crate) const BATCHES: [f64; 5] = [0.1, 0.2, 0.3, 0.4, 0.5];

/// What a batch of edits costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// Tokens that it frees.
    pub(crate) freed: usize,
    /// Milliseconds of prefill that it adds, once; negative if it saves some.
    pub(crate) extra_ms: f64,
    /// What is lost.
    pub(crate) cost: f64,
    /// What the freed tokens are worth in the turns to come, by the objective.
    pub(crate) benefit: f64,
}

/// What its parts weigh.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights {
    /// Of what is lost.
    pub(crate) loss: f64,
    /// Of a millisecond of prefill.
    pub(crate) prefill_ms: f64,
}

impl Batch {
    /// What batches of this size cost until the conversation ends, by the objective: as many as the
    /// growth of `turns` turns needs, at least this one. What one saves now it saves once.
    pub(crate) fn amortised(&self, weights: &Weights, growth: f64, turns: f64) -> f64 {
        let once = weights.loss * self.cost + weights.prefill_ms * self.extra_ms;
        let batches = (growth * turns / self.freed.max(1) as f64).max(1.0);
        once * if once > 0.0 { batches } else { 1.0 } - self.benefit
    }
}

#[cfg(test)]
mod tests;
