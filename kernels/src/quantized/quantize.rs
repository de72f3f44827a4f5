//! Making blocks of floats: scales by least squares over a few candidates.

use half::f16;

use crate::WeightDtype;
use crate::quantized::Block;

/// Candidate scales on either side of the plain one.
pub(crate) const CANDIDATES: i32 = 10;
/// Added and taken away again, it leaves no room for fractions of floats below 2^22.
pub(crate) const ROUND: f32 = 12_582_912.0;

impl Block {
    /// The block of `dtype` nearest to `values`, [`WeightDtype::block_len`] of them. An error weighs
    /// more where the value is large. A value that is not finite makes its block so.
    ///
    /// # Panics
    /// If `dtype` is none of `Q8_0`, `Q4K`, `Q5K` and `Q6K`.
    pub(crate) fn quantize(dtype: WeightDtype, values: &[f32]) -> Self {
        if values.iter().any(|value| !value.is_finite()) {
            // Visible in every product, as the value itself would be.
            return Self {
                d: f16::NAN,
                ..Self::ZERO
            };
        }
        match dtype {
            WeightDtype::Q8_0 => q8_0(values),
            WeightDtype::Q4K => with_mins(values, 15),
            WeightDtype::Q5K => with_mins(values, 31),
            WeightDtype::Q6K => q6_k(values),
            _ => unreachable!("nothing is quantised to {dtype:?}"),
        }
    }
}

/// The largest magnitude becomes 127.
fn q8_0(values: &[f32]) -> Block {
    let mut block = Block::ZERO;
    let largest = values.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    block.d = f16::from_f32(largest / 127.0);
    quantize_with(values, block.d.to_f32(), 0.0, -127..=127, &mut block.quants);
    block
}

/// Sub-blocks of 32 with a scale and a min each, of six bits.
fn with_mins(values: &[f32], levels: i8) -> Block {
    let mut block = Block::ZERO;
    let mut fits = [Fit::default(); 8];
    for (fit, values) in fits.iter_mut().zip(values.chunks_exact(32)) {
        *fit = Fit::with_min(values, levels);
    }
    let most = |part: fn(&Fit) -> f32| fits.iter().map(part).fold(0.0, f32::max);
    block.d = f16::from_f32(most(|fit| fit.scale) / 63.0);
    block.dmin = f16::from_f32(most(|fit| fit.min) / 63.0);
    let (d, dmin) = (block.d.to_f32(), block.dmin.to_f32());
    let groups = values
        .chunks_exact(32)
        .zip(block.quants.chunks_exact_mut(32));
    for (sub, (values, quants)) in groups.enumerate() {
        let scale = nearest(fits[sub].scale, d, 63.0);
        let min = nearest(fits[sub].min, dmin, 63.0);
        (block.scales[sub], block.mins[sub]) = (scale as i8, min as u8);
        quantize_with(values, d * scale, dmin * min, 0..=levels, quants);
    }
    block
}

/// Sub-blocks of 16 with a signed scale each, of eight bits.
fn q6_k(values: &[f32]) -> Block {
    let mut block = Block::ZERO;
    let mut scales = [0.0f32; 16];
    for (scale, values) in scales.iter_mut().zip(values.chunks_exact(16)) {
        *scale = symmetric_scale(values);
    }
    let largest = scales.iter().fold(
        0.0f32,
        |most, x| if x.abs() > most.abs() { *x } else { most },
    );
    block.d = f16::from_f32(largest / -128.0);
    let d = block.d.to_f32();
    let groups = values
        .chunks_exact(16)
        .zip(block.quants.chunks_exact_mut(16));
    for (sub, (values, quants)) in groups.enumerate() {
        let scale = match d {
            0.0 => 0.0,
            d => rounded((scales[sub] / d).clamp(-128.0, 127.0)),
        };
        block.scales[sub] = scale as i8;
        quantize_with(values, d * scale, 0.0, -32..=31, quants);
    }
    block
}

/// A sub-block's scale and min: values are `scale * quant - min`, neither negative.
#[derive(Clone, Copy, Default)]
struct Fit {
    scale: f32,
    min: f32,
    error: f32,
}

impl Fit {
    /// The best of some scales near the one that spreads the values over all `levels`, each
    /// corrected by weighted least squares.
    fn with_min(values: &[f32], levels: i8) -> Self {
        // A min below zero cannot be expressed.
        let low = values.iter().fold(0.0f32, |least, &x| least.min(x));
        let high = values.iter().fold(0.0f32, |most, &x| most.max(x));
        if low == high {
            return Self::default();
        }
        let mut best = Self {
            error: f32::INFINITY,
            ..Self::default()
        };
        for candidate in -CANDIDATES..=CANDIDATES {
            let inverse = (f32::from(levels) + 0.1 * candidate as f32) / (high - low);
            let fit = Self::least_squares(values, inverse, low, f32::from(levels));
            if fit.error < best.error {
                best = fit;
            }
        }
        best
    }

    /// Rounds with `inverse` and `low`, then chooses scale and min for these quants.
    fn least_squares(values: &[f32], inverse: f32, low: f32, levels: f32) -> Self {
        let rms = root_mean_square(values);
        let quant = |x: f32| rounded(((x - low) * inverse).clamp(0.0, levels));
        let mut sums = Sums::default();
        for &x in values {
            sums.add(importance(x, rms), quant(x), x);
        }
        let (mut scale, mut min) = sums.line();
        if min < 0.0 {
            (scale, min) = (sums.qx / sums.qq, 0.0);
        }
        let error = |&x: &f32| {
            let error = scale * quant(x) - min - x;
            importance(x, rms) * error * error
        };
        Self {
            scale: scale.max(0.0),
            min,
            error: values.iter().map(error).sum(),
        }
    }
}

/// Sums of a weighted regression of `x` on `q`.
#[derive(Default)]
struct Sums {
    w: f32,
    q: f32,
    qq: f32,
    x: f32,
    qx: f32,
}

impl Sums {
    fn add(&mut self, weight: f32, q: f32, x: f32) {
        self.w += weight;
        self.q += weight * q;
        self.qq += weight * q * q;
        self.x += weight * x;
        self.qx += weight * q * x;
    }

    /// Slope and negated intercept; no slope where all `q` are equal.
    fn line(&self) -> (f32, f32) {
        let determinant = self.w * self.qq - self.q * self.q;
        if determinant <= 0.0 {
            return (0.0, -self.x / self.w);
        }
        let scale = (self.w * self.qx - self.q * self.x) / determinant;
        let min = (self.q * self.qx - self.qq * self.x) / determinant;
        (scale, min)
    }
}

/// Weight of an error of `x`: large values matter more, and small ones not nothing. `rms` is the
/// root mean square of the sub-block.
fn importance(x: f32, rms: f32) -> f32 {
    rms + x.abs()
}

fn root_mean_square(values: &[f32]) -> f32 {
    let squares: f32 = values.iter().map(|x| x * x).sum();
    (squares / values.len() as f32).sqrt()
}

/// The best of some scales near the one that makes the largest magnitude -32, corrected by weighted
/// least squares. Of that magnitude's sign, negated, so that the extra level is used.
fn symmetric_scale(values: &[f32]) -> f32 {
    let largest = values.iter().fold(
        0.0f32,
        |most, x| if x.abs() > most.abs() { *x } else { most },
    );
    if largest == 0.0 {
        return 0.0;
    }
    let rms = root_mean_square(values);
    let mut best = (f32::NEG_INFINITY, 0.0);
    for candidate in -CANDIDATES..=CANDIDATES {
        let inverse = (-32.0 + 0.1 * candidate as f32) / largest;
        let (mut qx, mut qq) = (0.0f32, 0.0f32);
        for &x in values {
            let q = rounded((x * inverse).clamp(-32.0, 31.0));
            let weight = importance(x, rms);
            qx += weight * q * x;
            qq += weight * q * q;
        }
        // What the fit explains of the values' weighted square.
        let explained = if qq > 0.0 { qx * qx / qq } else { 0.0 };
        if explained > best.0 {
            best = (explained, qx / qq);
        }
    }
    best.1
}

/// `value / unit` rounded, from 0 to `most`.
fn nearest(value: f32, unit: f32, most: f32) -> f32 {
    match unit {
        0.0 => 0.0,
        unit => rounded((value / unit).clamp(0.0, most)),
    }
}

/// `quants = (values + min) / scale`, rounded and kept in `range`.
fn quantize_with(
    values: &[f32],
    scale: f32,
    min: f32,
    range: std::ops::RangeInclusive<i8>,
    quants: &mut [i8],
) {
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let (low, high) = (f32::from(*range.start()), f32::from(*range.end()));
    for (quant, x) in quants.iter_mut().zip(values) {
        *quant = rounded(((x + min) * inverse).clamp(low, high)) as i8;
    }
}

/// The nearest whole number, the even one of two, of values below 2^22: an addition leaves no room for
/// fractions. The function of the standard library is a call where the baseline lacks the instruction.
#[inline]
fn rounded(x: f32) -> f32 {
    (x + ROUND) - ROUND
}
