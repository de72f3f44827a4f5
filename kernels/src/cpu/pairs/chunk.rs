//! Rows of bfloat16.

#![expect(
    unsafe_code,
    reason = "reads pairs through pointers, and makes chunks of zero bytes"
)]

use half::bf16;

use crate::cpu::memory::Zeroable;
use crate::cpu::pairs::STEP_PAIRS;
use crate::cpu::simd::{Kernel, LANES, Simd, load_partial};

/// Up to 256 elements of a row, rounded to the nearest even bfloat16; zeros up to a multiple of 32.
/// What is not finite stays so, and what is beyond the largest bfloat16, 3.39e38, becomes infinite;
/// subnormal elements may become zero, for which products take them anyway.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Bf16Chunk([bf16; Self::LEN]);

// SAFETY: zero bytes are zeros, and they need no destructor.
unsafe impl Zeroable for Bf16Chunk {}

impl Bf16Chunk {
    pub(crate) const LEN: usize = 256;
    pub(crate) const PAIRS: usize = Self::LEN / 2;
    pub(crate) const BYTES: usize = size_of::<Self>();
    /// Tiles.
    pub(crate) const STEPS: usize = Self::PAIRS / STEP_PAIRS;

    /// Elements `2 * pair` and `2 * pair + 1`, as [`Simd::splat_pair`] takes them.
    #[inline(always)]
    pub(crate) fn pair(&self, pair: usize) -> i32 {
        debug_assert!(pair < Self::PAIRS);
        // SAFETY: callers count pairs of a chunk.
        unsafe { self.0.as_ptr().cast::<i32>().add(pair).read_unaligned() }
    }

    /// Rounds `value` to elements `16 * vector` and on.
    #[inline(always)]
    pub(crate) fn set<S: Simd>(&mut self, simd: S, vector: usize, value: S::Vector) {
        let elements = &mut self.0[vector * LANES..(vector + 1) * LANES];
        // SAFETY: these are 16.
        unsafe { simd.store_bf16(elements.as_mut_ptr(), value) };
    }

    /// Zeroes elements `16 * vectors.start` and on.
    #[inline(always)]
    pub(crate) fn clear(&mut self, vectors: std::ops::Range<usize>) {
        self.0[vectors.start * LANES..vectors.end * LANES].fill(bf16::ZERO);
    }
}

/// `input`, of at most 256 elements.
pub(crate) struct Round<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) chunk: &'a mut Bf16Chunk,
}

impl Kernel for Round<'_> {
    const DOTS_BF16: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let len = self.input.len();
        for (vector, part) in self.input.chunks(LANES).enumerate() {
            // SAFETY: the part has as many elements as it says.
            let value = unsafe {
                match part.len() {
                    LANES => simd.load(part.as_ptr()),
                    _ => load_partial(simd, part.as_ptr(), part.len()),
                }
            };
            self.chunk.set(simd, vector, value);
        }
        let step = 2 * STEP_PAIRS;
        let end = len.next_multiple_of(step) / LANES;
        self.chunk.clear(len.div_ceil(LANES)..end);
    }
}
