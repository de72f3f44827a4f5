//! Exponentials: one of base e for soft caps and SiLU, one of base 2 for softmax.

#[cfg(test)]
mod tests;

use crate::cpu::simd::Simd;

/// Results below `e^-80` are zero, so that products of a softmax weight and a value of ordinary
/// size are never subnormal: the kernels leave the processor's denormal modes alone.
const FLUSH_BELOW: f32 = -80.0;
/// The same of powers of 2: below `2^-115`.
const FLUSH_BELOW_LOG2: f32 = -115.0;
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
/// Coefficients of r^5 down to r^0 in the polynomial that is nearest to `2^r` in relative terms for
/// |r| <= 1/2, of those that are 1 at 0: it is within 1e-7.
const EXP2: [f32; 6] = [
    1.326_472_7e-3,
    9.671_513e-3,
    5.550_733_6e-2,
    2.402_224_2e-1,
    // The nearest polynomial has no room for the derivative at 0 to be exact.
    std::f32::consts::LN_2 - 1.8e-7,
    1.0,
];
/// Squares below which the tangent's own series is taken.
const TANH_NEAR: f32 = 1.0 / 16.0;
/// Coefficients of x^9, x^7, .. x in the Taylor series of tanh, cut at x^11 * 0.009 < 1e-8 x for
/// |x| <= 1/4.
const TANH_TAYLOR: [f32; 5] = [62.0 / 2835.0, -17.0 / 315.0, 2.0 / 15.0, -1.0 / 3.0, 1.0];

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

/// `2^x` within 2e-7 relative for -115 <= x <= 0, zero below; exactly 1 at 0, NaN for NaN. Larger
/// arguments are the caller's mistake.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // x = n + r with an integer n, and r is exact. Far below, where n has no room, the result is
    // replaced.
    let biased = simd.add(x, simd.splat(ROUND));
    let r = simd.sub(x, simd.sub(biased, simd.splat(ROUND)));
    let mut series = simd.splat(EXP2[0]);
    for coefficient in &EXP2[1..] {
        series = simd.mul_add(series, r, simd.splat(*coefficient));
    }
    let value = simd.mul(series, simd.exp2_biased(biased));
    simd.zero_below(x, simd.splat(FLUSH_BELOW_LOG2), value)
}

/// The hyperbolic tangent of x within 2e-7, and within 2e-7 of itself near zero.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // 1 - 2 / (e^2x + 1): where e^2x has no room it is 0 or huge, and the result -1 or 1.
    let power = exp(simd, simd.add(x, x));
    let (one, two) = (simd.splat(1.0), simd.splat(2.0));
    let far = simd.sub(one, simd.div(two, simd.add(power, one)));
    // Near zero that difference cancels.
    let square = simd.mul(x, x);
    let limit = simd.splat(TANH_NEAR);
    let bounded = simd.min(square, limit);
    let mut series = simd.splat(TANH_TAYLOR[0]);
    for coefficient in &TANH_TAYLOR[1..] {
        series = simd.mul_add(series, bounded, simd.splat(*coefficient));
    }
    let near = simd.mul(series, x);
    // One of the two is zero.
    simd.add(
        simd.zero_below(square, limit, far),
        simd.sub(near, simd.zero_below(square, limit, near)),
    )
}
