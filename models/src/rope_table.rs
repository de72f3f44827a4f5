//! Cosines and sines of the rotary embedding.

use kernels::RopeTableView;

use crate::config::{RopeConfig, RopeScaling};

/// Cosines and sines for positions `0..max_positions`.
///
/// Frequencies are rounded to f32 and multiplied with the position in f32, as `transformers` does:
/// at position 8,000 the rounding of a frequency moves its angle by 2e-4.
pub(crate) struct RopeTable {
    /// `[max_positions, rotary_dim / 2]`
    cos: Vec<f32>,
    /// `[max_positions, rotary_dim / 2]`
    sin: Vec<f32>,
    rotary_dim: usize,
}

impl RopeTable {
    /// Computes the table.
    pub(crate) fn new(config: &RopeConfig, head_dim: usize, max_positions: usize) -> Self {
        let rotary_dim = config.rotary_dim(head_dim);
        let frequencies = frequencies(config, rotary_dim, max_positions);
        let factor = match config.scaling {
            RopeScaling::Yarn {
                attention_factor, ..
            }
            | RopeScaling::LongRope {
                attention_factor, ..
            } => attention_factor as f32,
            RopeScaling::None
            | RopeScaling::Linear { .. }
            | RopeScaling::Llama3 { .. }
            | RopeScaling::Divisors(_) => 1.0,
        };
        let mut cos = Vec::with_capacity(max_positions * frequencies.len());
        let mut sin = Vec::with_capacity(max_positions * frequencies.len());
        for position in 0..max_positions {
            for frequency in &frequencies {
                let angle = f64::from(position as f32 * frequency);
                cos.push(angle.cos() as f32 * factor);
                sin.push(angle.sin() as f32 * factor);
            }
        }
        Self {
            cos,
            sin,
            rotary_dim,
        }
    }

    /// The table as a backend takes it.
    pub(crate) fn view(&self) -> RopeTableView<'_> {
        RopeTableView {
            cos: &self.cos,
            sin: &self.sin,
            rotary_dim: self.rotary_dim,
        }
    }
}

/// Radians per position of each rotated pair. Shape: `[rotary_dim / 2]`.
fn frequencies(config: &RopeConfig, rotary_dim: usize, max_positions: usize) -> Vec<f32> {
    let powers = (0..rotary_dim).step_by(2).map(|i| {
        let exponent = (i as f32 / rotary_dim as f32) as f64;
        config.theta.powf(exponent) as f32
    });
    let plain = powers.clone().map(|power| 1.0 / power);
    match config.scaling {
        RopeScaling::None => plain.collect(),
        RopeScaling::LongRope {
            ref short_factor,
            ref long_factor,
            ..
        } => {
            let divisors = match config.scaling.is_long(max_positions) {
                true => long_factor,
                false => short_factor,
            };
            let divided = powers.zip(divisors);
            divided
                .map(|(power, divisor)| 1.0 / (divisor * power))
                .collect()
        }
        RopeScaling::Divisors(ref divisors) => plain
            .zip(divisors)
            .map(|(f, divisor)| f / divisor)
            .collect(),
        RopeScaling::Linear { factor } => plain.map(|f| f / factor as f32).collect(),
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => {
            let original = original_max_position_embeddings as f64;
            let factors = (low_freq_factor, high_freq_factor);
            let scale = |frequency| llama3_scaled(f64::from(frequency), factor, factors, original);
            plain.map(|frequency| scale(frequency) as f32).collect()
        }
        RopeScaling::Yarn {
            factor,
            beta_fast,
            beta_slow,
            original_max_position_embeddings,
            truncate,
            attention_factor: _,
        } => {
            let (low, high) = yarn_ramp(&YarnRamp {
                beta_fast,
                beta_slow,
                original: original_max_position_embeddings as f64,
                theta: config.theta,
                rotary_dim: rotary_dim as f64,
                truncate,
            });
            let scale = |(pair, frequency): (usize, f32)| {
                let frequency = f64::from(frequency);
                let interpolated = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
                (frequency / factor * interpolated + frequency * (1.0 - interpolated)) as f32
            };
            plain.enumerate().map(scale).collect()
        }
    }
}

/// Long wavelengths are stretched by `factor`, short ones stay, those between the two are blended;
/// `factors` are those of low and of high frequencies.
fn llama3_scaled(frequency: f64, factor: f64, factors: (f64, f64), original: f64) -> f64 {
    let (low_freq_factor, high_freq_factor) = factors;
    let wavelength = std::f64::consts::TAU / frequency;
    if wavelength < original / high_freq_factor {
        frequency
    } else if wavelength > original / low_freq_factor {
        frequency / factor
    } else {
        let smooth =
            (original / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}

struct YarnRamp {
    beta_fast: f64,
    beta_slow: f64,
    original: f64,
    theta: f64,
    rotary_dim: f64,
    truncate: bool,
}

/// The pairs between which frequencies pass from kept to interpolated.
fn yarn_ramp(ramp: &YarnRamp) -> (f64, f64) {
    let pair_with = |rotations: f64| {
        let wavelength = ramp.original / (rotations * std::f64::consts::TAU);
        ramp.rotary_dim * wavelength.ln() / (2.0 * ramp.theta.ln())
    };
    let (mut low, mut high) = (pair_with(ramp.beta_fast), pair_with(ramp.beta_slow));
    if ramp.truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    let (low, high) = (low.max(0.0), high.min(ramp.rotary_dim - 1.0));
    // A ramp without width would divide by zero.
    (low, if low == high { high + 0.001 } else { high })
}
