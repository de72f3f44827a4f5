//! Products of quantised inputs with panels of integers.
//!
//! Integers are multiplied and added exactly, 32 inputs at a time (16 where weights have a scale for
//! so many); then the sum is scaled and added to the row's output, in ascending order of inputs. So
//! a row's bits depend on nothing but the row, and hardly on the instruction set.

#![expect(unsafe_code, reason = "a tile reads and writes through pointers")]
#![expect(clippy::needless_range_loop, reason = "indices count rows of a tile")]

use std::ops::Range;

use crate::cpu::linear::activations::QuantizedRows;
use crate::cpu::linear::output::Output;
use crate::cpu::packed::{Chunk, GROUP, IntegerPanels};
use crate::cpu::simd::{Kernel, LANES, Simd};

/// Rows of the largest tile of any instruction set.
const MAX_TILE_ROWS: usize = 12;

/// One task: `rows` of the input times the panels `columns`.
pub(super) struct IntegerProduct<'a> {
    pub(super) panels: &'a IntegerPanels,
    pub(super) input: &'a QuantizedRows,
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// Only this task touches its rows and columns.
    pub(super) out: Output<'a>,
}

impl Kernel for IntegerProduct<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let tiles = self.rows.len().div_ceil(S::INTEGER_ROWS.min(MAX_TILE_ROWS));
        let mut chunk = Chunk::new();
        for panel in self.columns.clone() {
            for index in 0..self.panels.num_chunks() {
                simd.outline(Unpack {
                    panels: self.panels,
                    panel,
                    index,
                    chunk: &mut chunk,
                });
                let mut row = self.rows.start;
                for tile in 0..tiles {
                    let count = (self.rows.end - row).div_ceil(tiles - tile);
                    self.tile(simd, row, count, panel, index, &chunk);
                    row += count;
                }
            }
        }
    }
}

impl IntegerProduct<'_> {
    /// `count` rows from `row` on; tiles that no instruction set uses are not compiled for it.
    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        simd: S,
        row: usize,
        count: usize,
        panel: usize,
        index: usize,
        chunk: &Chunk,
    ) {
        let place = Place {
            product: self,
            row,
            panel,
            index,
            chunk,
        };
        match count {
            1 => place.run::<S, 1>(simd),
            2 => place.run::<S, 2>(simd),
            3 => place.run::<S, 3>(simd),
            4 => place.run::<S, 4>(simd),
            5 => place.run::<S, 5>(simd),
            _ => place.run::<S, 6>(simd),
        }
    }
}

/// Widens a chunk in a function of its own.
struct Unpack<'a> {
    panels: &'a IntegerPanels,
    panel: usize,
    index: usize,
    chunk: &'a mut Chunk,
}

impl Kernel for Unpack<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.panels.unpack(simd, self.panel, self.index, self.chunk);
    }
}

/// Rows from `row` on times chunk `index` of panel `panel`.
#[derive(Clone, Copy)]
struct Place<'a> {
    product: &'a IntegerProduct<'a>,
    row: usize,
    panel: usize,
    index: usize,
    chunk: &'a Chunk,
}

impl Place<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(self, simd: S) {
        let panels = self.product.panels;
        match (panels.sub_block_len(), panels.has_mins()) {
            (16, _) => simd.outline(Tile::<R, 16, false>(self)),
            (_, false) => simd.outline(Tile::<R, 32, false>(self)),
            (_, true) => simd.outline(Tile::<R, 32, true>(self)),
        }
    }
}

/// `R` rows; weights have a scale for each `SUB` inputs, and mins or not.
struct Tile<'a, const R: usize, const SUB: usize, const MINS: bool>(Place<'a>);

impl<const R: usize, const SUB: usize, const MINS: bool> Kernel for Tile<'_, R, SUB, MINS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Place {
            product,
            row,
            panel,
            index,
            chunk,
        } = self.0;
        let input = product.input;
        let first = index * chunk.pairs.len() / LANES;
        let is_last = index + 1 == product.panels.num_chunks();
        debug_assert!(row + R <= product.rows.end && panel < product.columns.end);
        let groups = input.depth / GROUP;
        let mut acc = [simd.splat(0.0); R];
        // SAFETY: the product's rows lie in the quantised input, which has a scale and a sum for
        // each group, and in the output; the chunk's groups lie in its arrays and in the depth. No
        // other task touches these rows and columns of the output.
        unsafe {
            if index > 0 {
                for r in 0..R {
                    let (ptr, count) = product.out.at(row + r, panel);
                    acc[r] = Output::load(simd, ptr, count);
                }
            }
            for group in 0..chunk.groups {
                let values = input
                    .values
                    .as_ptr()
                    .add(row * input.depth + first + group * GROUP);
                let at = row * groups + first / GROUP + group;
                for sub in 0..GROUP / SUB {
                    let pairs = chunk.pairs.as_ptr();
                    let pairs = pairs.add((group * GROUP + sub * SUB) * LANES);
                    let mut sums = [simd.no_sum(); R];
                    for pair in 0..SUB / 2 {
                        let weights = simd.load_pairs(pairs.add(pair * 2 * LANES));
                        for r in 0..R {
                            let x = values.add(r * input.depth + sub * SUB + 2 * pair);
                            let x = simd.splat_pair(x.cast::<i32>().read_unaligned());
                            sums[r] = simd.dot_pairs(sums[r], x, weights);
                        }
                    }
                    let scale = chunk.scales.as_ptr();
                    let scale = simd.load(scale.add((group * (GROUP / SUB) + sub) * LANES));
                    for r in 0..R {
                        let x_scale = simd.splat(*input.scales.as_ptr().add(at + r * groups));
                        let scale = simd.mul(scale, x_scale);
                        acc[r] = simd.mul_add(simd.to_floats(sums[r]), scale, acc[r]);
                    }
                }
                if MINS {
                    let min = simd.load(chunk.mins.as_ptr().add(group * LANES));
                    for r in 0..R {
                        let x = simd.splat(*input.minus_sums.as_ptr().add(at + r * groups));
                        acc[r] = simd.mul_add(x, min, acc[r]);
                    }
                }
            }
            let bias = product.out.bias(simd, panel);
            for r in 0..R {
                if let (true, Some(bias)) = (is_last, bias) {
                    acc[r] = simd.add(acc[r], bias);
                }
                let (ptr, count) = product.out.at(row + r, panel);
                Output::store(simd, ptr, acc[r], count);
            }
        }
    }
}
