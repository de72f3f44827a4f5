//! Products with panels of floats.

#![expect(unsafe_code, reason = "a tile reads and writes through pointers")]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count rows and panels of a tile"
)]

use std::ops::Range;

use crate::cpu::linear::ROW_BLOCK;
use crate::cpu::linear::float_rows::FloatRows;
use crate::cpu::linear::output::Output;
use crate::cpu::packed::Element;
use crate::cpu::prefetch::Prefetch;
use crate::cpu::simd::{Kernel, LANES, Simd};
use crate::cpu::tile::{Panel, Reading, accumulate};

/// Rows up to which one tile takes several panels at once.
const FEW_ROWS: usize = 2;
/// Row tiles up to which weights, not sums, are the cost: one pass over the whole depth.
const FEW_TILES: usize = 3;
/// Panels of a tile of more rows, at most.
const TILE_PANELS: usize = 2;

/// One task: `rows` of the input times the panels `columns`.
pub(super) struct Product<'a, T> {
    /// `[_][depth][16]`
    pub(super) panels: &'a [T],
    pub(super) input: FloatRows<'a>,
    /// At most [`ROW_BLOCK`].
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// Only this task touches its rows and columns.
    pub(super) out: Output<'a>,
}

impl<T: Element> Kernel for Product<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let tiles = self.rows.len().div_ceil(S::TILE_ROWS);
        if self.rows.len() <= FEW_ROWS {
            self.stream(simd);
        } else if tiles <= FEW_TILES {
            self.passes(simd, tiles, self.input.num_chunks(), &mut []);
        } else {
            // A panel's chunk stays in the L1 cache (16 KiB of f32).
            let mut unfinished = [[0.0; LANES]; TILE_PANELS * ROW_BLOCK];
            self.passes(simd, tiles, 1, &mut unfinished);
        }
    }
}

impl<T: Element> Product<'_, T> {
    /// Very few rows: several panels at once keep enough sums in flight.
    #[inline(always)]
    fn stream<S: Simd>(&self, simd: S) {
        let asking = Reading::Asking(Prefetch::STREAM);
        let mut panel = self.columns.start;
        while panel < self.columns.end {
            let place = |reading| Place {
                product: self,
                row: self.rows.start,
                panel,
                chunks: 0..self.input.num_chunks(),
                reading,
                unfinished: &mut [],
            };
            // Several streams at once keep the processor's own prefetching busy enough.
            panel += match (self.rows.len(), self.columns.end - panel) {
                (1, 4..) => place(Reading::Cached).tile::<S, 1, 4>(simd),
                (1, _) => place(asking).tile::<S, 1, 1>(simd),
                (_, 2..) => place(Reading::Cached).tile::<S, 2, 2>(simd),
                _ => place(asking).tile::<S, 2, 1>(simd),
            };
        }
    }

    /// All rows in `tiles` tiles of nearly the same size, over `pass` chunks of the input at a time.
    /// Where there is more than one pass, unfinished sums stay in an array of their own: in the
    /// output, a row's are so far from the next row's that they would fall into the same few sets
    /// of the caches.
    #[inline(always)]
    fn passes<S: Simd>(&self, simd: S, tiles: usize, pass: usize, unfinished: &mut [[f32; LANES]]) {
        let num_chunks = self.input.num_chunks();
        let mut panel = self.columns.start;
        while panel < self.columns.end {
            let panels = S::TILE_PANELS.min(self.columns.end - panel);
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
                        reading: self.reading(pass, (tile, tiles), panels),
                        unfinished: unfinished.get_mut(sums..).unwrap_or_default(),
                    };
                    if S::TILE_PANELS == 2 && panels == 2 {
                        place.rows::<S, 2>(simd, count);
                    } else {
                        place.rows::<S, 1>(simd, count);
                    }
                    row += count;
                }
            }
            panel += panels;
        }
    }

    /// How tile `tile` of `tiles` reads `panels` panels, `pass` chunks at a time.
    #[inline(always)]
    fn reading(&self, pass: usize, (tile, tiles): (usize, usize), panels: usize) -> Reading {
        let next = panels * self.input.depth() * LANES * size_of::<T>();
        if pass == self.input.num_chunks() {
            Reading::Asking(Prefetch::share(next, tile, tiles))
        } else if tile == 0 {
            // Its time does not count among so many.
            Reading::Asking(Prefetch::STREAM)
        } else {
            Reading::Cached
        }
    }
}

/// Rows from `row` on times panels from `panel` on, over some chunks of the input: the first pass
/// begins the sums, the last one adds the bias.
struct Place<'a, T> {
    product: &'a Product<'a, T>,
    row: usize,
    panel: usize,
    chunks: Range<usize>,
    reading: Reading,
    /// Sums of these rows over the chunks before; none if the chunks are all.
    unfinished: &'a mut [[f32; LANES]],
}

impl<T: Element> Place<'_, T> {
    /// `count` rows and `P` panels. Only tiles that the instruction set uses are compiled.
    #[inline(always)]
    fn rows<S: Simd, const P: usize>(self, simd: S, count: usize) {
        match count {
            1 => self.tile::<S, 1, P>(simd),
            2 => self.tile::<S, 2, P>(simd),
            3 => self.tile::<S, 3, P>(simd),
            4 if S::TILE_ROWS > 3 => self.tile::<S, 4, P>(simd),
            5 if S::TILE_ROWS > 3 => self.tile::<S, 5, P>(simd),
            6 if S::TILE_ROWS > 3 => self.tile::<S, 6, P>(simd),
            7 if S::TILE_ROWS > 6 => self.tile::<S, 7, P>(simd),
            8 if S::TILE_ROWS > 6 => self.tile::<S, 8, P>(simd),
            9 if S::TILE_ROWS > 6 => self.tile::<S, 9, P>(simd),
            10 if S::TILE_ROWS > 6 => self.tile::<S, 10, P>(simd),
            11 if S::TILE_ROWS > 6 => self.tile::<S, 11, P>(simd),
            12 if S::TILE_ROWS > 6 => self.tile::<S, 12, P>(simd),
            _ => unreachable!("tiles have 1 to {} rows, not {count}", S::TILE_ROWS),
        };
    }

    /// A [`Tile`]; returns `P`.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const P: usize>(self, simd: S) -> usize {
        simd.outline(Tile::<T, R, P>(self));
        P
    }
}

/// `R` rows times `P` panels.
struct Tile<'a, T, const R: usize, const P: usize>(Place<'a, T>);

impl<T: Element, const R: usize, const P: usize> Kernel for Tile<'_, T, R, P> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Place {
            product,
            row,
            panel,
            chunks,
            reading,
            unfinished,
        } = self.0;
        let input = product.input;
        debug_assert!(row + R <= product.rows.end && panel + P <= product.columns.end);
        let done = chunks.end >= input.num_chunks();
        let mut acc = [[simd.splat(0.0); P]; R];
        // SAFETY: `product` made the ranges: `row + R` rows lie in the input and the output,
        // panels below `panel + P` in `panels`, of which the last may stand for fewer than 16
        // columns of the output, and `columns` cuts to those. No other task touches them. An
        // unfinished sum is a vector.
        unsafe {
            if chunks.start > 0 {
                for r in 0..R {
                    for p in 0..P {
                        acc[r][p] = simd.load(unfinished[r * P + p].as_ptr());
                    }
                }
            }
            for chunk in chunks {
                let inputs = input.inputs(chunk);
                let mut panels = [Panel {
                    ptr: product.panels.as_ptr().add(inputs.start * LANES),
                    stride: LANES,
                }; P];
                for p in 0..P {
                    panels[p].ptr = panels[p].ptr.add((panel + p) * input.depth() * LANES);
                }
                let rows = input.rows(row, chunk);
                accumulate(simd, rows, panels, inputs.len(), reading, &mut acc);
            }
            if done {
                product.write(simd, (row, panel), acc);
            } else {
                for r in 0..R {
                    for p in 0..P {
                        simd.store(unfinished[r * P + p].as_mut_ptr(), acc[r][p]);
                    }
                }
            }
        }
    }
}

impl<T> Product<'_, T> {
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
