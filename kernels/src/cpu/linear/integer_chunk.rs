//! Inputs of integer products.

#![expect(
    unsafe_code,
    reason = "vector loads and stores through pointers, and zero bytes"
)]

use half::bf16;

use crate::cpu::linear::chunked_rows::RowChunk;
use crate::cpu::memory::Zeroable;
use crate::cpu::packed::{Chunk, GROUP};
use crate::cpu::simd::{Isa, Kernel, LANES, Simd};

/// The largest magnitude of a quantised input: 15 bits, so that rounding inputs adds next to nothing
/// to the error of weights in Q8_0 (7 bits would add as much again). 32 products with weights of 8
/// bits still fit 32 bits.
const LARGEST: f32 = 32_767.0;
/// The same where many rows are multiplied on tiles: 8 bits, which bfloat16 holds, so that 32 products
/// are exact in f32. Their squared error is a fourth of what 7 bits would add.
pub(super) const LARGEST_ON_TILES: f32 = 255.0;
/// Groups of nothing larger become zeros: the inverse of their scale would be no finite number.
const SMALLEST: f32 = 1e-33;
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
        isa.run(QuantizeChunk {
            input,
            largest: largest(isa),
            chunk: self,
        });
    }
}

/// `input` as integers.
struct QuantizeChunk<'a> {
    input: &'a [f32],
    largest: f32,
    chunk: &'a mut IntegerChunk,
}

impl Kernel for QuantizeChunk<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.chunk.quantize(simd, self.input, self.largest);
    }
}

impl IntegerChunk {
    /// Takes `input`, with integers of at most `largest`.
    #[inline(always)]
    pub(super) fn quantize<S: Simd>(&mut self, simd: S, input: &[f32], largest: f32) {
        for (group, input) in input.as_chunks::<GROUP>().0.iter().enumerate() {
            let quantized = QuantizedGroup::of(simd, input, largest);
            quantized.store(simd, &mut self.values.as_chunks_mut().0[group]);
            let (low, high) = (simd.sum(quantized.low), simd.sum(quantized.high));
            // Whole numbers below 2^24: exact in any order.
            self.sums[2 * group] = low as i32;
            self.sums[2 * group + 1] = high as i32;
            (self.scales[group], self.minus_sums[group]) = quantized.scales(low + high);
        }
    }
}

/// The largest magnitude of a quantised input.
pub(super) fn largest(isa: Isa) -> f32 {
    match isa.has_tiles() {
        true => LARGEST_ON_TILES,
        false => LARGEST,
    }
}

/// 32 inputs as whole numbers.
pub(super) struct QuantizedGroup<S: Simd> {
    low: S::Vector,
    high: S::Vector,
    scale: f32,
}

impl<S: Simd> QuantizedGroup<S> {
    /// Quantises `input` to at most `bound`.
    #[inline(always)]
    pub(super) fn of(simd: S, input: &[f32; GROUP], bound: f32) -> Self {
        // SAFETY: a group is two vectors.
        let (low, high) = unsafe {
            let ptr = input.as_ptr();
            (simd.load(ptr), simd.load(ptr.add(LANES)))
        };
        let sizes = simd.max(magnitude(simd, low), magnitude(simd, high));
        let largest = simd.max_lane(sizes);
        let inverse = match largest > SMALLEST {
            true => simd.splat(bound / largest),
            false => simd.splat(0.0),
        };
        Self {
            low: rounded(simd, simd.mul(low, inverse)),
            high: rounded(simd, simd.mul(high, inverse)),
            scale: largest / bound,
        }
    }

    /// Writes the whole numbers.
    #[inline(always)]
    pub(super) fn store(&self, simd: S, values: &mut [i16; GROUP]) {
        // SAFETY: a group is two vectors.
        unsafe {
            simd.store_i16(values.as_mut_ptr(), self.low);
            simd.store_i16(values.as_mut_ptr().add(LANES), self.high);
        }
    }

    /// The whole numbers, at most 256, times `factor`, a power of 2, in bfloat16.
    #[inline(always)]
    pub(super) fn store_bf16(&self, simd: S, factor: f32, values: &mut [bf16; GROUP]) {
        let factor = simd.splat(factor);
        // SAFETY: a group is two vectors.
        unsafe {
            simd.store_bf16(values.as_mut_ptr(), simd.mul(self.low, factor));
            let high = values.as_mut_ptr().add(LANES);
            simd.store_bf16(high, simd.mul(self.high, factor));
        }
    }

    /// Their sum: whole, and exact in any order; NaN where an input is not finite.
    #[inline(always)]
    pub(super) fn sum(&self, simd: S) -> f32 {
        simd.sum(simd.add(self.low, self.high))
    }

    /// The scale, and the scaled `sum`, negated; both NaN if that is.
    #[inline(always)]
    pub(super) fn scales(&self, sum: f32) -> (f32, f32) {
        // Zero, or NaN.
        let scale = self.scale + sum * 0.0;
        (scale, -scale * sum)
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
