//! Integers of a panel as tiles take them.

#![expect(unsafe_code, reason = "vector stores through pointers")]

use crate::cpu::packed::Chunk;
use crate::cpu::packed::group::PairSink;
use crate::cpu::packed::integers::IntegerPanels;
use crate::cpu::packed::layout::{Format, GROUP, GROUP_LEN, VECTOR};
use crate::cpu::simd::{LANES, Simd};

/// Up to 256 inputs of a panel, of which four lie together for each output: of 16 inputs, `n`, `n + 8`,
/// `n + 1` and `n + 9`, which are two pairs joined without moving anything.
#[repr(align(64))]
pub(crate) struct Quads {
    /// Signed, without an offset. `[inputs / 4][16][4]`
    pub(crate) bytes: [u8; Chunk::GROUPS * GROUP_LEN],
    /// Per sub-block. `[inputs / sub-block][16]`
    pub(crate) scales: [f32; 2 * Chunk::GROUPS * LANES],
    /// Per group, of formats that have them. `[inputs / 32][16]`
    pub(crate) mins: [f32; Chunk::GROUPS * LANES],
    /// Groups that it holds.
    pub(crate) groups: usize,
}

impl Quads {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; Chunk::GROUPS * GROUP_LEN],
            scales: [0.0; 2 * Chunk::GROUPS * LANES],
            mins: [0.0; Chunk::GROUPS * LANES],
            groups: 0,
        }
    }

    /// Takes chunk `index` of panel `panel`.
    ///
    /// # Panics
    /// If there is none.
    #[inline(always)]
    pub(crate) fn fill<S: Simd, F: Format>(
        &mut self,
        simd: S,
        panels: &IntegerPanels,
        panel: usize,
        index: usize,
    ) {
        let first = index * Chunk::GROUPS;
        self.groups = Chunk::GROUPS.min(panels.num_groups() - first);
        let subs = GROUP / F::LAYOUT.sub_len;
        for g in 0..self.groups {
            let group = panels.group::<F>(panel, first + g);
            let scales = &mut self.scales[g * subs * LANES..][..subs * LANES];
            for (sub, out) in scales.chunks_exact_mut(LANES).enumerate() {
                let mut sink = Join {
                    quads: &mut self.bytes[g * GROUP_LEN..][..GROUP_LEN],
                    offset: F::LAYOUT.offset as i8,
                    first: [simd.splat_pair(0); APART],
                };
                group.pairs(simd, sub, &mut sink);
                // SAFETY: `out` has 16 elements.
                unsafe { simd.store(out.as_mut_ptr(), group.scale(simd, sub)) };
            }
            if F::LAYOUT.mins > 0 {
                let out = &mut self.mins[g * LANES..][..LANES];
                // SAFETY: `out` has 16 elements.
                unsafe { simd.store(out.as_mut_ptr(), group.min(simd)) };
            }
        }
    }
}

/// Pairs between two that are joined.
const APART: usize = 4;

/// Joins pairs.
struct Join<'a, S: Simd> {
    quads: &'a mut [u8],
    offset: i8,
    /// The pairs before.
    first: [S::Pairs; APART],
}

impl<S: Simd> PairSink<S> for Join<'_, S> {
    #[inline(always)]
    fn take(&mut self, simd: S, pair: usize, weights: S::Pairs) {
        let (block, place) = (pair / (2 * APART), pair % (2 * APART));
        if place < APART {
            self.first[place] = weights;
            return;
        }
        let low = simd.mask_pairs(self.first[place - APART], 0xff);
        let mut quad = simd.join_pairs(low, simd.shift_pairs_up::<8>(weights));
        if self.offset != 0 {
            quad = simd.sub_bytes(quad, self.offset);
        }
        let out = &mut self.quads[(block * APART + place - APART) * VECTOR..][..VECTOR];
        // SAFETY: 64 bytes, of any alignment.
        unsafe { simd.store_pairs(out.as_mut_ptr().cast(), quad) }
    }
}
