//! The exponential: one implementation for softmax and SiLU.

#[cfg(test)]
mod tests;

use crate::cpu::simd::Simd;

/// Results below `e^-80` are zero, so that products of a softmax weight and a value of ordinary
/// size are never subnormal: the kernels leave the processor's denormal modes alone.
const FLUSH_BELOW: f32 = -80.0;
/// `2^n` must stay finite.
const LARGEST: f32 = 88.0;
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

/// `e^x` within 2e-7 relative for -80 <= x <= 88, zero below, `e^88` above; exactly 1 at 0, NaN for
/// NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // x = n ln 2 + r with an integer n, so e^x = 2^n e^r.
    let clamped = simd.max(simd.splat(FLUSH_BELOW), simd.min(simd.splat(LARGEST), x));
    let biased = simd.mul_add(
        clamped,
        simd.splat(std::f32::consts::LOG2_E),
        simd.splat(ROUND),
    );
    let n = simd.sub(biased, simd.splat(ROUND));
    let r = simd.mul_add(n, simd.splat(-LN_2_HIGH), clamped);
    let r = simd.mul_add(n, simd.splat(-LN_2_LOW), r);
    let mut series = simd.splat(TAYLOR[0]);
    for coefficient in &TAYLOR[1..] {
        series = simd.mul_add(series, r, simd.splat(*coefficient));
    }
    let value = simd.mul(series, simd.exp2_biased(biased));
    simd.zero_below(x, simd.splat(FLUSH_BELOW), value)
}
