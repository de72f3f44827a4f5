//! Products of inputs in bfloat16 with panels of pairs of bfloat16.
//!
//! Every pair of inputs is added to a row's sum in ascending order, whatever tile computes it, so a
//! row's bits depend on nothing but the row. They are not those of [`floats`](super::floats), which
//! takes inputs as they are. As [`Simd::dot_bf16`] says, inputs and weights below 1.2e-38 count as
//! zero; infinities and NaN are those of the same product in f32.

#![expect(unsafe_code, reason = "a tile reads and writes through pointers")]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count rows and panels of a tile"
)]

#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::cpu::linear::PAIR_ROW_BLOCK;
use crate::cpu::linear::chunked_rows::{CHUNK_LEN, ChunkedRows, RowChunk};
use crate::cpu::linear::output::Output;
use crate::cpu::packed::PairPanels;
use crate::cpu::pairs::{Bf16Chunk, MOST_ROWS, Round, accumulate, with_rows};
use crate::cpu::simd::{Isa, Kernel, LANES, Simd};

/// Panels of a tile.
const TILE_PANELS: usize = 2;
/// Rows up to which a tile takes [`STREAMS`] panels.
const FEW_ROWS: usize = 4;
/// Panels that few rows take at once: several streams keep the processor's own prefetching busy.
const STREAMS: usize = 4;
/// Row tiles up to which weights, not sums, are the cost: one pass over the whole depth.
const FEW_TILES: usize = 3;

impl RowChunk for Bf16Chunk {
    fn fill(&mut self, isa: Isa, input: &[f32]) {
        const { assert!(CHUNK_LEN == Self::LEN) };
        isa.run(Round { input, chunk: self });
    }
}

/// One task: `rows` of the input times the panels `columns`.
pub(super) struct PairProduct<'a> {
    pub(super) panels: &'a PairPanels,
    pub(super) input: &'a ChunkedRows<Bf16Chunk>,
    /// At most [`PAIR_ROW_BLOCK`].
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// Only this task touches its rows and columns.
    pub(super) out: Output<'a>,
}

impl Kernel for PairProduct<'_> {
    const DOTS_BF16: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // Nothing is compiled where nothing is packed in pairs.
        if S::DOTS_BF16 {
            self.compute(simd);
        } else {
            unreachable!("weights are in pairs where those are multiplied by an instruction");
        }
    }
}

impl PairProduct<'_> {
    #[inline(always)]
    fn compute<S: Simd>(&self, simd: S) {
        let tiles = self.rows.len().div_ceil(MOST_ROWS);
        if tiles <= FEW_TILES {
            let num_chunks = self.panels.num_pairs().div_ceil(Bf16Chunk::PAIRS);
            self.passes(simd, tiles, num_chunks, &mut []);
        } else {
            // Two panels of a chunk (16 KiB) stay in the L1 cache.
            let mut unfinished = [[0.0; LANES]; TILE_PANELS * PAIR_ROW_BLOCK];
            self.passes(simd, tiles, 1, &mut unfinished);
        }
    }

    /// All rows in `tiles` tiles of nearly the same size, over `pass` chunks at a time.
    #[inline(always)]
    fn passes<S: Simd>(&self, simd: S, tiles: usize, pass: usize, unfinished: &mut [[f32; LANES]]) {
        let num_chunks = self.panels.num_pairs().div_ceil(Bf16Chunk::PAIRS);
        let mut panel = self.columns.start;
        while panel < self.columns.end {
            let panels = match self.columns.end - panel {
                STREAMS.. if self.rows.len() <= FEW_ROWS => STREAMS,
                TILE_PANELS.. => TILE_PANELS,
                _ => 1,
            };
            for first in (0..num_chunks).step_by(pass) {
                let mut row = self.rows.start;
                for tile in 0..tiles {
                    let count = (self.rows.end - row).div_ceil(tiles - tile);
                    let sums = TILE_PANELS * (row - self.rows.start);
                    let place = Place {
                        product: self,
                        row,
                        panel,
                        chunks: first..first + pass,
                        unfinished: unfinished.get_mut(sums..).unwrap_or_default(),
                    };
                    match panels {
                        STREAMS => place.few_rows::<S, STREAMS>(simd, count),
                        TILE_PANELS => place.rows::<S, TILE_PANELS>(simd, count),
                        _ => place.rows::<S, 1>(simd, count),
                    }
                    row += count;
                }
            }
            panel += panels;
        }
    }

    /// Writes the outputs of `R` rows and `P` panels.
    ///
    /// # Safety
    /// The rows and the panels are this task's.
    #[inline(always)]
    unsafe fn write<S: Simd, const R: usize, const P: usize>(
        &self,
        simd: S,
        (row, panel): (usize, usize),
        acc: [[S::Vector; P]; R],
    ) {
        for p in 0..P {
            // SAFETY: the caller's promise.
            unsafe {
                let bias = self.out.bias(simd, panel + p);
                for r in 0..R {
                    let value = match bias {
                        Some(bias) => simd.add(acc[r][p], bias),
                        None => acc[r][p],
                    };
                    let (ptr, count) = self.out.at(row + r, panel + p);
                    Output::store(simd, ptr, value, count);
                }
            }
        }
    }
}

/// Rows from `row` on times panels from `panel` on, over some chunks of the input.
struct Place<'a> {
    product: &'a PairProduct<'a>,
    row: usize,
    panel: usize,
    chunks: Range<usize>,
    /// Sums of these rows over the chunks before, not in the output: there a row's are so far from
    /// the next row's that they would fall into the same few sets of the caches. None if the chunks
    /// are all.
    unfinished: &'a mut [[f32; LANES]],
}

impl Place<'_> {
    #[inline(always)]
    fn few_rows<S: Simd, const P: usize>(self, simd: S, count: usize) {
        match count {
            1 => simd.outline(Tile::<1, P>(self)),
            2 => simd.outline(Tile::<2, P>(self)),
            3 => simd.outline(Tile::<3, P>(self)),
            4 => simd.outline(Tile::<4, P>(self)),
            _ => unreachable!("{count} rows are not few"),
        }
    }

    #[inline(always)]
    fn rows<S: Simd, const P: usize>(self, simd: S, count: usize) {
        with_rows!(count, ROWS => simd.outline(Tile::<ROWS, P>(self)));
    }
}

/// `R` rows times `P` panels.
struct Tile<'a, const R: usize, const P: usize>(Place<'a>);

impl<const R: usize, const P: usize> Kernel for Tile<'_, R, P> {
    const DOTS_BF16: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Place {
            product,
            row,
            panel,
            chunks,
            unfinished,
        } = self.0;
        let num_pairs = product.panels.num_pairs();
        let done = chunks.end * Bf16Chunk::PAIRS >= num_pairs;
        let mut acc = [[simd.splat(0.0); P]; R];
        if chunks.start > 0 {
            for r in 0..R {
                for p in 0..P {
                    // SAFETY: an unfinished sum is a vector.
                    acc[r][p] = unsafe { simd.load(unfinished[r * P + p].as_ptr()) };
                }
            }
        }
        for chunk in chunks {
            let first = chunk * Bf16Chunk::PAIRS;
            let mut weights = [std::ptr::null::<i16>(); P];
            for p in 0..P {
                weights[p] = product.panels.from(panel + p, first).as_ptr().cast();
            }
            let pairs = Bf16Chunk::PAIRS.min(num_pairs - first);
            let input = product.input.chunk::<R>(chunk, row);
            // SAFETY: the panels have these pairs.
            unsafe { accumulate(simd, (input, 0), weights, pairs, &mut acc) };
        }
        if done {
            // SAFETY: the rows and the panels are this task's.
            unsafe { product.write(simd, (row, panel), acc) };
        } else {
            for r in 0..R {
                for p in 0..P {
                    // SAFETY: an unfinished sum is a vector.
                    unsafe { simd.store(unfinished[r * P + p].as_mut_ptr(), acc[r][p]) };
                }
            }
        }
    }
}
