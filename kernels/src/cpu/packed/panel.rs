//! Packing one panel of blocks.

use crate::cpu::packed::Stack;
use crate::cpu::packed::blocks::Blocks;
use crate::cpu::packed::layout::Layout;
use crate::cpu::packed::quantize::quantize;
use crate::cpu::simd::{Kernel, LANES, Simd};
use crate::quantized::MAX_BLOCK;

/// The largest magnitude whose scales are finite in every format: that of f16.
const LARGEST: f32 = 65_504.0;

/// Packs rows `first` and up to 15 more of a stack as a panel.
pub(super) struct PackPanel<'p, 's, 'a> {
    pub(super) stack: Stack<'s, 'a>,
    pub(super) layout: &'p Layout,
    pub(super) first: usize,
    /// Zeroed.
    pub(super) panel: &'p mut [u8],
}

/// Up to 256 inputs of 16 outputs.
struct Strip {
    /// As they are read. `[16][256]`
    rows: [[f32; MAX_BLOCK]; LANES],
    /// `[256][16]`
    lanes: [[f32; LANES]; MAX_BLOCK],
}

impl Kernel for PackPanel<'_, '_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let count = LANES.min(self.stack.num_rows() - self.first);
        let floats = |lane: usize| {
            let dtype = self.stack.find(self.first + lane).0.dtype;
            dtype != self.stack.dtype && dtype.block_len() == 1
        };
        if (0..count).all(floats) {
            self.quantized(simd, count);
        } else {
            self.copied(count);
        }
    }
}

impl PackPanel<'_, '_, '_> {
    #[inline(always)]
    fn quantized<S: Simd>(self, simd: S, count: usize) {
        let dtype = self.stack.dtype;
        let len = dtype.block_len();
        let mut strip = Strip {
            rows: [[0.0; MAX_BLOCK]; LANES],
            lanes: [[0.0; LANES]; MAX_BLOCK],
        };
        let mut blocks = Blocks::new();
        let outs = self.panel.chunks_exact_mut(self.layout.block_bytes());
        for (index, out) in outs.enumerate() {
            let start = index * len;
            if start.is_multiple_of(MAX_BLOCK) {
                strip.read(self.stack, self.first, count, start);
            }
            let values = &strip.lanes[start % MAX_BLOCK..][..len];
            if values.iter().flatten().all(|x| x.abs() <= LARGEST) {
                quantize(simd, dtype, values, &mut blocks);
            } else {
                set_each(&mut blocks, self.stack, self.first, count, index);
            }
            self.layout.write(&blocks, count, out);
        }
    }

    #[inline(always)]
    fn copied(self, count: usize) {
        let mut blocks = Blocks::new();
        let outs = self.panel.chunks_exact_mut(self.layout.block_bytes());
        for (index, out) in outs.enumerate() {
            set_each(&mut blocks, self.stack, self.first, count, index);
            self.layout.write(&blocks, count, out);
        }
    }
}

/// Block `index` of `count` rows from `first` on, one by one.
fn set_each(blocks: &mut Blocks, stack: Stack<'_, '_>, first: usize, count: usize, index: usize) {
    let dtype = stack.dtype;
    for lane in 0..count {
        let (part, row) = stack.find(first + lane);
        blocks.set(lane, &part.block(row, index, dtype), dtype.block_len());
    }
}

impl Strip {
    /// Reads the inputs from `start` on, as many as there are.
    #[inline(always)]
    fn read(&mut self, stack: Stack<'_, '_>, first: usize, count: usize, start: usize) {
        let len = MAX_BLOCK.min(stack.in_features() - start);
        for (lane, values) in self.rows[..count].iter_mut().enumerate() {
            let (part, row) = stack.find(first + lane);
            part.read(row, start, &mut values[..len]);
        }
        for (k, lanes) in self.lanes[..len].iter_mut().enumerate() {
            for (value, row) in lanes.iter_mut().zip(&self.rows) {
                *value = row[k];
            }
        }
    }
}
