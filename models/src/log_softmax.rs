//! Log probabilities of one row of logits.

use kernels::softmax;

/// The plain softmax of a row: before temperature, penalties and truncation.
#[derive(Clone, Copy, Debug)]
pub struct LogSoftmax {
    /// Logarithm of the sum of all exponentials.
    log_sum: f64,
}

impl LogSoftmax {
    /// Of `logits` `[vocab_size]`, within 1e-6; `None` when their largest is not finite.
    pub fn new(logits: &[f32]) -> Option<Self> {
        let largest = softmax::largest(logits);
        if !largest.is_finite() {
            return None;
        }
        let sum = softmax::sum_exp(logits, largest);
        Some(Self {
            log_sum: f64::from(largest) + sum.ln(),
        })
    }

    /// The natural log probability of the token that has this logit.
    pub fn logprob(&self, logit: f32) -> f32 {
        (f64::from(logit) - self.log_sum) as f32
    }
}

/// The natural log probability of `token` by its row of logits; NaN when there is none.
pub(crate) fn score(logits: &[f32], token: u32) -> f32 {
    LogSoftmax::new(logits).map_or(f32::NAN, |softmax| softmax.logprob(logits[token as usize]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_double_precision() {
        for len in [1, 15, 16, 17, 4_096, 150_000] {
            let logits: Vec<f32> = (0..len)
                .map(|at| ((at * 7_919 % 1_009) as f32 - 500.0) / 25.0)
                .collect();
            let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
            let softmax = LogSoftmax::new(&logits).unwrap();
            let error = (softmax.log_sum - sum.ln()).abs();
            assert!(error < 1e-6, "{len} logits: {error}");
        }
    }

    #[test]
    fn what_is_impossible_counts_nothing_and_no_row_is_made_of_infinities() {
        let softmax = LogSoftmax::new(&[1.0, f32::NEG_INFINITY, 1.0]).unwrap();
        assert!((softmax.logprob(1.0) + 2.0f32.ln()).abs() < 1e-7);
        assert_eq!(softmax.logprob(f32::NEG_INFINITY), f32::NEG_INFINITY);
        assert!(LogSoftmax::new(&[f32::NEG_INFINITY; 3]).is_none());
        assert!(LogSoftmax::new(&[0.0, f32::INFINITY]).is_none());
        assert!(score(&[f32::NAN; 2], 0).is_nan());
    }
}
