//! Log probabilities of one row of logits.

/// Sums that are kept side by side, so that the compiler can use vectors of any width.
const LANES: usize = 16;
/// Terms of a lane that are summed in single precision.
const BLOCK: usize = 256 * LANES;
/// Terms below `e^-87` count as that, which is nothing beside the largest one.
const SMALLEST: f32 = -87.0;
/// Adding it rounds a float below 2^22 to an integer in its low bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 with enough zero bits that `n * LN_2_HIGH` is exact for the exponents in use.
const LN_2_HIGH: f32 = 0.693_359_4;
/// The rest of ln 2.
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// `1/k!` for k = 7 down to 0: the Taylor series, cut at r^8/8! < 6e-9 for |r| <= ln(2)/2.
const TAYLOR: [f32; 8] = [
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// The plain softmax of a row: before temperature, penalties and truncation.
#[derive(Clone, Copy, Debug)]
pub struct LogSoftmax {
    /// Logarithm of the sum of all exponentials.
    log_sum: f64,
}

impl LogSoftmax {
    /// Of `logits` `[vocab_size]`, within 1e-6; `None` when their largest is not finite.
    pub fn new(logits: &[f32]) -> Option<Self> {
        let max = largest(logits);
        if !max.is_finite() {
            return None;
        }
        let sum: f64 = logits.chunks(BLOCK).map(|block| sum_exp(block, max)).sum();
        Some(Self {
            log_sum: f64::from(max) + sum.ln(),
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

fn largest(logits: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let parts = logits.chunks_exact(LANES);
    let rest = parts.remainder();
    for part in parts.chain([rest]) {
        for (lane, &logit) in lanes.iter_mut().zip(part) {
            if logit > *lane {
                *lane = logit;
            }
        }
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// The sum of `e^(logit - max)`. A request that wants log probabilities pays for this with every
/// token, so it must not call a function for each of a hundred thousand terms.
fn sum_exp(logits: &[f32], max: f32) -> f64 {
    let mut lanes = [0.0f32; LANES];
    let parts = logits.chunks_exact(LANES);
    let rest = parts.remainder();
    for part in parts {
        for (lane, &logit) in lanes.iter_mut().zip(part) {
            *lane += exp(logit - max);
        }
    }
    let rest = rest.iter().map(|&logit| exp(logit - max));
    lanes.into_iter().chain(rest).map(f64::from).sum()
}

/// `e^x` within 3e-7 relative for -87 <= x <= 0.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // x = n ln 2 + r with an integer n, so e^x = 2^n e^r.
    let x = x.max(SMALLEST);
    let biased = x * std::f32::consts::LOG2_E + ROUND;
    let n = biased - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut series = TAYLOR[0];
    for coefficient in &TAYLOR[1..] {
        series = series * r + coefficient;
    }
    series * f32::from_bits((biased.to_bits().wrapping_add(127)) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_and_its_sum_are_those_of_double_precision() {
        for step in 0..87_000 {
            let x = -(step as f32) / 1_000.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 3e-7, "e^{x}: {error}");
        }
        assert_eq!(exp(0.0), 1.0);
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
