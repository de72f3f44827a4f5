//! By dot products of pairs.

#![expect(unsafe_code, reason = "panels are read through pointers")]

use crate::cpu::pairs::{Bf16Chunk, VECTOR};
use crate::cpu::simd::Simd;

/// Rows of the largest tile: with two panels, 24 sums, 2 weights and a broadcast of 32 registers.
pub(crate) const MOST_ROWS: usize = 12;
/// Elements of a panel that are asked for ahead: 4 KiB, some 150 nanoseconds of streaming.
const AHEAD: usize = 2048;

/// `acc[r][p] +=` the products of `pairs` pairs of `input[r]`, from pair `first` on, and the first
/// `pairs` of `panels[p]`, in ascending order.
///
/// # Safety
/// `pairs` vectors are readable at each of `panels`.
#[inline(always)]
pub(crate) unsafe fn accumulate<S: Simd, const R: usize, const P: usize>(
    simd: S,
    (input, first): (&[Bf16Chunk; R], usize),
    panels: [*const i16; P],
    pairs: usize,
    acc: &mut [[S::Vector; P]; R],
) {
    let mut sums = *acc;
    for pair in 0..pairs {
        let mut vectors = [simd.splat_pair(0); P];
        for p in 0..P {
            let ptr = panels[p].wrapping_add(pair * VECTOR);
            // SAFETY: `pair < pairs`.
            vectors[p] = unsafe { simd.load_pairs(ptr) };
            // A vector is a cache line. Where the line is in the cache already, as for all tiles
            // but the first, asking is next to free.
            simd.prefetch(ptr.wrapping_add(AHEAD).cast());
        }
        for r in 0..R {
            let x = simd.splat_pair(input[r].pair(first + pair));
            for p in 0..P {
                sums[r][p] = simd.dot_bf16(sums[r][p], vectors[p], x);
            }
        }
    }
    *acc = sums;
}
