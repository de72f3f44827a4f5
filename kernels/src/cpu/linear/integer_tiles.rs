//! Products of many quantised inputs with panels of integers, tile by tile.
//!
//! Inputs and weights are integers that bfloat16 holds, and sums of 32 products are integers that f32
//! holds: so they are exact. What becomes of the sums is what [`integers`](super::integers) does, in
//! the same order: the bits are the same.

#![expect(unsafe_code, reason = "tiles are read and written through pointers")]
#![expect(clippy::needless_range_loop, reason = "indices count rows of a tile")]

#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::WeightDtype;
use crate::cpu::linear::INTEGER_ROW_BLOCK;
use crate::cpu::linear::chunked_rows::ChunkedRows;
use crate::cpu::linear::output::Output;
use crate::cpu::linear::whole_chunk::WholeChunk;
use crate::cpu::packed::{
    Chunk, Format, GROUP, IntegerPanels, PairChunk, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0,
};
use crate::cpu::simd::{Isa, LANES, Simd};
use crate::cpu::tiles::{TILE_ROW_BYTES, TILE_ROWS, TILE_SUMS, TileKernel, TileShape, Tiles};

/// Panels that a tile of rows meets before the next tile does: a chunk of them stays in the L1 cache.
const GROUP_PANELS: usize = 4;

/// Rows from which on tiles are worth making bfloat16 of weights, as measured.
const MIN_ROWS: usize = 11;

/// Whether products of `rows` rows take tiles. The bits are the same either way.
pub(super) fn wants_tiles(isa: Isa, rows: usize) -> bool {
    isa.has_tiles() && rows >= MIN_ROWS
}

/// One task: `rows` of the input times the panels `columns`.
pub(super) struct TiledIntegerProduct<'a> {
    pub(super) panels: &'a IntegerPanels,
    pub(super) input: &'a ChunkedRows<WholeChunk>,
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// Only this task touches its rows and columns.
    pub(super) out: Output<'a>,
}

/// Sums of a tile of rows over a sub-block.
#[repr(align(64))]
struct Sums([f32; TILE_SUMS]);

/// Unfinished outputs of a tile of rows.
type Unfinished = [[f32; LANES]; TILE_ROWS];

const NOTHING: Unfinished = [[0.0; LANES]; TILE_ROWS];

impl TileKernel for TiledIntegerProduct<'_> {
    #[inline(always)]
    fn run<S: Simd, T: Tiles>(self, simd: S, tiles: &mut T) {
        match self.panels.dtype() {
            WeightDtype::Q4_0 => self.run_as::<S, T, Q4_0>(simd, tiles),
            WeightDtype::Q5_0 => self.run_as::<S, T, Q5_0>(simd, tiles),
            WeightDtype::Q8_0 => self.run_as::<S, T, Q8_0>(simd, tiles),
            WeightDtype::Q4K => self.run_as::<S, T, Q4K>(simd, tiles),
            WeightDtype::Q5K => self.run_as::<S, T, Q5K>(simd, tiles),
            WeightDtype::Q6K => self.run_as::<S, T, Q6K>(simd, tiles),
            WeightDtype::F32 | WeightDtype::F16 | WeightDtype::Bf16 => {
                unreachable!("panels of integers")
            }
        }
    }
}

impl TiledIntegerProduct<'_> {
    /// Chunk by chunk of a panel, all rows in tiles; the last tile may begin in the one before: what
    /// both compute is the same.
    #[inline(always)]
    fn run_as<S: Simd, T: Tiles, F: Format>(&self, simd: S, tiles: &mut T) {
        let height = self.rows.len().min(TILE_ROWS);
        let num_tiles = self.rows.len().div_ceil(TILE_ROWS);
        let sums = TileShape::whole(height);
        let inputs = TileShape::of(height, 2 * F::LAYOUT.sub_len);
        let weights = TileShape::whole(F::LAYOUT.sub_len / 2);
        let unused = TileShape::default();
        tiles.configure([sums, sums, unused, unused, inputs, inputs, weights, weights]);
        let mut between = [const { Sums([0.0; TILE_SUMS]) }; 2];
        let mut weights = [const { PairChunk::new() }; GROUP_PANELS];
        // What there are no rows for is never written: zeroing it would cost few rows their time.
        let mut unfinished =
            [[const { MaybeUninit::uninit() }; GROUP_PANELS]; INTEGER_ROW_BLOCK / TILE_ROWS];
        for first in self.columns.clone().step_by(GROUP_PANELS) {
            let count = GROUP_PANELS.min(self.columns.end - first);
            for index in 0..self.panels.num_chunks() {
                for (p, weights) in weights[..count].iter_mut().enumerate() {
                    weights.fill::<S, F>(simd, self.panels, first + p, index);
                }
                for tile in 0..num_tiles {
                    let row = (self.rows.start + tile * TILE_ROWS).min(self.rows.end - height);
                    let input = Chunks {
                        first: self.input.chunk::<1>(index, row),
                        height,
                    };
                    for (p, weights) in weights[..count].iter().enumerate() {
                        let unfinished = &mut unfinished[tile][p];
                        if index == 0 {
                            unfinished.write(NOTHING);
                        }
                        // SAFETY: it was, at the first chunk.
                        let unfinished: &mut Unfinished = unsafe { unfinished.assume_init_mut() };
                        let product = Product {
                            input,
                            weights,
                            unfinished: &mut *unfinished,
                            sums: &mut between,
                        };
                        match height {
                            TILE_ROWS => product.add::<S, T, F, true>(simd, tiles),
                            _ => product.add::<S, T, F, false>(simd, tiles),
                        }
                        if index + 1 == self.panels.num_chunks() {
                            let (rows, sums) = (row..row + height, unfinished.as_ptr());
                            // SAFETY: the rows and the panel are this task's, and these are theirs.
                            unsafe { self.out.tile(simd, rows, first + p, sums.cast()) };
                        }
                    }
                }
            }
        }
    }
}

/// A chunk of `height` rows.
#[derive(Clone, Copy)]
struct Chunks<'a> {
    /// Those of the other rows follow it.
    first: &'a [WholeChunk; 1],
    height: usize,
}

impl Chunks<'_> {
    #[inline(always)]
    fn row(&self, row: usize) -> &WholeChunk {
        debug_assert!(row < self.height);
        // SAFETY: callers count rows.
        unsafe { &*self.first.as_ptr().add(row) }
    }
}

/// A chunk of some rows times a chunk of a panel.
struct Product<'a> {
    input: Chunks<'a>,
    weights: &'a PairChunk,
    unfinished: &'a mut Unfinished,
    /// Room for what tiles leave.
    sums: &'a mut [Sums; 2],
}

impl Product<'_> {
    /// Adds it to what is unfinished; `WHOLE` if there are 16 rows. Three sub-blocks are under way:
    /// one is multiplied, the one before is stored, and what was stored before is added.
    #[inline(always)]
    fn add<S: Simd, T: Tiles, F: Format, const WHOLE: bool>(self, simd: S, tiles: &mut T) {
        let Self {
            input,
            weights,
            unfinished,
            sums: [even, odd],
        } = self;
        let count = weights.groups * (GROUP / F::LAYOUT.sub_len);
        let mut acc = [simd.splat(0.0); TILE_ROWS];
        for r in 0..TILE_ROWS {
            // SAFETY: an unfinished output is a vector.
            acc[r] = unsafe { simd.load(unfinished[r].as_ptr()) };
        }
        multiply::<T, F, 0, 4, 6>(tiles, input, weights, 0);
        for sub in (0..count).step_by(2) {
            if sub + 1 < count {
                multiply::<T, F, 1, 5, 7>(tiles, input, weights, sub + 1);
            }
            store::<T, 0>(tiles, even);
            if sub > 0 {
                scale::<S, F, WHOLE>(simd, input, weights, sub - 1, odd, &mut acc);
            }
            if sub + 2 < count {
                multiply::<T, F, 0, 4, 6>(tiles, input, weights, sub + 2);
            }
            if sub + 1 < count {
                store::<T, 1>(tiles, odd);
            }
            scale::<S, F, WHOLE>(simd, input, weights, sub, even, &mut acc);
        }
        if count.is_multiple_of(2) {
            scale::<S, F, WHOLE>(simd, input, weights, count - 1, odd, &mut acc);
        }
        for r in 0..TILE_ROWS {
            // SAFETY: as above.
            unsafe { simd.store(unfinished[r].as_mut_ptr(), acc[r]) };
        }
    }
}

/// Multiplies sub-block `sub` into register `SUMS`.
#[inline(always)]
fn multiply<T: Tiles, F: Format, const SUMS: u8, const INPUTS: u8, const WEIGHTS: u8>(
    tiles: &mut T,
    input: Chunks<'_>,
    weights: &PairChunk,
    sub: usize,
) {
    let first = sub * F::LAYOUT.sub_len;
    debug_assert!(first < Chunk::LEN);
    // SAFETY: the rows have these inputs, and the chunk these weights.
    unsafe {
        let inputs = input.row(0).values.as_ptr().add(first);
        let weights = weights.pairs.as_ptr().add(first * LANES);
        tiles.zero::<SUMS>();
        tiles.load::<INPUTS>(inputs.cast(), size_of::<WholeChunk>());
        tiles.load::<WEIGHTS>(weights.cast(), TILE_ROW_BYTES);
        tiles.dot_bf16::<SUMS, INPUTS, WEIGHTS>();
    }
}

#[inline(always)]
fn store<T: Tiles, const SUMS: u8>(tiles: &mut T, sums: &mut Sums) {
    // SAFETY: a tile of sums.
    unsafe { tiles.store::<SUMS>(sums.0.as_mut_ptr().cast(), TILE_ROW_BYTES) };
}

/// Adds the sums of sub-block `sub`, scaled.
#[inline(always)]
fn scale<S: Simd, F: Format, const WHOLE: bool>(
    simd: S,
    input: Chunks<'_>,
    weights: &PairChunk,
    sub: usize,
    sums: &Sums,
    acc: &mut [S::Vector; TILE_ROWS],
) {
    let subs = GROUP / F::LAYOUT.sub_len;
    let group = sub / subs;
    let height = if WHOLE { TILE_ROWS } else { input.height };
    // SAFETY: vectors of scales, mins and sums.
    unsafe {
        let scale = simd.load(weights.scales.as_ptr().cast::<f32>().add(sub * LANES));
        for r in 0..height {
            let sum = simd.load(sums.0.as_ptr().add(r * LANES));
            let scale = simd.mul(scale, simd.splat(input.row(r).scales[group]));
            acc[r] = simd.mul_add(sum, scale, acc[r]);
        }
        if F::LAYOUT.mins > 0 && sub % subs + 1 == subs {
            let min = simd.load(weights.mins.as_ptr().cast::<f32>().add(group * LANES));
            for r in 0..height {
                let minus_sum = simd.splat(input.row(r).minus_sums[group]);
                acc[r] = simd.mul_add(minus_sum, min, acc[r]);
            }
        }
    }
}
