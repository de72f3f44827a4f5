//! Products of inputs in bfloat16 with panels of pairs of bfloat16, on tiles.

#![expect(unsafe_code, reason = "tiles are read and written through pointers")]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count panels of a block"
)]

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::cpu::linear::pairs::PairProduct;
use crate::cpu::pairs::{BLOCK_PANELS, BLOCK_ROWS, STREAMS, TileProduct, shapes};
use crate::cpu::simd::Simd;
use crate::cpu::tiles::{TILE_ROW_BYTES, TILE_ROWS, TILE_SUMS, TileKernel, Tiles};

/// Panels that a block meets before the next block does.
const GROUP_PANELS: usize = 4;
/// Bytes of a tile of weights.
const TILE_BYTES: usize = TILE_ROWS * TILE_ROW_BYTES;

/// `[row tiles][panels][16][16]`, to be written before they are read.
#[repr(align(64))]
struct Sums<const TILES: usize>(MaybeUninit<[[f32; TILE_SUMS]; TILES]>);

impl TileKernel for PairProduct<'_> {
    #[inline(always)]
    fn run<S: Simd, T: Tiles>(self, simd: S, tiles: &mut T) {
        if self.rows.len() <= TILE_ROWS {
            self.one_tile(simd, tiles);
        } else {
            self.blocks(simd, tiles);
        }
    }
}

impl<const TILES: usize> Sums<TILES> {
    fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// Tile `tile`.
    #[inline(always)]
    fn tile(&mut self, tile: usize) -> *mut f32 {
        debug_assert!(tile < TILES);
        // SAFETY: callers count tiles.
        unsafe { self.0.as_mut_ptr().cast::<f32>().add(tile * TILE_SUMS) }
    }
}

impl PairProduct<'_> {
    /// At most 16 rows: the weights are the cost, and are streamed from several panels.
    #[inline(always)]
    fn one_tile<S: Simd, T: Tiles>(&self, simd: S, tiles: &mut T) {
        tiles.configure(shapes(self.rows.len()));
        let mut panel = self.columns.start;
        while panel < self.columns.end {
            if self.columns.end - panel >= STREAMS {
                self.one_by::<S, T, STREAMS>(simd, tiles, panel);
                panel += STREAMS;
            } else {
                self.one_by::<S, T, 1>(simd, tiles, panel);
                panel += 1;
            }
        }
    }

    /// One tile of rows times `P` panels: 1 or [`STREAMS`].
    #[inline(always)]
    fn one_by<S: Simd, T: Tiles, const P: usize>(&self, simd: S, tiles: &mut T, panel: usize) {
        tiles.zero::<0>();
        tiles.zero::<1>();
        tiles.zero::<2>();
        tiles.zero::<3>();
        let product = self.product::<P>(self.rows.start, panel);
        // SAFETY: the task's rows and panels have all steps.
        unsafe { product.few_rows::<true, S, T>(simd, tiles) };
        let mut sums = Sums::<STREAMS>::new();
        // SAFETY: a tile of sums each; the rows and panels are this task's.
        unsafe {
            tiles.store::<0>(sums.tile(0).cast(), TILE_ROW_BYTES);
            if P == STREAMS {
                tiles.store::<1>(sums.tile(1).cast(), TILE_ROW_BYTES);
                tiles.store::<2>(sums.tile(2).cast(), TILE_ROW_BYTES);
                tiles.store::<3>(sums.tile(3).cast(), TILE_ROW_BYTES);
            }
            for p in 0..P {
                self.out
                    .tile(simd, self.rows.clone(), panel + p, sums.tile(p));
            }
        }
    }

    /// More rows, in blocks of which the last may begin in the one before: what both compute is the
    /// same. A block meets some panels before the next block meets them, so that they stay in the L2
    /// cache and the block in the L1 cache.
    #[inline(always)]
    fn blocks<S: Simd, T: Tiles>(&self, simd: S, tiles: &mut T) {
        let height = self.rows.len().min(BLOCK_ROWS);
        tiles.configure(shapes(height));
        let num_blocks = self.rows.len().div_ceil(BLOCK_ROWS);
        for first in self.columns.clone().step_by(GROUP_PANELS) {
            let end = self.columns.end.min(first + GROUP_PANELS);
            for block in 0..num_blocks {
                let row = (self.rows.start + block * BLOCK_ROWS).min(self.rows.end - height);
                self.prefetch(simd, first..end, block, num_blocks);
                for panel in (first..end).step_by(BLOCK_PANELS) {
                    match end - panel {
                        1 => self.block::<S, T, 1>(simd, tiles, row..row + height, panel),
                        _ => {
                            self.block::<S, T, BLOCK_PANELS>(simd, tiles, row..row + height, panel)
                        }
                    }
                }
            }
        }
    }

    /// Asks for this block's share of the panels that come after `panels`.
    #[inline(always)]
    fn prefetch<S: Simd>(&self, simd: S, panels: Range<usize>, block: usize, num_blocks: usize) {
        let num_tiles = panels.len() * self.panels.num_steps();
        let next = self
            .weights(panels.start)
            .wrapping_add(num_tiles * TILE_BYTES);
        for tile in (block..num_tiles).step_by(num_blocks) {
            for line in (0..TILE_BYTES).step_by(TILE_ROW_BYTES) {
                simd.prefetch(next.wrapping_add(tile * TILE_BYTES + line));
            }
        }
    }

    /// A block of rows, in the shape that is configured, times `P` panels: 1 or [`BLOCK_PANELS`].
    #[inline(always)]
    fn block<S: Simd, T: Tiles, const P: usize>(
        &self,
        simd: S,
        tiles: &mut T,
        rows: Range<usize>,
        panel: usize,
    ) {
        let lower = rows.start + TILE_ROWS;
        tiles.zero::<0>();
        tiles.zero::<1>();
        tiles.zero::<2>();
        tiles.zero::<3>();
        let product = self.product::<P>(rows.start, panel);
        // SAFETY: the task's rows and panels have all steps.
        unsafe { product.block(tiles) };
        let mut sums = Sums::<4>::new();
        // SAFETY: a tile of sums each; the rows and panels are this task's.
        unsafe {
            tiles.store::<0>(sums.tile(0).cast(), TILE_ROW_BYTES);
            tiles.store::<2>(sums.tile(2).cast(), TILE_ROW_BYTES);
            if P == BLOCK_PANELS {
                tiles.store::<1>(sums.tile(1).cast(), TILE_ROW_BYTES);
                tiles.store::<3>(sums.tile(3).cast(), TILE_ROW_BYTES);
            }
            for p in 0..P {
                self.out
                    .tile(simd, rows.start..lower, panel + p, sums.tile(p));
                self.out
                    .tile(simd, lower..rows.end, panel + p, sums.tile(2 + p));
            }
        }
    }

    /// Rows from `row` on times `P` panels from `panel` on.
    #[inline(always)]
    fn product<const P: usize>(&self, row: usize, panel: usize) -> TileProduct<P> {
        let mut panels = [std::ptr::null(); P];
        for p in 0..P {
            panels[p] = self.weights(panel + p);
        }
        let [input] = self.input.chunk::<1>(0, row);
        TileProduct {
            input,
            stride: self.input.rows(),
            panels,
            steps: 0..self.panels.num_steps(),
        }
    }

    /// Weights of panel `panel`.
    #[inline(always)]
    fn weights(&self, panel: usize) -> *const u8 {
        self.panels.from(panel, 0).as_ptr().cast()
    }
}
