//! On tiles: 16 pairs of 16 columns are one, so that a tile takes 32 elements of a row.
//!
//! All products of a set of instructions that has tiles go this way, so a row's bits depend on
//! nothing but the row: 32 elements at a time, in ascending order, as [`Tiles::dot_bf16`] says.

#![expect(unsafe_code, reason = "tiles are read through pointers")]

use std::ops::Range;

use crate::cpu::pairs::Bf16Chunk;
use crate::cpu::prefetch::Prefetch;
use crate::cpu::simd::Simd;
use crate::cpu::tiles::{TILE_ROW_BYTES, TILE_ROWS, TileShape, Tiles};

/// Rows of a block: two tiles, which meet the tiles of two panels.
pub(crate) const BLOCK_ROWS: usize = 2 * TILE_ROWS;
/// Panels that meet a block.
pub(crate) const BLOCK_PANELS: usize = 2;
/// Panels that meet a single tile of rows.
pub(crate) const STREAMS: usize = 4;
/// Bytes of a tile of a panel.
const TILE_BYTES: usize = TILE_ROWS * TILE_ROW_BYTES;

/// Some rows times `P` panels, as [`shapes`] configured the tiles for those rows.
pub(crate) struct TileProduct<const P: usize> {
    /// The first chunk of the first row; the next row's is the next one.
    pub(crate) input: *const Bf16Chunk,
    /// Chunks from one of a row to its next one.
    pub(crate) stride: usize,
    /// Step 0 of the panels.
    pub(crate) panels: [*const u8; P],
    /// Tiles of a panel.
    pub(crate) steps: Range<usize>,
}

/// The tiles' shapes for `rows` rows, at most [`BLOCK_ROWS`]: up to [`TILE_ROWS`] as
/// [`TileProduct::few_rows`] uses them, more as [`TileProduct::block`] does.
pub(crate) fn shapes(rows: usize) -> [TileShape; 8] {
    let whole = TileShape::whole(TILE_ROWS);
    if rows <= TILE_ROWS {
        let rows = TileShape::whole(rows);
        [rows, rows, rows, rows, rows, whole, whole, whole]
    } else {
        let lower = TileShape::whole(rows - TILE_ROWS);
        [whole, whole, lower, lower, whole, lower, whole, whole]
    }
}

impl<const P: usize> TileProduct<P> {
    /// Adds at most 16 rows times 1 or [`STREAMS`] panels to tiles 0 to `P`. If `STREAMED` the panels
    /// come from memory: several streams, and what follows is asked for.
    ///
    /// # Safety
    /// The rows and the panels have these steps.
    #[inline(always)]
    pub(crate) unsafe fn few_rows<const STREAMED: bool, S: Simd, T: Tiles>(
        &self,
        simd: S,
        tiles: &mut T,
    ) {
        for step in self.steps.clone() {
            let at = step * TILE_BYTES;
            if STREAMED {
                for panel in self.panels {
                    Prefetch::STREAM.ask(simd, panel.wrapping_add(at), TILE_BYTES);
                }
            }
            // SAFETY: the caller's promise.
            unsafe {
                tiles.load::<4>(self.input(0, step), Bf16Chunk::BYTES);
                tiles.load::<5>(self.panels[0].add(at), TILE_ROW_BYTES);
                tiles.dot_bf16::<0, 4, 5>();
                if P == STREAMS {
                    tiles.load::<6>(self.panels[P / 4].add(at), TILE_ROW_BYTES);
                    tiles.dot_bf16::<1, 4, 6>();
                    tiles.load::<7>(self.panels[P / 2].add(at), TILE_ROW_BYTES);
                    tiles.dot_bf16::<2, 4, 7>();
                    tiles.load::<5>(self.panels[P - 1].add(at), TILE_ROW_BYTES);
                    tiles.dot_bf16::<3, 4, 5>();
                }
            }
        }
    }

    /// Adds 17 to 32 rows times 1 or [`BLOCK_PANELS`] panels: the first 16 rows to tiles 0 and 1, the
    /// others to tiles 2 and 3.
    ///
    /// # Safety
    /// The rows and the panels have these steps.
    #[inline(always)]
    pub(crate) unsafe fn block<T: Tiles>(&self, tiles: &mut T) {
        for step in self.steps.clone() {
            let at = step * TILE_BYTES;
            // SAFETY: the caller's promise.
            unsafe {
                tiles.load::<4>(self.input(0, step), Bf16Chunk::BYTES);
                tiles.load::<6>(self.panels[0].add(at), TILE_ROW_BYTES);
                tiles.dot_bf16::<0, 4, 6>();
                if P == BLOCK_PANELS {
                    tiles.load::<7>(self.panels[P - 1].add(at), TILE_ROW_BYTES);
                    tiles.dot_bf16::<1, 4, 7>();
                }
                tiles.load::<5>(self.input(TILE_ROWS, step), Bf16Chunk::BYTES);
                tiles.dot_bf16::<2, 5, 6>();
                if P == BLOCK_PANELS {
                    tiles.dot_bf16::<3, 5, 7>();
                }
            }
        }
    }

    /// Step `step` of the row that is `row` further.
    #[inline(always)]
    fn input(&self, row: usize, step: usize) -> *const u8 {
        let (chunk, step) = (step / Bf16Chunk::STEPS, step % Bf16Chunk::STEPS);
        let chunk = self.input.wrapping_add(chunk * self.stride + row);
        chunk.cast::<u8>().wrapping_add(step * TILE_ROW_BYTES)
    }
}
