//! A task of a low-rank update: some rows times some panels.
//!
//! A row's sums go over the inputs in ascending order, with lanes on outputs: its bits depend neither
//! on its neighbours nor on the tile that computes it.

#![expect(unsafe_code, reason = "a tile reads and writes through pointers")]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count rows and panels of a tile"
)]

use std::ops::Range;

use crate::cpu::packed::Element;
use crate::cpu::simd::{Kernel, LANES, Simd, load_partial, store_partial};
use crate::cpu::tile::{Panel, Reading, Rows, accumulate};

/// `rows` of the input times the panels `panels`.
pub(super) struct Product<'a, T> {
    /// `[_][depth][16]`
    pub(super) values: &'a [T],
    pub(super) depth: usize,
    pub(super) rows: Range<usize>,
    pub(super) panels: Range<usize>,
    /// Row 0, from its first column that is multiplied on.
    pub(super) input: &'a [f32],
    /// Elements from one row of the input to the next.
    pub(super) in_cols: usize,
    /// Row 0, at the column of panel 0. Only this task touches its rows and panels.
    pub(super) out: *mut f32,
    /// Elements from one row of the output to the next.
    pub(super) out_cols: usize,
    /// Columns of all panels: the last one may stand for fewer than 16.
    pub(super) columns: usize,
    /// What the products are multiplied with and added to the output; `None` replaces the output.
    pub(super) scale: Option<f32>,
}

impl<T: Element> Kernel for Product<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut row = self.rows.start;
        while row < self.rows.end {
            row += match self.rows.end - row {
                8.. if S::TILE_ROWS > 6 => self.strip::<S, 8, 2>(simd, row),
                4.. if S::TILE_ROWS > 3 => self.strip::<S, 4, 1>(simd, row),
                2.. => self.strip::<S, 2, 2>(simd, row),
                _ => self.strip::<S, 1, 4>(simd, row),
            };
        }
    }
}

impl<T: Element> Product<'_, T> {
    /// `R` rows times all panels, `P` at a time where there are so many; returns `R`.
    #[inline(always)]
    fn strip<S: Simd, const R: usize, const P: usize>(&self, simd: S, row: usize) -> usize {
        let mut panel = self.panels.start;
        while panel < self.panels.end {
            let product = self;
            if self.panels.end - panel >= P {
                simd.outline(Tile::<T, R, P> {
                    product,
                    row,
                    panel,
                });
                panel += P;
            } else {
                simd.outline(Tile::<T, R, 1> {
                    product,
                    row,
                    panel,
                });
                panel += 1;
            }
        }
        R
    }
}

/// `R` rows times `P` panels.
struct Tile<'p, 'a, T, const R: usize, const P: usize> {
    product: &'p Product<'a, T>,
    row: usize,
    panel: usize,
}

impl<T: Element, const R: usize, const P: usize> Kernel for Tile<'_, '_, T, R, P> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            product,
            row,
            panel,
        } = self;
        let depth = product.depth;
        // Checked here, so that the pointers below stay inside.
        let input = &product.input[row * product.in_cols..][..(R - 1) * product.in_cols + depth];
        let values = &product.values[panel * depth * LANES..][..P * depth * LANES];
        let rows = Rows {
            ptr: input.as_ptr(),
            stride: product.in_cols,
        };
        let mut panels = [Panel {
            ptr: values.as_ptr(),
            stride: LANES,
        }; P];
        let mut acc = [[simd.splat(0.0); P]; R];
        // SAFETY: the slices have `R` rows and `P` panels of `depth`. The output has the rows, and
        // `columns` of them from panel 0 on, which nobody else touches.
        unsafe {
            for p in 1..P {
                panels[p].ptr = panels[p].ptr.add(p * depth * LANES);
            }
            accumulate(simd, rows, panels, depth, Reading::Cached, &mut acc);
            for p in 0..P {
                let column = (panel + p) * LANES;
                let count = LANES.min(product.columns - column);
                for r in 0..R {
                    let out = product.out.add((row + r) * product.out_cols + column);
                    match product.scale {
                        None => simd.store(out, acc[r][p]),
                        Some(scale) => add(simd, out, count, acc[r][p], scale),
                    }
                }
            }
        }
    }
}

/// `out += scale * value`, of `count` elements.
///
/// # Safety
/// They are readable and writable, and at most 16.
#[inline(always)]
unsafe fn add<S: Simd>(simd: S, out: *mut f32, count: usize, value: S::Vector, scale: f32) {
    let scale = simd.splat(scale);
    // SAFETY: the caller's promise.
    unsafe {
        if count == LANES {
            simd.store(out, simd.mul_add(scale, value, simd.load(out)));
        } else {
            let before = load_partial(simd, out, count);
            store_partial(simd, out, simd.mul_add(scale, value, before), count);
        }
    }
}
