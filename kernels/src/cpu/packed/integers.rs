//! Panels of integers with scales: GGUF's blocks, rearranged so that 16 output features are read at
//! once.
//!
//! A product with few rows takes the pairs as they are made; one with many has them made once, in
//! chunks of at most 256 inputs.

#![expect(unsafe_code, reason = "vector stores through pointers")]

use crate::cpu::memory::AlignedSlice;
use crate::cpu::packed::Stack;
use crate::cpu::packed::group::{Group, PairSink};
use crate::cpu::packed::layout::{Format, GROUP, GROUP_LEN, Layout, WORDS};
use crate::cpu::packed::panel::PackPanel;
use crate::cpu::pool::Pool;
use crate::cpu::prefetch::Prefetch;
use crate::cpu::simd::{Isa, LANES, Simd};
use crate::{KernelError, WeightDtype};

/// A matrix in blocks.
pub(crate) struct IntegerPanels {
    layout: Layout,
    in_features: usize,
    bytes: AlignedSlice<u8>,
}

/// Up to 256 inputs of a panel, as products take them.
#[repr(align(64))]
pub(crate) struct Chunk {
    /// With the format's offset. `[inputs / 2][16][2]`
    pub(crate) pairs: [i16; Chunk::GROUPS * GROUP_LEN],
    /// Per sub-block. `[inputs / sub-block][16]`
    pub(crate) scales: [f32; 2 * Chunk::GROUPS * LANES],
    /// Per group, of formats that have them. `[inputs / 32][16]`
    pub(crate) mins: [f32; Chunk::GROUPS * LANES],
    /// Groups that it holds.
    pub(crate) groups: usize,
}

impl IntegerPanels {
    /// Packs the rows of `stack`, quantising those that are no blocks.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn pack(pool: &Pool, isa: Isa, stack: Stack<'_, '_>) -> Result<Self, KernelError> {
        let (out_features, in_features) = (stack.num_rows(), stack.in_features());
        let mut panels = Self::zeroed(stack.dtype, out_features, in_features)?;
        let layout = panels.layout;
        let panel_bytes = layout.panel_bytes(in_features);
        pool.for_chunks(&mut panels.bytes, panel_bytes, |index, panel| {
            isa.run(PackPanel {
                stack,
                layout: &layout,
                first: index * LANES,
                panel,
            });
        });
        Ok(panels)
    }

    /// Panels of nothing but zero bits.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn zeroed(
        dtype: WeightDtype,
        out_features: usize,
        in_features: usize,
    ) -> Result<Self, KernelError> {
        let layout = Layout::of(dtype);
        let panel_bytes = layout.panel_bytes(in_features);
        let num_bytes = out_features.div_ceil(LANES).saturating_mul(panel_bytes);
        Ok(Self {
            layout,
            in_features,
            bytes: AlignedSlice::zeroed(num_bytes, "packed weights")?,
        })
    }

    /// Where the parts of a block lie.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All panels.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As [`Self::bytes`], to be filled.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The format.
    pub(crate) fn dtype(&self) -> WeightDtype {
        self.layout.dtype
    }

    /// Chunks of a panel.
    pub(crate) fn num_chunks(&self) -> usize {
        (self.in_features / GROUP).div_ceil(Chunk::GROUPS)
    }

    /// Groups of a panel.
    pub(crate) fn num_groups(&self) -> usize {
        self.in_features / GROUP
    }

    /// Group `index` of panel `panel`.
    ///
    /// # Panics
    /// If there is none.
    #[inline(always)]
    pub(crate) fn group<F: Format>(&self, panel: usize, index: usize) -> Group<'_, F> {
        let layout = &F::LAYOUT;
        let panel_bytes = layout.panel_bytes(self.in_features);
        let (block, group) = (index / layout.groups, index % layout.groups);
        let start = panel * panel_bytes + block * layout.block_bytes();
        let header = &self.bytes[start..start + layout.header];
        let start = start + layout.header + group * layout.group_bytes();
        let bytes = &self.bytes[start..start + layout.group_bytes()];
        Group::new(header, bytes)
    }

    /// Makes the pairs, scales and mins of chunk `index` of panel `panel`.
    ///
    /// # Panics
    /// If there is none.
    #[inline(always)]
    pub(crate) fn unpack<S: Simd, F: Format>(
        &self,
        simd: S,
        panel: usize,
        index: usize,
        chunk: &mut Chunk,
    ) {
        let first = index * Chunk::GROUPS;
        chunk.groups = Chunk::GROUPS.min(self.num_groups() - first);
        let subs = GROUP / F::LAYOUT.sub_len;
        for g in 0..chunk.groups {
            let group = self.group::<F>(panel, first + g);
            group.prefetch(simd, Prefetch::STREAM);
            let scales = &mut chunk.scales[g * subs * LANES..][..subs * LANES];
            for (sub, out) in scales.chunks_exact_mut(LANES).enumerate() {
                let mut sink = Store {
                    pairs: &mut chunk.pairs[g * GROUP_LEN..][..GROUP_LEN],
                };
                group.pairs(simd, sub, &mut sink);
                // SAFETY: `out` has 16 elements.
                unsafe { simd.store(out.as_mut_ptr(), group.scale(simd, sub)) };
            }
            if F::LAYOUT.mins > 0 {
                let out = &mut chunk.mins[g * LANES..][..LANES];
                // SAFETY: `out` has 16 elements.
                unsafe { simd.store(out.as_mut_ptr(), group.min(simd)) };
            }
        }
    }

    /// Row `row` of the matrix into `out` `[in_features]`.
    pub(super) fn unpack_row(&self, row: usize, out: &mut [f32]) {
        let panel_bytes = self.layout.panel_bytes(self.in_features);
        let panel = &self.bytes[row / LANES * panel_bytes..][..panel_bytes];
        let len = self.layout.groups * GROUP;
        let blocks = panel.chunks_exact(self.layout.block_bytes());
        for (out, bytes) in out.chunks_exact_mut(len).zip(blocks) {
            let block = self.layout.read(row % LANES, bytes);
            block.values(self.layout.dtype, out);
        }
    }
}

impl Chunk {
    /// Groups that it has room for.
    pub(crate) const GROUPS: usize = 8;
    /// Inputs that it has room for.
    pub(crate) const LEN: usize = Self::GROUPS * GROUP;

    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            pairs: [0; Chunk::GROUPS * GROUP_LEN],
            scales: [0.0; 2 * Chunk::GROUPS * LANES],
            mins: [0.0; Chunk::GROUPS * LANES],
            groups: 0,
        }
    }
}

/// Keeps pairs, `[16 pairs][16][2]`.
struct Store<'a> {
    pairs: &'a mut [i16],
}

impl<S: Simd> PairSink<S> for Store<'_> {
    #[inline(always)]
    fn take(&mut self, simd: S, pair: usize, weights: S::Pairs) {
        let pairs = &mut self.pairs[pair * WORDS..][..WORDS];
        // SAFETY: there are 32 elements.
        unsafe { simd.store_pairs(pairs.as_mut_ptr(), weights) }
    }
}
