//! Inputs of integer products.

#![expect(
    unsafe_code,
    reason = "vector loads and stores through pointers, and zero bytes"
)]

use crate::cpu::linear::chunked_rows::RowChunk;
use crate::cpu::memory::Zeroable;
use crate::cpu::packed::{Chunk, GROUP};
use crate::cpu::simd::{Isa, Kernel, LANES, Simd};

/// The largest magnitude of a quantised input: 15 bits, so that rounding inputs adds next to nothing
/// to the error of the weights (8 bits would add as much again). 32 products with weights of 8 bits
/// still fit 32 bits.
const LARGEST: f32 = 32_767.0;
/// Adding it to a float below 2^22 leaves the nearest integer in its low bits.
const ROUND: f32 = 12_582_912.0;

/// Up to 256 inputs of a row as integers, with a scale for each 32: whole groups. One with a value
/// that is not finite gets a scale that is not a number, so that its products are none either.
#[derive(Clone, Copy)]
pub(crate) struct IntegerChunk {
    pub(super) values: [i16; Chunk::LEN],
    /// One for each group.
    pub(super) scales: [f32; Chunk::GROUPS],
    /// Scaled sums of groups, negated.
    pub(super) minus_sums: [f32; Chunk::GROUPS],
    /// Sums of the integers of half groups.
    pub(super) sums: [i32; 2 * Chunk::GROUPS],
}

// SAFETY: zero bytes are zeros in all of its arrays, and they need no destructor.
unsafe impl Zeroable for IntegerChunk {}

impl RowChunk for IntegerChunk {
    fn fill(&mut self, isa: Isa, input: &[f32]) {
        isa.run(QuantizeChunk { input, chunk: self });
    }
}

/// `input` as integers.
struct QuantizeChunk<'a> {
    input: &'a [f32],
    chunk: &'a mut IntegerChunk,
}

impl Kernel for QuantizeChunk<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let chunk = self.chunk;
        for (group, input) in self.input.chunks_exact(GROUP).enumerate() {
            let values = &mut chunk.values[group * GROUP..][..GROUP];
            // SAFETY: a group is two vectors.
            unsafe {
                let low = simd.load(input.as_ptr());
                let high = simd.load(input.as_ptr().add(LANES));
                let sizes = simd.max(magnitude(simd, low), magnitude(simd, high));
                let largest = simd.max_lane(sizes);
                // Zero, or NaN if one is not finite.
                let zero = simd.splat(0.0);
                let finite = simd.sum(simd.add(simd.mul(low, zero), simd.mul(high, zero)));
                let inverse = match largest > 0.0 {
                    true => LARGEST / largest,
                    false => 0.0,
                };
                let low = rounded(simd, simd.mul(low, simd.splat(inverse)));
                let high = rounded(simd, simd.mul(high, simd.splat(inverse)));
                simd.store_i16(values.as_mut_ptr(), low);
                simd.store_i16(values.as_mut_ptr().add(LANES), high);
                let scale = largest / LARGEST + finite;
                // Whole numbers below 2^24: exact in any order.
                let sums = [simd.sum(low) as i32, simd.sum(high) as i32];
                chunk.scales[group] = scale;
                chunk.sums[2 * group] = sums[0];
                chunk.sums[2 * group + 1] = sums[1];
                chunk.minus_sums[group] = -scale * (sums[0] + sums[1]) as f32;
            }
        }
    }
}

#[inline(always)]
fn magnitude<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    simd.max(x, simd.sub(simd.splat(0.0), x))
}

/// The nearest whole numbers, of lanes below 2^22.
#[inline(always)]
fn rounded<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let round = simd.splat(ROUND);
    simd.sub(simd.add(x, round), round)
}
