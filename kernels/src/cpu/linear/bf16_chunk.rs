//! Inputs of products with pairs of bfloat16.

#![expect(
    unsafe_code,
    reason = "reads pairs through pointers, and makes chunks of zero bytes"
)]

use half::bf16;

use crate::cpu::linear::chunked_rows::{CHUNK_LEN, RowChunk};
use crate::cpu::memory::Zeroable;
use crate::cpu::simd::{Isa, Kernel, Simd};

/// Inputs that a tile takes.
const STEP: usize = 32;

/// Up to 256 inputs of a row, rounded to the nearest even bfloat16; zeros up to a multiple of 32. What is not finite stays so, and what is beyond the largest bfloat16, 3.39e38, becomes
/// infinite.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Bf16Chunk([bf16; CHUNK_LEN]);

// SAFETY: zero bytes are zeros, and they need no destructor.
unsafe impl Zeroable for Bf16Chunk {}

impl RowChunk for Bf16Chunk {
    fn fill(&mut self, isa: Isa, input: &[f32]) {
        isa.run(RoundChunk { input, chunk: self });
    }
}

impl Bf16Chunk {
    pub(super) const PAIRS: usize = CHUNK_LEN / 2;
    pub(super) const BYTES: usize = size_of::<Self>();
    /// Tiles.
    pub(super) const STEPS: usize = CHUNK_LEN / STEP;

    /// Inputs `2 * pair` and `2 * pair + 1`, as [`Simd::splat_pair`] takes them.
    #[inline(always)]
    pub(super) fn pair(&self, pair: usize) -> i32 {
        debug_assert!(pair < Self::PAIRS);
        // SAFETY: callers count pairs of a chunk.
        unsafe { self.0.as_ptr().cast::<i32>().add(pair).read_unaligned() }
    }
}

/// `input` in bfloat16.
struct RoundChunk<'a> {
    input: &'a [f32],
    chunk: &'a mut Bf16Chunk,
}

impl Kernel for RoundChunk<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let (rounded, rest) = self.chunk.0.split_at_mut(self.input.len());
        for (rounded, &value) in rounded.iter_mut().zip(self.input) {
            *rounded = to_bf16(value);
        }
        let len = self.input.len();
        rest[..len.next_multiple_of(STEP) - len].fill(bf16::ZERO);
    }
}

/// As [`bf16::from_f32`], but without branches: the compiler makes vectors of it.
#[inline(always)]
fn to_bf16(value: f32) -> bf16 {
    let bits = value.to_bits();
    let half = 0x7fff + (bits >> 16 & 1);
    let rounded = (bits.wrapping_add(half) >> 16) as u16;
    // Of a NaN whose upper half would be an infinity, too.
    let quiet = (bits >> 16) as u16 | 0x40;
    bf16::from_bits(if value.is_nan() { quiet } else { rounded })
}
