//! How long a step takes, learnt from the steps so far.

use std::time::Duration;

/// Weight of a measurement after one more of its kind: about the last hundred count.
const FORGETTING: f64 = 0.99;
/// Measurements before predictions are trusted.
const MIN_MEASUREMENTS: u64 = 4;
/// Assumed until then: 1 ms per token. Only the order of the queue depends on it.
const NOMINAL: [f64; 3] = [0.0, 1e-3 * TOKENS_UNIT, 0.0];
/// Features are counted in units that make them of like size, so that the sums stay well
/// conditioned.
const TOKENS_UNIT: f64 = 256.0;
const ATTENTION_UNIT: f64 = 262_144.0;

/// The work of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct StepLoad {
    /// Tokens computed.
    pub(crate) tokens: usize,
    /// Of these, tokens of prompts (or of preempted sequences) still being computed.
    pub(crate) prefill_tokens: usize,
    /// (query, key) pairs: for each token computed, the tokens it attends to.
    pub(crate) attention: f64,
}

/// `seconds = base + per_token * tokens + per_pair * attention`, with coefficients that are never
/// negative.
///
/// Least squares of the *relative* error, so that short decode steps count as much as long prefill
/// steps, with exponential forgetting. Steps with and without prefill are forgotten apart: a long
/// time of decoding alone does not erase what a prompt costs. The three coefficients are solved
/// exactly: the best of the seven sets of coefficients that may be positive.
#[derive(Debug)]
pub(crate) struct StepTimeModel {
    decode: NormalEquations,
    prefill: NormalEquations,
    measurements: u64,
    coefficients: [f64; 3],
    /// Prompt tokens, and the seconds of the steps that computed them, forgetting as above.
    prefill_tokens: f64,
    prefill_seconds: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct NormalEquations {
    /// Sum of `x * x^T`.
    matrix: [[f64; 3]; 3],
    /// Sum of `x * y`.
    vector: [f64; 3],
}

/// What a step costs: `per_step + per_token * tokens + per_pair * pairs`, where each token that is
/// computed makes a (query, key) pair with every token up to itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCosts {
    /// Seconds of a step, whatever it computes.
    pub per_step: f64,
    /// Seconds per computed token.
    pub per_token: f64,
    /// Seconds per (query, key) pair.
    pub per_pair: f64,
    /// Whether these were learnt from steps; until then they are assumed.
    pub is_measured: bool,
}

impl StepCosts {
    /// Seconds to compute `num_tokens` tokens that follow `context` tokens, in steps of
    /// `step_tokens` tokens.
    pub fn prefill_seconds(&self, num_tokens: usize, context: usize, step_tokens: usize) -> f64 {
        let steps = num_tokens.div_ceil(step_tokens) as f64;
        let pairs = attention_pairs(num_tokens, context);
        self.per_step * steps + self.per_token * num_tokens as f64 + self.per_pair * pairs
    }
}

impl StepLoad {
    /// Adds `num_tokens` tokens that follow `context` tokens.
    pub(crate) fn with_chunk(self, num_tokens: usize, context: usize, is_prefill: bool) -> Self {
        Self {
            tokens: self.tokens + num_tokens,
            prefill_tokens: self.prefill_tokens + if is_prefill { num_tokens } else { 0 },
            attention: self.attention + attention_pairs(num_tokens, context),
        }
    }

    /// Takes back what [`with_chunk`](Self::with_chunk) added.
    pub(crate) fn without_chunk(self, num_tokens: usize, context: usize, is_prefill: bool) -> Self {
        Self {
            tokens: self.tokens - num_tokens,
            prefill_tokens: self.prefill_tokens - if is_prefill { num_tokens } else { 0 },
            attention: self.attention - attention_pairs(num_tokens, context),
        }
    }

    fn features(&self) -> [f64; 3] {
        [
            1.0,
            self.tokens as f64 / TOKENS_UNIT,
            self.attention / ATTENTION_UNIT,
        ]
    }
}

impl StepTimeModel {
    pub(crate) fn new() -> Self {
        Self {
            decode: NormalEquations::default(),
            prefill: NormalEquations::default(),
            measurements: 0,
            coefficients: NOMINAL,
            prefill_tokens: 0.0,
            prefill_seconds: 0.0,
        }
    }

    /// Learns that a step of `load` took `elapsed`.
    pub(crate) fn observe(&mut self, load: &StepLoad, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        if load.tokens == 0 || seconds <= 0.0 {
            return;
        }
        if load.prefill_tokens > 0 {
            self.prefill.add(load.features(), seconds);
            self.prefill_tokens = self.prefill_tokens * FORGETTING + load.prefill_tokens as f64;
            self.prefill_seconds = self.prefill_seconds * FORGETTING + seconds;
        } else {
            self.decode.add(load.features(), seconds);
        }
        self.measurements += 1;
        if self.measurements >= MIN_MEASUREMENTS
            && let Some(solution) = self.decode.plus(&self.prefill).solve_non_negative()
        {
            self.coefficients = solution;
        }
    }

    /// Predicted time of a step, once enough were measured.
    pub(crate) fn predict(&self, load: &StepLoad) -> Option<Duration> {
        let trusted = self.measurements >= MIN_MEASUREMENTS && load.tokens > 0;
        trusted.then(|| Duration::from_secs_f64(dot(self.coefficients, load.features()).min(1e6)))
    }

    /// What was learnt, or what is assumed until then.
    pub(crate) fn costs(&self) -> StepCosts {
        let [per_step, per_unit_of_tokens, per_unit_of_pairs] = self.coefficients;
        StepCosts {
            per_step,
            per_token: per_unit_of_tokens / TOKENS_UNIT,
            per_pair: per_unit_of_pairs / ATTENTION_UNIT,
            is_measured: self.measurements >= MIN_MEASUREMENTS,
        }
    }

    /// Seconds to compute `num_tokens` tokens after `context`, in steps of `budget` tokens: a
    /// measure to compare requests with, available from the start and never 0.
    pub(crate) fn prefill_seconds(&self, num_tokens: usize, context: usize, budget: usize) -> f64 {
        let seconds = self.costs().prefill_seconds(num_tokens, context, budget);
        seconds.max(1e-9)
    }

    /// Measured prompt tokens per second.
    pub(crate) fn prefill_rate(&self) -> Option<f64> {
        (self.prefill_seconds > 0.0).then(|| self.prefill_tokens / self.prefill_seconds)
    }
}

impl NormalEquations {
    /// Adds a measurement, weighted by 1 / y^2 so that its relative error counts.
    fn add(&mut self, x: [f64; 3], y: f64) {
        let weight = 1.0 / (y * y);
        for i in 0..3 {
            for j in 0..3 {
                self.matrix[i][j] = self.matrix[i][j] * FORGETTING + weight * x[i] * x[j];
            }
            self.vector[i] = self.vector[i] * FORGETTING + weight * x[i] * y;
        }
    }

    fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        for i in 0..3 {
            for j in 0..3 {
                sum.matrix[i][j] += other.matrix[i][j];
            }
            sum.vector[i] += other.vector[i];
        }
        sum
    }

    /// The non-negative solution of least error: the unconstrained one of some subset of the
    /// coefficients (the Karush-Kuhn-Tucker conditions), so all seven are tried.
    fn solve_non_negative(&self) -> Option<[f64; 3]> {
        let mut best: Option<([f64; 3], f64)> = None;
        for subset in 1..8u8 {
            let Some(x) = self.solve_subset(subset) else {
                continue;
            };
            if x.iter().any(|&value| value < 0.0) {
                continue;
            }
            let error = self.error(x);
            if best.is_none_or(|(_, least)| error < least) {
                best = Some((x, error));
            }
        }
        best.map(|(x, _)| x)
    }

    /// Error up to a constant: `x^T A x - 2 b^T x`.
    fn error(&self, x: [f64; 3]) -> f64 {
        let quadratic: f64 = (0..3).map(|i| x[i] * dot(self.matrix[i], x)).sum();
        quadratic - 2.0 * dot(self.vector, x)
    }

    /// Gaussian elimination over the coefficients whose bit is set, the others being 0. `None` when
    /// the measurements do not tell them apart.
    fn solve_subset(&self, subset: u8) -> Option<[f64; 3]> {
        let members = |i: usize| subset & (1 << i) != 0;
        let (mut a, mut b) = (self.matrix, self.vector);
        for pivot in (0..3).filter(|&i| members(i)) {
            if a[pivot][pivot] <= 1e-9 * self.matrix[pivot][pivot] || a[pivot][pivot] <= 0.0 {
                return None;
            }
            for row in (0..3).filter(|&i| members(i) && i != pivot) {
                let factor = a[row][pivot] / a[pivot][pivot];
                let pivot_row = a[pivot];
                for (value, above) in a[row].iter_mut().zip(pivot_row) {
                    *value -= factor * above;
                }
                b[row] -= factor * b[pivot];
            }
        }
        let mut x = [0.0; 3];
        for i in (0..3).filter(|&i| members(i)) {
            x[i] = b[i] / a[i][i];
        }
        Some(x)
    }
}

fn attention_pairs(num_tokens: usize, context: usize) -> f64 {
    let (n, context) = (num_tokens as f64, context as f64);
    n * context + n * (n + 1.0) / 2.0
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[cfg(test)]
mod tests;
