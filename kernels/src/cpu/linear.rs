//! Matrix products with packed weights.

#![expect(
    unsafe_code,
    reason = "tasks write disjoint parts of the output through pointers"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count rows and panels of a tile"
)]

use std::ops::Range;

use crate::cpu::memory::AlignedSlice;
use crate::cpu::packed::{Element, PackedLinear, Panels};
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::simd::{Isa, Kernel, LANES, Simd, load_partial, store_partial};
use crate::cpu::tile::{Panel, Reading, Rows, accumulate};

/// Rows up to which one tile takes several panels at once.
const FEW_ROWS: usize = 2;
/// Row tiles up to which weights, not sums, are the cost: one pass over the whole depth.
const FEW_TILES: usize = 3;
/// Input features per pass over many rows: a panel's pass stays in the L1 cache (16 KiB of f32).
const DEPTH_BLOCK: usize = 256;
/// Rows per task: their inputs of one pass stay in the L2 cache (96 KiB).
const ROW_BLOCK: usize = 96;
/// Panels that one row takes at once.
const STREAM_PANELS: usize = 4;
/// Multiply-adds that are worth handing to another thread: the weights take one core several
/// microseconds to stream.
const TASK_WORK: usize = 1 << 17;
/// Tasks per thread that even out cores of different speed.
const TASKS_PER_THREAD: usize = 8;

/// `out[row] = weight * input[row] + bias` for `rows` rows.
///
/// # Panics
/// If `input` or `out` is shorter than its rows.
pub(crate) fn linear(
    pool: &Pool,
    isa: Isa,
    weight: &PackedLinear,
    input: &[f32],
    rows: usize,
    out: &mut [f32],
) {
    assert!(
        input.len() >= rows * weight.in_features(),
        "the input has {rows} rows"
    );
    assert!(
        out.len() >= rows * weight.out_features(),
        "the output has {rows} rows"
    );
    match weight.panels() {
        Panels::F32(panels) => product(pool, isa, weight, panels, input, rows, out),
        Panels::Bf16(panels) => product(pool, isa, weight, panels, input, rows, out),
        Panels::F16(panels) => product(pool, isa, weight, panels, input, rows, out),
    }
}

fn product<T: Element>(
    pool: &Pool,
    isa: Isa,
    weight: &PackedLinear,
    panels: &AlignedSlice<T>,
    input: &[f32],
    rows: usize,
    out: &mut [f32],
) {
    let num_panels = weight.out_features().div_ceil(LANES);
    let per_task = panels_per_task(pool.num_threads(), rows, num_panels, weight.in_features());
    let panel_tasks = num_panels.div_ceil(per_task);
    let out = SharedPtr(out.as_mut_ptr());
    pool.run(panel_tasks * rows.div_ceil(ROW_BLOCK), &|_, task| {
        let first_panel = task % panel_tasks * per_task;
        let first_row = task / panel_tasks * ROW_BLOCK;
        isa.run(Product {
            weight,
            panels,
            input,
            rows: first_row..rows.min(first_row + ROW_BLOCK),
            columns: first_panel..num_panels.min(first_panel + per_task),
            out: out.get(),
        });
    });
}

/// Panels that one task takes: as many tasks as are worthwhile, at most some per thread, the same
/// number for every thread, and whole tiles of one row.
fn panels_per_task(threads: usize, rows: usize, num_panels: usize, depth: usize) -> usize {
    let row_tasks = rows.div_ceil(ROW_BLOCK).max(1);
    let worthwhile = (rows * depth * num_panels * LANES).div_ceil(TASK_WORK);
    let tasks = worthwhile
        .clamp(1, threads * TASKS_PER_THREAD)
        .next_multiple_of(threads);
    let panel_tasks = tasks.div_ceil(row_tasks);
    num_panels
        .div_ceil(panel_tasks)
        .next_multiple_of(STREAM_PANELS)
}

/// One task: `rows` of the input times the panels `columns`.
struct Product<'a, T> {
    weight: &'a PackedLinear,
    panels: &'a [T],
    /// `[_, in_features]`
    input: &'a [f32],
    rows: Range<usize>,
    columns: Range<usize>,
    /// `[_, out_features]`; only this task touches its rows and columns.
    out: *mut f32,
}

impl<T: Element> Kernel for Product<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let depth = self.weight.in_features();
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
        let pass = 0..self.weight.in_features();
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
    /// tile brings a panel into the cache for the others.
    #[inline(always)]
    fn pass<S: Simd>(&self, simd: S, tiles: usize, pass: Range<usize>) {
        for panel in self.columns.clone() {
            let mut row = self.rows.start;
            for tile in 0..tiles {
                let count = (self.rows.end - row).div_ceil(tiles - tile);
                let reading = if tile == 0 {
                    Reading::Streamed
                } else {
                    Reading::Cached
                };
                match count {
                    1 => self.tile::<S, 1, 1>(simd, row, panel, &pass, reading),
                    2 => self.tile::<S, 2, 1>(simd, row, panel, &pass, reading),
                    3 => self.tile::<S, 3, 1>(simd, row, panel, &pass, reading),
                    4 => self.tile::<S, 4, 1>(simd, row, panel, &pass, reading),
                    5 => self.tile::<S, 5, 1>(simd, row, panel, &pass, reading),
                    _ => self.tile::<S, 6, 1>(simd, row, panel, &pass, reading),
                }
                row += count;
            }
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
        let depth = product.weight.in_features();
        let panel_len = depth * LANES;
        let width = product.weight.out_features();
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
                        let (ptr, count) = product.columns_at(row + r, panel + p, width);
                        acc[r][p] = load_columns(simd, ptr, count);
                    }
                }
            }
            accumulate(simd, rows, panels, pass.len(), reading, &mut acc);
            for p in 0..P {
                let (_, count) = product.columns_at(row, panel + p, width);
                if let (Some(bias), true) = (product.weight.bias(), pass.end == depth) {
                    let bias = bias.as_ptr().add((panel + p) * LANES);
                    let bias = load_columns(simd, bias, count);
                    for r in 0..R {
                        acc[r][p] = simd.add(acc[r][p], bias);
                    }
                }
                for r in 0..R {
                    let (ptr, count) = product.columns_at(row + r, panel + p, width);
                    store_columns(simd, ptr, acc[r][p], count);
                }
            }
        }
    }
}

impl<T: Element> Product<'_, T> {
    /// Where panel `panel` of row `row` goes, and how many of its 16 columns exist.
    ///
    /// # Safety
    /// The row and the panel are this task's.
    #[inline(always)]
    unsafe fn columns_at(&self, row: usize, panel: usize, width: usize) -> (*mut f32, usize) {
        let column = panel * LANES;
        // SAFETY: the first column of a panel exists.
        let ptr = unsafe { self.out.add(row * width + column) };
        (ptr, LANES.min(width - column))
    }
}

/// # Safety
/// `count <= 16` elements are readable.
#[inline(always)]
unsafe fn load_columns<S: Simd>(simd: S, ptr: *const f32, count: usize) -> S::Vector {
    // SAFETY: the caller's promise.
    unsafe {
        if count == LANES {
            simd.load(ptr)
        } else {
            load_partial(simd, ptr, count)
        }
    }
}

/// # Safety
/// `count <= 16` elements are writable.
#[inline(always)]
unsafe fn store_columns<S: Simd>(simd: S, ptr: *mut f32, value: S::Vector, count: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if count == LANES {
            simd.store(ptr, value);
        } else {
            store_partial(simd, ptr, value, count);
        }
    }
}
