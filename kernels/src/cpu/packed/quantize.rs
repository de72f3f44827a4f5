//! Quantising the floats of 16 output features at once.
//!
//! Each lane does what [`Block::quantize`](crate::quantized::Block::quantize) does, in the same
//! order and without fused operations, so that the blocks are the same on every machine.

#![expect(unsafe_code, reason = "vector loads and stores through pointers")]

use half::f16;

use crate::WeightDtype;
use crate::cpu::packed::blocks::Blocks;
use crate::cpu::simd::{LANES, Simd};
use crate::quantized::{CANDIDATES, ROUND};

/// A float of each lane.
type Floats = [f32; LANES];

/// The longest sub-block.
const MAX_SUB_BLOCK: usize = 32;

/// Quantises one block of each lane, `values` `[block][16]`, to `dtype`.
///
/// # Panics
/// If `dtype` is none of `Q8_0`, `Q4K`, `Q5K` and `Q6K`.
#[inline(always)]
pub(super) fn quantize<S: Simd>(
    simd: S,
    dtype: WeightDtype,
    values: &[Floats],
    blocks: &mut Blocks,
) {
    match dtype {
        WeightDtype::Q8_0 => q8_0(simd, values, blocks),
        WeightDtype::Q4K => with_mins(simd, values, 15.0, blocks),
        WeightDtype::Q5K => with_mins(simd, values, 31.0, blocks),
        WeightDtype::Q6K => q6_k(simd, values, blocks),
        _ => unreachable!("nothing is quantised to {dtype:?}"),
    }
}

#[inline(always)]
fn q8_0<S: Simd>(simd: S, values: &[Floats], blocks: &mut Blocks) {
    let mut largest = simd.splat(0.0);
    for x in values {
        largest = simd.max(largest, absolute(simd, load(simd, x)));
    }
    let largest = store(simd, largest);
    blocks.d = largest.map(|x| f16::from_f32(x / 127.0));
    let scale = blocks.d.map(f16::to_f32);
    let range = [-127.0, 127.0];
    quantize_with(simd, values, scale, [0.0; LANES], range, &mut blocks.quants);
}

/// Sub-blocks of 32 with a scale and a min each, of six bits.
#[inline(always)]
fn with_mins<S: Simd>(simd: S, values: &[Floats], levels: f32, blocks: &mut Blocks) {
    let mut scales = [[0.0; LANES]; 8];
    let mut mins = [[0.0; LANES]; 8];
    for (sub, values) in values.chunks_exact(32).enumerate() {
        (scales[sub], mins[sub]) = fit_with_min(simd, values, levels);
    }
    blocks.d = most(&scales).map(|x| f16::from_f32(x / 63.0));
    blocks.dmin = most(&mins).map(|x| f16::from_f32(x / 63.0));
    let (d, dmin) = (blocks.d.map(f16::to_f32), blocks.dmin.map(f16::to_f32));
    let quants = blocks.quants.chunks_exact_mut(32);
    for (sub, (values, quants)) in values.chunks_exact(32).zip(quants).enumerate() {
        let (mut scale, mut min) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            let whole_scale = nearest(scales[sub][lane], d[lane]);
            let whole_min = nearest(mins[sub][lane], dmin[lane]);
            blocks.scales[sub][lane] = whole_scale as i8;
            blocks.mins[sub][lane] = whole_min as u8;
            scale[lane] = d[lane] * whole_scale;
            min[lane] = dmin[lane] * whole_min;
        }
        quantize_with(simd, values, scale, min, [0.0, levels], quants);
    }
}

/// Sub-blocks of 16 with a signed scale each, of eight bits.
#[inline(always)]
fn q6_k<S: Simd>(simd: S, values: &[Floats], blocks: &mut Blocks) {
    let mut scales = [[0.0f32; LANES]; 16];
    for (scales, values) in scales.iter_mut().zip(values.chunks_exact(16)) {
        *scales = symmetric_scale(simd, values);
    }
    let mut largest = [0.0f32; LANES];
    for scales in &scales {
        keep_largest(&mut largest, scales);
    }
    blocks.d = largest.map(|x| f16::from_f32(x / -128.0));
    let d = blocks.d.map(f16::to_f32);
    let quants = blocks.quants.chunks_exact_mut(16);
    for (sub, (values, quants)) in values.chunks_exact(16).zip(quants).enumerate() {
        let mut scale = [0.0; LANES];
        for lane in 0..LANES {
            let whole = match d[lane] {
                0.0 => 0.0,
                d => rounded((scales[sub][lane] / d).clamp(-128.0, 127.0)),
            };
            // A scale of values that are next to nothing may be no number, and counts as 0.
            let whole = if whole.is_nan() { 0.0 } else { whole };
            blocks.scales[sub][lane] = whole as i8;
            scale[lane] = d[lane] * whole;
        }
        let range = [-32.0, 31.0];
        quantize_with(simd, values, scale, [0.0; LANES], range, quants);
    }
}

/// Sums of a weighted regression of `x` on `q`, as in `Fit`.
struct Sums {
    w: Floats,
    q: Floats,
    qq: Floats,
    x: Floats,
    qx: Floats,
}

impl Sums {
    /// Scale and min of each lane.
    #[inline(always)]
    fn lines(&self) -> (Floats, Floats) {
        let (mut scales, mut mins) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            let (w, q, qq) = (self.w[lane], self.q[lane], self.qq[lane]);
            let (x, qx) = (self.x[lane], self.qx[lane]);
            let determinant = w * qq - q * q;
            let flat = determinant <= 0.0;
            let scale = (w * qx - q * x) / determinant;
            let min = (q * qx - qq * x) / determinant;
            let scale = if flat { 0.0 } else { scale };
            let min = if flat { -x / w } else { min };
            // A min below zero cannot be expressed.
            let through_zero = qx / qq;
            scales[lane] = if min < 0.0 { through_zero } else { scale };
            mins[lane] = if min < 0.0 { 0.0 } else { min };
        }
        (scales, mins)
    }
}

/// The best scale and min of a sub-block of each lane.
#[inline(always)]
fn fit_with_min<S: Simd>(simd: S, values: &[Floats], levels: f32) -> (Floats, Floats) {
    let zero = simd.splat(0.0);
    let (mut low, mut high) = (zero, zero);
    for x in values {
        let x = load(simd, x);
        (low, high) = (simd.min(low, x), simd.max(high, x));
    }
    let mut weights = [[0.0; LANES]; MAX_SUB_BLOCK];
    importances(simd, values, &mut weights);
    let mut above_low = [[0.0; LANES]; MAX_SUB_BLOCK];
    let (mut w_sum, mut x_sum) = (zero, zero);
    for ((x, w), above) in values.iter().zip(&weights).zip(&mut above_low) {
        let (x, w) = (load(simd, x), load(simd, w));
        w_sum = simd.add(w_sum, w);
        x_sum = simd.add(x_sum, simd.mul(w, x));
        *above = store(simd, simd.sub(x, low));
    }
    let range = simd.sub(high, low);
    let mut best = [f32::INFINITY; LANES];
    let (mut best_scale, mut best_min) = ([0.0; LANES], [0.0; LANES]);
    let mut quants = [[0.0; LANES]; MAX_SUB_BLOCK];
    let quants = &mut quants[..values.len()];
    for candidate in -CANDIDATES..=CANDIDATES {
        let spread = levels + 0.1 * candidate as f32;
        let inverse = simd.div(simd.splat(spread), range);
        let (mut q_sum, mut qq_sum, mut qx_sum) = (zero, zero, zero);
        for (k, out) in quants.iter_mut().enumerate() {
            let scaled = simd.mul(load(simd, &above_low[k]), inverse);
            let q = round(simd, simd.min(simd.splat(levels), simd.max(zero, scaled)));
            *out = store(simd, q);
            let wq = simd.mul(load(simd, &weights[k]), q);
            q_sum = simd.add(q_sum, wq);
            qq_sum = simd.add(qq_sum, simd.mul(wq, q));
            qx_sum = simd.add(qx_sum, simd.mul(wq, load(simd, &values[k])));
        }
        let sums = Sums {
            w: store(simd, w_sum),
            q: store(simd, q_sum),
            qq: store(simd, qq_sum),
            x: store(simd, x_sum),
            qx: store(simd, qx_sum),
        };
        let (scales, mins) = sums.lines();
        let errors = errors(simd, values, &weights, quants, [&scales, &mins]);
        for lane in 0..LANES {
            let better = errors[lane] < best[lane];
            let scale = if scales[lane] > 0.0 {
                scales[lane]
            } else {
                0.0
            };
            best[lane] = if better { errors[lane] } else { best[lane] };
            best_scale[lane] = if better { scale } else { best_scale[lane] };
            best_min[lane] = if better { mins[lane] } else { best_min[lane] };
        }
    }
    let range = store(simd, range);
    for lane in 0..LANES {
        // Nothing but zeros.
        if range[lane] == 0.0 {
            (best_scale[lane], best_min[lane]) = (0.0, 0.0);
        }
    }
    (best_scale, best_min)
}

/// The weighted square of what scale and min leave of each lane.
#[inline(always)]
fn errors<S: Simd>(
    simd: S,
    values: &[Floats],
    weights: &[Floats],
    quants: &[Floats],
    [scale, min]: [&Floats; 2],
) -> Floats {
    let (scale, min) = (load(simd, scale), load(simd, min));
    let mut sum = simd.splat(0.0);
    for ((x, w), q) in values.iter().zip(weights).zip(quants) {
        let kept = simd.sub(simd.mul(scale, load(simd, q)), min);
        let error = simd.sub(kept, load(simd, x));
        let weighted = simd.mul(load(simd, w), error);
        sum = simd.add(sum, simd.mul(weighted, error));
    }
    store(simd, sum)
}

/// The best signed scale of a sub-block of each lane.
#[inline(always)]
fn symmetric_scale<S: Simd>(simd: S, values: &[Floats]) -> Floats {
    let mut largest = [0.0f32; LANES];
    for x in values {
        keep_largest(&mut largest, x);
    }
    let mut weights = [[0.0; LANES]; MAX_SUB_BLOCK];
    importances(simd, values, &mut weights);
    let (mut best, mut best_scale) = ([f32::NEG_INFINITY; LANES], [0.0; LANES]);
    let (low, high) = (simd.splat(-32.0), simd.splat(31.0));
    for candidate in -CANDIDATES..=CANDIDATES {
        let spread = -32.0 + 0.1 * candidate as f32;
        let inverse = simd.div(simd.splat(spread), load(simd, &largest));
        let (mut qx_sum, mut qq_sum) = (simd.splat(0.0), simd.splat(0.0));
        for (x, w) in values.iter().zip(&weights) {
            let x = load(simd, x);
            let q = simd.min(high, simd.max(low, simd.mul(x, inverse)));
            let q = round(simd, q);
            let wq = simd.mul(load(simd, w), q);
            qx_sum = simd.add(qx_sum, simd.mul(wq, x));
            qq_sum = simd.add(qq_sum, simd.mul(wq, q));
        }
        let (qx, qq) = (store(simd, qx_sum), store(simd, qq_sum));
        for lane in 0..LANES {
            let scale = qx[lane] / qq[lane];
            let explained = qx[lane] * qx[lane] / qq[lane];
            let explained = if qq[lane] > 0.0 { explained } else { 0.0 };
            let better = explained > best[lane];
            best[lane] = if better { explained } else { best[lane] };
            best_scale[lane] = if better { scale } else { best_scale[lane] };
        }
    }
    for lane in 0..LANES {
        if largest[lane] == 0.0 {
            best_scale[lane] = 0.0;
        }
    }
    best_scale
}

/// Weights of the errors of `values`: root mean square and magnitude.
#[inline(always)]
fn importances<S: Simd>(simd: S, values: &[Floats], weights: &mut [Floats]) {
    let mut squares = simd.splat(0.0);
    for x in values {
        let x = load(simd, x);
        squares = simd.add(squares, simd.mul(x, x));
    }
    let count = values.len() as f32;
    let rms = store(simd, squares).map(|sum| (sum / count).sqrt());
    let rms = load(simd, &rms);
    for (x, weight) in values.iter().zip(weights) {
        *weight = store(simd, simd.add(rms, absolute(simd, load(simd, x))));
    }
}

/// `quants = (values + min) / scale`, rounded and kept in `range`.
#[inline(always)]
fn quantize_with<S: Simd>(
    simd: S,
    values: &[Floats],
    scale: Floats,
    min: Floats,
    range: [f32; 2],
    quants: &mut [[i16; LANES]],
) {
    let inverse = scale.map(|scale| if scale == 0.0 { 0.0 } else { 1.0 / scale });
    let (inverse, min) = (load(simd, &inverse), load(simd, &min));
    let (low, high) = (simd.splat(range[0]), simd.splat(range[1]));
    for (x, quants) in values.iter().zip(quants) {
        let q = simd.mul(simd.add(load(simd, x), min), inverse);
        let q = round(simd, simd.min(high, simd.max(low, q)));
        // SAFETY: there are 16 elements.
        unsafe { simd.store_i16(quants.as_mut_ptr(), q) }
    }
}

/// In each lane the first of the largest magnitudes so far.
#[inline(always)]
fn keep_largest(largest: &mut Floats, values: &Floats) {
    for (most, x) in largest.iter_mut().zip(values) {
        *most = if x.abs() > most.abs() { *x } else { *most };
    }
}

/// The largest of each lane, at least 0.
#[inline(always)]
fn most(values: &[Floats]) -> Floats {
    let mut most = [0.0f32; LANES];
    for values in values {
        for (most, &x) in most.iter_mut().zip(values) {
            *most = if x > *most { x } else { *most };
        }
    }
    most
}

/// `value / unit` rounded, from 0 to 63.
#[inline(always)]
fn nearest(value: f32, unit: f32) -> f32 {
    match unit {
        0.0 => 0.0,
        unit => rounded((value / unit).clamp(0.0, 63.0)),
    }
}

#[inline(always)]
fn rounded(x: f32) -> f32 {
    (x + ROUND) - ROUND
}

/// As [`rounded`].
#[inline(always)]
fn round<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let round = simd.splat(ROUND);
    simd.sub(simd.add(x, round), round)
}

#[inline(always)]
fn absolute<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    simd.max(x, simd.sub(simd.splat(0.0), x))
}

#[inline(always)]
fn load<S: Simd>(simd: S, floats: &Floats) -> S::Vector {
    // SAFETY: there are 16 elements.
    unsafe { simd.load(floats.as_ptr()) }
}

#[inline(always)]
fn store<S: Simd>(simd: S, vector: S::Vector) -> Floats {
    let mut floats = [0.0; LANES];
    // SAFETY: there are 16 elements.
    unsafe { simd.store(floats.as_mut_ptr(), vector) };
    floats
}
