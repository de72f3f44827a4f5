//! Rows of logits on the host: their maxima and exponentials, span by span.
//!
//! What samples from a row, or asks for log probabilities, passes over a hundred thousand logits
//! for each token. Here are these passes; maxima and masses of spans let the rest look at few of
//! them. A logit that is not a number counts as impossible. Instruction sets may differ in bits.

#![expect(unsafe_code, reason = "vector loads and stores through pointers")]

#[cfg(test)]
mod tests;

use crate::cpu::exp::exp;
use crate::cpu::simd::{Isa, Kernel, LANES, Simd, store_partial};

/// Elements of a span; the last one of a row may have fewer.
pub const SPAN: usize = 4 * LANES;

/// The largest element of every span, negative infinity where there is none.
/// `[row.len() / SPAN, rounded up]`
pub fn span_maxima(row: &[f32], maxima: &mut Vec<f32>) {
    maxima.clear();
    maxima.resize(row.len().div_ceil(SPAN), f32::NEG_INFINITY);
    Isa::detect().run(SpanMaxima { row, maxima });
}

/// The largest element, negative infinity where there is none.
pub fn largest(row: &[f32]) -> f32 {
    let mut largest = f32::NEG_INFINITY;
    Isa::detect().run(Largest {
        row,
        out: &mut largest,
    });
    largest
}

/// `weights = e^((row - largest) * scale)`, each within 3e-7 of its exponent's, those below `e^-80`
/// zero; and the sum of every span, within 3e-7. `weights` `[row.len()]`,
/// `masses` `[row.len() / SPAN, rounded up]`
///
/// `largest` and `scale` are finite.
pub fn weigh(row: &[f32], largest: f32, scale: f32, weights: &mut Vec<f32>, masses: &mut Vec<f64>) {
    weights.resize(row.len(), 0.0);
    masses.resize(row.len().div_ceil(SPAN), 0.0);
    Isa::detect().run(Weigh {
        row,
        largest,
        scale,
        weights,
        masses,
    });
}

/// The sum of `e^(row - largest)`, within 3e-7; `largest` is finite.
pub fn sum_exp(row: &[f32], largest: f32) -> f64 {
    let mut sum = 0.0;
    Isa::detect().run(SumExp {
        row,
        largest,
        out: &mut sum,
    });
    sum
}

struct SpanMaxima<'a> {
    row: &'a [f32],
    maxima: &'a mut [f32],
}

impl Kernel for SpanMaxima<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (span, out) in self.row.chunks(SPAN).zip(self.maxima) {
            *out = simd.max_lane(span_max(simd, span, simd.splat(f32::NEG_INFINITY)));
        }
    }
}

struct Largest<'a> {
    row: &'a [f32],
    out: &'a mut f32,
}

impl Kernel for Largest<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let none = simd.splat(f32::NEG_INFINITY);
        let spans = self.row.chunks(SPAN);
        let lanes = spans.fold(none, |lanes, span| span_max(simd, span, lanes));
        *self.out = simd.max_lane(lanes);
    }
}

struct Weigh<'a> {
    row: &'a [f32],
    largest: f32,
    scale: f32,
    weights: &'a mut [f32],
    masses: &'a mut [f64],
}

impl Kernel for Weigh<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (largest, scale) = (simd.splat(self.largest), simd.splat(self.scale));
        let spans = self.row.chunks(SPAN).zip(self.weights.chunks_mut(SPAN));
        for ((span, out), mass) in spans.zip(self.masses) {
            let mut sum = simd.splat(0.0);
            for (part, out) in span.chunks(LANES).zip(out.chunks_mut(LANES)) {
                let logits = load_or_impossible(simd, part);
                let weights = exp(simd, simd.mul(simd.sub(logits, largest), scale));
                sum = simd.add(sum, weights);
                // SAFETY: `out` has as many elements as `part`, at most 16.
                unsafe {
                    if out.len() == LANES {
                        simd.store(out.as_mut_ptr(), weights);
                    } else {
                        store_partial(simd, out.as_mut_ptr(), weights, out.len());
                    }
                }
            }
            *mass = f64::from(simd.sum(sum));
        }
    }
}

struct SumExp<'a> {
    row: &'a [f32],
    largest: f32,
    out: &'a mut f64,
}

impl Kernel for SumExp<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let largest = simd.splat(self.largest);
        for span in self.row.chunks(SPAN) {
            let mut sum = simd.splat(0.0);
            for part in span.chunks(LANES) {
                let logits = load_or_impossible(simd, part);
                sum = simd.add(sum, exp(simd, simd.sub(logits, largest)));
            }
            *self.out += f64::from(simd.sum(sum));
        }
    }
}

/// Lane by lane the largest of `lanes` and of the span.
#[inline(always)]
fn span_max<S: Simd>(simd: S, span: &[f32], lanes: S::Vector) -> S::Vector {
    span.chunks(LANES).fold(lanes, |lanes, part| {
        simd.max(load_or_impossible(simd, part), lanes)
    })
}

/// Up to 16 logits; negative infinity in the lanes behind them and in place of what is no number.
#[inline(always)]
fn load_or_impossible<S: Simd>(simd: S, part: &[f32]) -> S::Vector {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let ptr = if part.len() == LANES {
        part.as_ptr()
    } else {
        lanes[..part.len()].copy_from_slice(part);
        lanes.as_ptr()
    };
    // SAFETY: 16 elements lie at either.
    let logits = unsafe { simd.load(ptr) };
    simd.max(logits, simd.splat(f32::NEG_INFINITY))
}
