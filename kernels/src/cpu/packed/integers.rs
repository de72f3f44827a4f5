//! Panels of integers with scales: GGUF's blocks, rearranged so that 16 output features are read at
//! once.
//!
//! A panel is 16 output features, one block of each after the other:
//!
//! ```text
//! d [16] f16, dmin [16] f16 (formats with mins)
//! for each 32 inputs:
//!     scales [sub-blocks][16] i8, mins [16] u8      (formats of 256)
//!     8 bits: [16 pairs of inputs][16 outputs][2]
//!     less:   low four bits  [8][16][2], of two pairs in a byte, the first one low
//!             the others     [16 / pairs in a byte][16][2], the first one lowest
//! ```
//!
//! The last panel is filled up with zeros. A product reads a panel in chunks of at most 256 inputs,
//! widened to 16 bits by [`IntegerPanels::unpack`] and used for all rows.

#![expect(unsafe_code, reason = "vector loads and stores through pointers")]

use half::f16;

use crate::cpu::memory::AlignedSlice;
use crate::cpu::packed::Stack;
use crate::cpu::pool::Pool;
use crate::cpu::simd::{LANES, Simd};
use crate::quantized::{Block, sub_block_len};
use crate::{KernelError, WeightDtype};

/// Inputs that share a scale of the activations, and at least one of the weights.
pub(crate) const GROUP: usize = 32;
/// Groups of a chunk.
const CHUNK_GROUPS: usize = 8;
/// Weights of a group in a panel.
const GROUP_LEN: usize = GROUP * LANES;
/// Bytes of one vector of bytes: a pair of inputs for each output.
const PAIR: usize = 2 * LANES;
/// How far ahead of what is unpacked the next bytes are asked for: some 150 nanoseconds of reading.
const AHEAD: usize = 4096;
const CACHE_LINE: usize = 64;

/// A matrix in blocks.
pub(crate) struct IntegerPanels {
    layout: Layout,
    in_features: usize,
    bytes: AlignedSlice<u8>,
}

/// Where the parts of a block of 16 outputs lie.
#[derive(Clone, Copy)]
struct Layout {
    dtype: WeightDtype,
    /// Groups of a block.
    groups: usize,
    /// Bytes of `d` and `dmin`.
    header: usize,
    /// Bytes of a group's scales.
    scales: usize,
    /// Bytes of a group's mins.
    mins: usize,
    /// Bytes of a group's low bits: eight or four per weight.
    low: usize,
    /// Bytes of a group's other bits.
    high: usize,
    /// What is added to a weight so that its bits are unsigned.
    offset: i16,
}

/// Up to 256 inputs of a panel, as products take them.
#[repr(align(64))]
pub(crate) struct Chunk {
    /// `[inputs / 2][16][2]`
    pub(crate) pairs: [i16; CHUNK_GROUPS * GROUP_LEN],
    /// Per sub-block. `[inputs / sub-block][16]`
    pub(crate) scales: [f32; 2 * CHUNK_GROUPS * LANES],
    /// Per group, of formats that have them. `[inputs / 32][16]`
    pub(crate) mins: [f32; CHUNK_GROUPS * LANES],
    /// Groups that it holds.
    pub(crate) groups: usize,
}

impl Layout {
    fn of(dtype: WeightDtype) -> Self {
        let simple = Self {
            dtype,
            groups: 1,
            header: 2 * LANES,
            scales: 0,
            mins: 0,
            low: GROUP_LEN / 2,
            high: 0,
            offset: 0,
        };
        let with_mins = Self {
            groups: 8,
            header: 4 * LANES,
            scales: LANES,
            mins: LANES,
            ..simple
        };
        match dtype {
            WeightDtype::Q8_0 => Self {
                low: GROUP_LEN,
                ..simple
            },
            WeightDtype::Q4_0 => Self {
                offset: 8,
                ..simple
            },
            WeightDtype::Q5_0 => Self {
                high: GROUP_LEN / 8,
                offset: 16,
                ..simple
            },
            WeightDtype::Q4K => with_mins,
            WeightDtype::Q5K => Self {
                high: GROUP_LEN / 8,
                ..with_mins
            },
            WeightDtype::Q6K => Self {
                groups: 8,
                scales: 2 * LANES,
                high: GROUP_LEN / 4,
                offset: 32,
                ..simple
            },
            WeightDtype::F32 | WeightDtype::F16 | WeightDtype::Bf16 => {
                unreachable!("{dtype:?} has no blocks")
            }
        }
    }

    fn group_bytes(&self) -> usize {
        self.scales + self.mins + self.low + self.high
    }

    fn block_bytes(&self) -> usize {
        self.header + self.groups * self.group_bytes()
    }

    fn panel_bytes(&self, in_features: usize) -> usize {
        in_features / (self.groups * GROUP) * self.block_bytes()
    }

    /// Where group `group` of a panel begins.
    fn group_start(&self, group: usize) -> usize {
        let (block, group) = (group / self.groups, group % self.groups);
        block * self.block_bytes() + self.header + group * self.group_bytes()
    }
}

impl IntegerPanels {
    /// Packs the rows of `stack` as blocks of `dtype`, quantising those that are none.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn pack(
        pool: &Pool,
        stack: Stack<'_, '_>,
        dtype: WeightDtype,
    ) -> Result<Self, KernelError> {
        let layout = Layout::of(dtype);
        let (out_features, in_features) = (stack.num_rows(), stack.in_features());
        let panel_bytes = layout.panel_bytes(in_features);
        let num_panels = out_features.div_ceil(LANES);
        let mut bytes = AlignedSlice::<u8>::zeroed(num_panels * panel_bytes, "packed weights")?;
        pool.for_chunks(&mut bytes, panel_bytes, |index, panel| {
            for lane in 0..LANES.min(out_features - index * LANES) {
                let (part, row) = stack.find(index * LANES + lane);
                let blocks = panel.chunks_exact_mut(layout.block_bytes());
                for (index, bytes) in blocks.enumerate() {
                    layout.write(&part.block(row, index, dtype), lane, bytes);
                }
            }
        });
        Ok(Self {
            layout,
            in_features,
            bytes,
        })
    }

    /// Inputs that share a scale.
    pub(crate) fn sub_block_len(&self) -> usize {
        sub_block_len(self.layout.dtype)
    }

    /// Whether a weight is its scaled integer less a min.
    pub(crate) fn has_mins(&self) -> bool {
        self.layout.mins > 0
    }

    /// Chunks of a panel.
    pub(crate) fn num_chunks(&self) -> usize {
        (self.in_features / GROUP).div_ceil(CHUNK_GROUPS)
    }

    /// Widens chunk `index` of panel `panel`.
    ///
    /// # Panics
    /// If there is none.
    #[inline(always)]
    pub(crate) fn unpack<S: Simd>(&self, simd: S, panel: usize, index: usize, chunk: &mut Chunk) {
        let layout = &self.layout;
        let panel_bytes = layout.panel_bytes(self.in_features);
        let panel = &self.bytes[panel * panel_bytes..][..panel_bytes];
        let first = index * CHUNK_GROUPS;
        chunk.groups = CHUNK_GROUPS.min(self.in_features / GROUP - first);
        let group_bytes = layout.group_bytes();
        for g in 0..chunk.groups {
            let start = layout.group_start(first + g);
            let block = &panel[start - (first + g) % layout.groups * group_bytes - layout.header..];
            let group = &panel[start..start + group_bytes];
            for line in (0..group_bytes).step_by(CACHE_LINE) {
                simd.prefetch(group.as_ptr().wrapping_add(AHEAD + line));
            }
            self.unpack_scales(simd, block, group, g, chunk);
            let (_, group) = group.split_at(layout.scales + layout.mins);
            let (low, high) = group.split_at(layout.low);
            let pairs = &mut chunk.pairs[g * GROUP_LEN..][..GROUP_LEN];
            match (low.len(), high.len()) {
                (GROUP_LEN, _) => bytes(low, pairs),
                (_, 0) => nibbles(low, layout.offset, pairs),
                (_, 64) => five_bits(low, high, layout.offset, pairs),
                _ => six_bits(low, high, layout.offset, pairs),
            }
        }
    }

    /// Scales and mins of the chunk's group `g`, that lies at `group` in the block at `block`.
    #[inline(always)]
    fn unpack_scales<S: Simd>(
        &self,
        simd: S,
        block: &[u8],
        group: &[u8],
        g: usize,
        chunk: &mut Chunk,
    ) {
        let layout = &self.layout;
        let per_group = (layout.scales / LANES).max(1);
        let scales = &mut chunk.scales[g * per_group * LANES..][..per_group * LANES];
        let header = &block[..layout.header];
        let group = &group[..layout.scales + layout.mins];
        // SAFETY: a header is one or two vectors of f16, the scales and mins of a group are vectors
        // of 16 bytes, as many as are read; mins are below 64, so that their sign does not matter.
        unsafe {
            let d = simd.load_f16(header.as_ptr().cast());
            if layout.scales == 0 {
                simd.store(scales.as_mut_ptr(), d);
            }
            for (sub, out) in scales.chunks_exact_mut(LANES).enumerate() {
                if layout.scales > 0 {
                    let scale = simd.load_i8(group.as_ptr().add(sub * LANES).cast());
                    simd.store(out.as_mut_ptr(), simd.mul(d, scale));
                }
            }
            if layout.mins > 0 {
                let dmin = simd.load_f16(header.as_ptr().add(2 * LANES).cast());
                let min = simd.load_i8(group.as_ptr().add(layout.scales).cast());
                let out = chunk.mins[g * LANES..][..LANES].as_mut_ptr();
                simd.store(out, simd.mul(dmin, min));
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

impl Layout {
    /// Writes a block of output `lane` into the zeroed block of the panel at `bytes`.
    fn write(&self, block: &Block, lane: usize, bytes: &mut [u8]) {
        bytes[2 * lane..][..2].copy_from_slice(&block.d.to_le_bytes());
        if self.mins > 0 {
            bytes[2 * (LANES + lane)..][..2].copy_from_slice(&block.dmin.to_le_bytes());
        }
        let groups = bytes[self.header..].chunks_exact_mut(self.group_bytes());
        for (g, group) in groups.enumerate() {
            let subs = self.scales / LANES;
            for sub in 0..subs {
                group[sub * LANES + lane] = block.scales[g * subs + sub] as u8;
            }
            if self.mins > 0 {
                group[self.scales + lane] = block.mins[g];
            }
            let (low, high) = group[self.scales + self.mins..].split_at_mut(self.low);
            let quants = &block.quants[g * GROUP..][..GROUP];
            for (k, &quant) in quants.iter().enumerate() {
                let (pair, byte) = (k / 2, 2 * lane + k % 2);
                if self.low == GROUP_LEN {
                    low[pair * PAIR + byte] = quant as u8;
                    continue;
                }
                let bits = (i16::from(quant) + self.offset) as u8;
                low[pair / 2 * PAIR + byte] |= (bits & 15) << (pair % 2 * 4);
                if self.high > 0 {
                    let (index, shift) = self.high_bits(pair);
                    high[index * PAIR + byte] |= bits >> 4 << shift;
                }
            }
        }
    }

    /// What [`Self::write`] was given for output `lane`.
    fn read(&self, lane: usize, bytes: &[u8]) -> Block {
        let half = |index: usize| f16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]);
        let mut block = Block::ZERO;
        block.d = half(lane);
        if self.mins > 0 {
            block.dmin = half(LANES + lane);
        }
        let groups = bytes[self.header..].chunks_exact(self.group_bytes());
        for (g, group) in groups.enumerate() {
            let subs = self.scales / LANES;
            for sub in 0..subs {
                block.scales[g * subs + sub] = group[sub * LANES + lane] as i8;
            }
            if self.mins > 0 {
                block.mins[g] = group[self.scales + lane];
            }
            let (low, high) = group[self.scales + self.mins..].split_at(self.low);
            let quants = &mut block.quants[g * GROUP..][..GROUP];
            for (k, quant) in quants.iter_mut().enumerate() {
                let (pair, byte) = (k / 2, 2 * lane + k % 2);
                if self.low == GROUP_LEN {
                    *quant = low[pair * PAIR + byte] as i8;
                    continue;
                }
                let mut bits = low[pair / 2 * PAIR + byte] >> (pair % 2 * 4) & 15;
                if self.high > 0 {
                    let (index, shift) = self.high_bits(pair);
                    let mask = (1 << self.high_width()) - 1;
                    bits |= (high[index * PAIR + byte] >> shift & mask) << 4;
                }
                *quant = (i16::from(bits) - self.offset) as i8;
            }
        }
        block
    }

    /// Which vector of the high bits holds those of pair `pair`, and at which bit they begin.
    fn high_bits(&self, pair: usize) -> (usize, usize) {
        let pairs = 8 / self.high_width();
        (pair / pairs, pair % pairs * self.high_width())
    }

    /// Bits of a weight above the low four.
    fn high_width(&self) -> usize {
        8 * self.high / GROUP_LEN
    }
}

impl Chunk {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            pairs: [0; CHUNK_GROUPS * GROUP_LEN],
            scales: [0.0; 2 * CHUNK_GROUPS * LANES],
            mins: [0.0; CHUNK_GROUPS * LANES],
            groups: 0,
        }
    }
}

/// Signed bytes.
#[inline(always)]
fn bytes(low: &[u8], pairs: &mut [i16]) {
    for (pair, &byte) in pairs.iter_mut().zip(low) {
        *pair = i16::from(byte as i8);
    }
}

/// Four bits: two pairs in each vector of bytes.
#[inline(always)]
fn nibbles(low: &[u8], offset: i16, pairs: &mut [i16]) {
    for (low, pairs) in low.chunks_exact(PAIR).zip(pairs.chunks_exact_mut(2 * PAIR)) {
        let (first, second) = pairs.split_at_mut(PAIR);
        for ((first, second), byte) in first.iter_mut().zip(second).zip(low) {
            *first = i16::from(byte & 15) - offset;
            *second = i16::from(byte >> 4) - offset;
        }
    }
}

/// As [`nibbles`], and a vector of fifth bits for eight pairs.
#[inline(always)]
fn five_bits(low: &[u8], high: &[u8], offset: i16, pairs: &mut [i16]) {
    let eights = low
        .chunks_exact(4 * PAIR)
        .zip(pairs.chunks_exact_mut(8 * PAIR));
    for ((low, pairs), high) in eights.zip(high.chunks_exact(PAIR)) {
        let mut fifth = [0u8; PAIR];
        fifth.copy_from_slice(high);
        for (low, pairs) in low.chunks_exact(PAIR).zip(pairs.chunks_exact_mut(2 * PAIR)) {
            let (first, second) = pairs.split_at_mut(PAIR);
            for i in 0..PAIR {
                first[i] = i16::from(low[i] & 15 | (fifth[i] & 1) << 4) - offset;
                second[i] = i16::from(low[i] >> 4 | (fifth[i] & 2) << 3) - offset;
                fifth[i] >>= 2;
            }
        }
    }
}

/// As [`nibbles`], and a vector of two more bits for four pairs.
#[inline(always)]
fn six_bits(low: &[u8], high: &[u8], offset: i16, pairs: &mut [i16]) {
    let fours = low
        .chunks_exact(2 * PAIR)
        .zip(pairs.chunks_exact_mut(4 * PAIR));
    for ((low, pairs), high) in fours.zip(high.chunks_exact(PAIR)) {
        let mut more = [0u8; PAIR];
        more.copy_from_slice(high);
        for (low, pairs) in low.chunks_exact(PAIR).zip(pairs.chunks_exact_mut(2 * PAIR)) {
            let (first, second) = pairs.split_at_mut(PAIR);
            for i in 0..PAIR {
                first[i] = i16::from(low[i] & 15 | (more[i] & 3) << 4) - offset;
                second[i] = i16::from(low[i] >> 4 | (more[i] & 12) << 2) - offset;
                more[i] >>= 4;
            }
        }
    }
}
