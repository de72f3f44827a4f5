//! Integers of a panel as tiles take them.

#![expect(unsafe_code, reason = "vector stores through pointers")]

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::cpu::packed::Chunk;
use crate::cpu::packed::group::PairSink;
use crate::cpu::packed::integers::IntegerPanels;
use crate::cpu::packed::layout::{Format, GROUP, GROUP_LEN, WORDS};
use crate::cpu::prefetch::Prefetch;
use crate::cpu::simd::{LANES, Simd, shrunk_bf16};

/// Up to 256 inputs of a panel in bfloat16, which holds integers of 8 bits, as [`Simd::shrunk_bf16`]
/// makes them. What is not there was never written.
#[repr(align(64))]
pub(crate) struct PairChunk {
    /// Without an offset. `[inputs / 2][16][2]`
    pub(crate) pairs: [MaybeUninit<i16>; Chunk::GROUPS * GROUP_LEN],
    /// Per sub-block. `[inputs / sub-block][16]`
    pub(crate) scales: [MaybeUninit<f32>; 2 * Chunk::GROUPS * LANES],
    /// Per group, of formats that have them. `[inputs / 32][16]`
    pub(crate) mins: [MaybeUninit<f32>; Chunk::GROUPS * LANES],
    /// Groups that it holds.
    pub(crate) groups: usize,
}

impl PairChunk {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self {
            pairs: [MaybeUninit::uninit(); Chunk::GROUPS * GROUP_LEN],
            scales: [MaybeUninit::uninit(); 2 * Chunk::GROUPS * LANES],
            mins: [MaybeUninit::uninit(); Chunk::GROUPS * LANES],
            groups: 0,
        }
    }

    /// Takes chunk `index` of panel `panel`, and asks for what follows.
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
            group.prefetch(simd, Prefetch::STREAM);
            let scales = &mut self.scales[g * subs * LANES..][..subs * LANES];
            for (sub, out) in scales.chunks_exact_mut(LANES).enumerate() {
                let mut sink = Convert::<F> {
                    pairs: &mut self.pairs[g * GROUP_LEN..][..GROUP_LEN],
                    format: PhantomData,
                };
                group.pairs(simd, sub, &mut sink);
                // SAFETY: `out` has 16 elements.
                unsafe { simd.store(out.as_mut_ptr().cast(), group.scale(simd, sub)) };
            }
            if F::LAYOUT.mins > 0 {
                let out = &mut self.mins[g * LANES..][..LANES];
                // SAFETY: `out` has 16 elements.
                unsafe { simd.store(out.as_mut_ptr().cast(), group.min(simd)) };
            }
        }
    }
}

/// Makes bfloat16 of integers.
struct Convert<'a, F> {
    pairs: &'a mut [MaybeUninit<i16>],
    format: PhantomData<F>,
}

impl<S: Simd, F: Format> PairSink<S> for Convert<'_, F> {
    #[inline(always)]
    fn take(&mut self, simd: S, pair: usize, weights: S::Pairs) {
        let converted = if F::LAYOUT.width() <= 5 {
            const { assert!(TABLE_LEN == 1 << 5) };
            let table: &[i16; TABLE_LEN] = const { &table(F::LAYOUT.offset) };
            // SAFETY: the table is a vector.
            simd.look_up(unsafe { simd.load_pairs(table.as_ptr()) }, weights)
        } else {
            let integers = match F::LAYOUT.offset {
                0 => weights,
                offset => simd.subtract_pairs(weights, offset),
            };
            simd.shrunk_bf16(integers)
        };
        let out = &mut self.pairs[pair * WORDS..][..WORDS];
        // SAFETY: there are 32 elements.
        unsafe { simd.store_pairs(out.as_mut_ptr().cast(), converted) }
    }
}

/// Elements of a vector.
const TABLE_LEN: usize = 2 * LANES;

/// The integers from `-offset` on, as [`Simd::shrunk_bf16`] makes them.
const fn table(offset: i16) -> [i16; TABLE_LEN] {
    let mut table = [0; TABLE_LEN];
    let mut i = 0;
    while i < TABLE_LEN {
        table[i] = shrunk_bf16(i as i16 - offset);
        i += 1;
    }
    table
}
