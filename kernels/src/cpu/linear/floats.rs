//! Products with panels of floats.

#![expect(unsafe_code, reason = "a tile reads and writes through pointers")]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count rows and panels of a tile"
)]

use std::ops::Range;

use crate::cpu::linear::output::Output;
use crate::cpu::packed::Element;
use crate::cpu::simd::{Kernel, LANES, Simd};
use crate::cpu::tile::{Panel, Reading, Rows, accumulate};

/// Rows up to which one tile takes several panels at once.
const FEW_ROWS: usize = 2;
/// Row tiles up to which weights, not sums, are the cost: one pass over the whole depth.
const FEW_TILES: usize = 3;
/// Input features per pass over many rows: a panel's pass stays in the L1 cache (16 KiB of f32).
const DEPTH_BLOCK: usize = 256;

/// One task: `rows` of the input times the panels `columns`.
pub(super) struct Product<'a, T> {
    /// `[_][depth][16]`
    pub(super) panels: &'a [T],
    /// Input features.
    pub(super) depth: usize,
    /// `[_, depth]`
    pub(super) input: &'a [f32],
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// Only this task touches its rows and columns.
    pub(super) out: Output<'a>,
}

impl<T: Element> Kernel for Product<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let depth = self.depth;
        let tiles = self.rows.len().div_ceil(S::TILE_ROWS);
        if self.rows.len() <= FEW_ROWS {
            self.stream(simd);
        } else if tiles <= FEW_TILES {
            self.pass(simd, tiles, 0..depth);
        } else {
            for start in (0..depth).step_by(DEPTH_BLOCK) {
                self.pass(simd, tiles, start..depth.min(start + DEPTH_BLOCK));
            }
        }
    }
}

impl<T: Element> Product<'_, T> {
    /// Very few rows: several panels at once keep enough sums in flight.
    #[inline(always)]
    fn stream<S: Simd>(&self, simd: S) {
        let pass = 0..self.depth;
        let row = self.rows.start;
        let mut panel = self.columns.start;
        while panel < self.columns.end {
            let left = self.columns.end - panel;
            panel += match (self.rows.len(), left) {
                // Several streams at once keep the processor's own prefetching busy enough.
                (1, 4..) => self.tile_of::<S, 1, 4>(simd, row, panel, &pass, Reading::Cached),
                (1, _) => self.tile_of::<S, 1, 1>(simd, row, panel, &pass, Reading::Streamed),
                (_, 2..) => self.tile_of::<S, 2, 2>(simd, row, panel, &pass, Reading::Cached),
                _ => self.tile_of::<S, 2, 1>(simd, row, panel, &pass, Reading::Streamed),
            };
        }
    }

    /// All rows in `tiles` tiles of nearly the same size, over the input features `pass`. The first
    /// tile brings its panels into the cache for the others.
    #[inline(always)]
    fn pass<S: Simd>(&self, simd: S, tiles: usize, pass: Range<usize>) {
        let mut panel = self.columns.start;
        while panel < self.columns.end {
            let panels = S::TILE_PANELS.min(self.columns.end - panel);
            let mut row = self.rows.start;
            for tile in 0..tiles {
                let count = (self.rows.end - row).div_ceil(tiles - tile);
                let reading = if tile == 0 {
                    Reading::Streamed
                } else {
                    Reading::Cached
                };
                if S::TILE_PANELS == 2 && panels == 2 {
                    self.tile_of_rows::<S, 2>(simd, count, row, panel, &pass, reading);
                } else {
                    self.tile_of_rows::<S, 1>(simd, count, row, panel, &pass, reading);
                }
                row += count;
            }
            panel += panels;
        }
    }

    /// [`Self::tile`] of `count` rows. Only tiles that the instruction set uses are compiled.
    #[inline(always)]
    fn tile_of_rows<S: Simd, const P: usize>(
        &self,
        simd: S,
        count: usize,
        row: usize,
        panel: usize,
        pass: &Range<usize>,
        reading: Reading,
    ) {
        debug_assert!(count <= S::TILE_ROWS);
        match count {
            1 => self.tile::<S, 1, P>(simd, row, panel, pass, reading),
            2 => self.tile::<S, 2, P>(simd, row, panel, pass, reading),
            3 => self.tile::<S, 3, P>(simd, row, panel, pass, reading),
            4 if S::TILE_ROWS > 3 => self.tile::<S, 4, P>(simd, row, panel, pass, reading),
            5 if S::TILE_ROWS > 3 => self.tile::<S, 5, P>(simd, row, panel, pass, reading),
            6 if S::TILE_ROWS > 3 => self.tile::<S, 6, P>(simd, row, panel, pass, reading),
            7 if S::TILE_ROWS > 6 => self.tile::<S, 7, P>(simd, row, panel, pass, reading),
            8 if S::TILE_ROWS > 6 => self.tile::<S, 8, P>(simd, row, panel, pass, reading),
            9 if S::TILE_ROWS > 6 => self.tile::<S, 9, P>(simd, row, panel, pass, reading),
            10 if S::TILE_ROWS > 6 => self.tile::<S, 10, P>(simd, row, panel, pass, reading),
            11 if S::TILE_ROWS > 6 => self.tile::<S, 11, P>(simd, row, panel, pass, reading),
            12 if S::TILE_ROWS > 6 => self.tile::<S, 12, P>(simd, row, panel, pass, reading),
            _ => unreachable!("tiles have 1 to {} rows, not {count}", S::TILE_ROWS),
        }
    }

    /// [`Self::tile`]; returns `P`.
    #[inline(always)]
    fn tile_of<S: Simd, const R: usize, const P: usize>(
        &self,
        simd: S,
        row: usize,
        panel: usize,
        pass: &Range<usize>,
        reading: Reading,
    ) -> usize {
        self.tile::<S, R, P>(simd, row, panel, pass, reading);
        P
    }

    /// Computes a [`Tile`].
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const P: usize>(
        &self,
        simd: S,
        row: usize,
        panel: usize,
        pass: &Range<usize>,
        reading: Reading,
    ) {
        let pass = pass.clone();
        simd.outline(Tile::<T, R, P> {
            product: self,
            row,
            panel,
            pass,
            reading,
        });
    }
}

/// `R` rows from `row` on times `P` panels from `panel` on, over the input features `pass`: the
/// first pass begins the sums, the others continue what lies in the output, the last one adds the
/// bias.
struct Tile<'a, T, const R: usize, const P: usize> {
    product: &'a Product<'a, T>,
    row: usize,
    panel: usize,
    pass: Range<usize>,
    reading: Reading,
}

impl<T: Element, const R: usize, const P: usize> Kernel for Tile<'_, T, R, P> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            product,
            row,
            panel,
            pass,
            reading,
        } = self;
        let depth = product.depth;
        let panel_len = depth * LANES;
        debug_assert!(row + R <= product.rows.end && panel + P <= product.columns.end);
        let rows = Rows {
            ptr: product.input.as_ptr(),
            stride: depth,
        };
        let mut panels = [Panel {
            ptr: product.panels.as_ptr(),
            stride: LANES,
        }; P];
        let mut acc = [[simd.splat(0.0); P]; R];
        // SAFETY: `product` made the ranges: `row + R` rows lie in the input and the output,
        // panels below `panel + P` in `panels`, of which the last may stand for fewer than 16
        // columns of the output, and `columns` cuts to those. No other task touches them.
        unsafe {
            for p in 0..P {
                panels[p].ptr = panels[p]
                    .ptr
                    .add((panel + p) * panel_len + pass.start * LANES);
            }
            let rows = rows.at(row, pass.start);
            if pass.start > 0 {
                for r in 0..R {
                    for p in 0..P {
                        let (ptr, count) = product.out.at(row + r, panel + p);
                        acc[r][p] = Output::load(simd, ptr, count);
                    }
                }
            }
            accumulate(simd, rows, panels, pass.len(), reading, &mut acc);
            for p in 0..P {
                if pass.end == depth
                    && let Some(bias) = product.out.bias(simd, panel + p)
                {
                    for r in 0..R {
                        acc[r][p] = simd.add(acc[r][p], bias);
                    }
                }
                for r in 0..R {
                    let (ptr, count) = product.out.at(row + r, panel + p);
                    Output::store(simd, ptr, acc[r][p], count);
                }
            }
        }
    }
}
