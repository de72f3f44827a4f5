//! Products of quantised inputs with panels of integers.
//!
//! Integers are multiplied and added exactly, 32 inputs at a time (16 where weights have a scale for
//! so many); then the sum is scaled and added to the row's output, in ascending order of inputs. So
//! a row's bits depend on nothing but the row, and hardly on the instruction set.

#![expect(unsafe_code, reason = "a tile reads and writes through pointers")]
#![expect(clippy::needless_range_loop, reason = "indices count rows of a tile")]

use std::marker::PhantomData;
use std::ops::Range;

use crate::WeightDtype;
use crate::cpu::linear::INTEGER_ROW_BLOCK;
use crate::cpu::linear::chunked_rows::ChunkedRows;
use crate::cpu::linear::integer_chunk::IntegerChunk;
use crate::cpu::linear::output::Output;
use crate::cpu::packed::{
    Chunk, Format, GROUP, IntegerPanels, Layout, PairSink, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0,
};
use crate::cpu::prefetch::Prefetch;
use crate::cpu::simd::{Kernel, LANES, Simd};

/// Rows up to which weights are unpacked in registers, anew for each tile: memory is the limit.
const FEW_ROWS: usize = 16;
/// Rows of such a tile, at most: sums of integers and of floats for each, and what unpacking takes.
const fn few_rows_tile<S: Simd>() -> usize {
    if S::INTEGER_ROWS > 6 { 8 } else { 4 }
}

/// One task: `rows` of the input times the panels `columns`.
#[derive(Clone)]
pub(super) struct IntegerProduct<'a> {
    pub(super) panels: &'a IntegerPanels,
    pub(super) input: &'a ChunkedRows<IntegerChunk>,
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// Only this task touches its rows and columns.
    pub(super) out: Output<'a>,
}

impl Kernel for IntegerProduct<'_> {
    const DOTS_PAIRS: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.panels.dtype() {
            WeightDtype::Q4_0 => self.run_as::<S, Q4_0>(simd),
            WeightDtype::Q5_0 => self.run_as::<S, Q5_0>(simd),
            WeightDtype::Q8_0 => self.run_as::<S, Q8_0>(simd),
            WeightDtype::Q4K => self.run_as::<S, Q4K>(simd),
            WeightDtype::Q5K => self.run_as::<S, Q5K>(simd),
            WeightDtype::Q6K => self.run_as::<S, Q6K>(simd),
            WeightDtype::F32 | WeightDtype::F16 | WeightDtype::Bf16 => {
                unreachable!("panels of integers")
            }
        }
    }
}

impl IntegerProduct<'_> {
    #[inline(always)]
    fn run_as<S: Simd, F: Format>(&self, simd: S) {
        if self.rows.len() <= FEW_ROWS {
            self.few_rows::<S, F>(simd);
        } else {
            self.many_rows::<S, F>(simd);
        }
    }

    /// Panel by panel; after the first tile the panel is in the cache.
    #[inline(always)]
    fn few_rows<S: Simd, F: Format>(&self, simd: S) {
        let tiles = self.rows.len().div_ceil(few_rows_tile::<S>());
        for panel in self.columns.clone() {
            let mut row = self.rows.start;
            for tile in 0..tiles {
                let count = (self.rows.end - row).div_ceil(tiles - tile);
                // Only tiles that the instruction set uses are compiled.
                match count {
                    1 => self.few::<S, F, 1>(simd, row, panel),
                    2 => self.few::<S, F, 2>(simd, row, panel),
                    3 => self.few::<S, F, 3>(simd, row, panel),
                    4 => self.few::<S, F, 4>(simd, row, panel),
                    5 if few_rows_tile::<S>() > 4 => self.few::<S, F, 5>(simd, row, panel),
                    6 if few_rows_tile::<S>() > 4 => self.few::<S, F, 6>(simd, row, panel),
                    7 if few_rows_tile::<S>() > 4 => self.few::<S, F, 7>(simd, row, panel),
                    8 if few_rows_tile::<S>() > 4 => self.few::<S, F, 8>(simd, row, panel),
                    _ => unreachable!("tiles have at most {} rows", few_rows_tile::<S>()),
                }
                row += count;
            }
        }
    }

    #[inline(always)]
    fn few<S: Simd, F: Format, const R: usize>(&self, simd: S, row: usize, panel: usize) {
        simd.outline(FewRows::<F, R> {
            product: self,
            row,
            panel,
            format: PhantomData,
        });
    }

    /// Chunk by chunk of a panel, all rows in tiles of nearly the same size. Unfinished outputs stay
    /// in an array of their own: in the output, a row's are so far from the next row's that they
    /// would fall into the same few sets of the caches.
    #[inline(always)]
    fn many_rows<S: Simd, F: Format>(&self, simd: S) {
        let tiles = self.rows.len().div_ceil(S::INTEGER_ROWS);
        let mut chunk = Chunk::new();
        let mut unfinished = [[0.0; LANES]; INTEGER_ROW_BLOCK];
        for panel in self.columns.clone() {
            for index in 0..self.panels.num_chunks() {
                simd.outline(Unpack::<F> {
                    panels: self.panels,
                    panel,
                    index,
                    chunk: &mut chunk,
                    format: PhantomData,
                });
                let mut row = self.rows.start;
                for tile in 0..tiles {
                    let count = (self.rows.end - row).div_ceil(tiles - tile);
                    let first = row - self.rows.start;
                    let place = Place {
                        product: self,
                        row,
                        panel,
                        index,
                        chunk: &chunk,
                        unfinished: &mut unfinished[first..first + count],
                    };
                    // Only tiles that the instruction set uses are compiled.
                    match count {
                        1 => place.run::<S, 1>(simd),
                        2 => place.run::<S, 2>(simd),
                        3 => place.run::<S, 3>(simd),
                        4 if S::INTEGER_ROWS > 3 => place.run::<S, 4>(simd),
                        5 if S::INTEGER_ROWS > 3 => place.run::<S, 5>(simd),
                        6 if S::INTEGER_ROWS > 3 => place.run::<S, 6>(simd),
                        7 if S::INTEGER_ROWS > 6 => place.run::<S, 7>(simd),
                        8 if S::INTEGER_ROWS > 6 => place.run::<S, 8>(simd),
                        9 if S::INTEGER_ROWS > 6 => place.run::<S, 9>(simd),
                        10 if S::INTEGER_ROWS > 6 => place.run::<S, 10>(simd),
                        11 if S::INTEGER_ROWS > 6 => place.run::<S, 11>(simd),
                        12 if S::INTEGER_ROWS > 6 => place.run::<S, 12>(simd),
                        _ => unreachable!("tiles have at most {} rows", S::INTEGER_ROWS),
                    }
                    row += count;
                }
            }
        }
    }

    /// Writes the outputs of `R` rows.
    ///
    /// # Safety
    /// The rows and the panel are this task's.
    #[inline(always)]
    unsafe fn write<S: Simd, const R: usize>(
        &self,
        simd: S,
        (row, panel): (usize, usize),
        acc: [S::Vector; R],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let bias = self.out.bias(simd, panel);
            for r in 0..R {
                let value = match bias {
                    Some(bias) => simd.add(acc[r], bias),
                    None => acc[r],
                };
                let (ptr, count) = self.out.at(row + r, panel);
                Output::store(simd, ptr, value, count);
            }
        }
    }
}

/// Adds a sub-block's exact sums of `R` rows, whose chunk is `input`, to their outputs.
#[inline(always)]
fn add_sums<S: Simd, const R: usize>(
    simd: S,
    input: &[IntegerChunk; R],
    group: usize,
    sums: [S::Sums; R],
    scale: S::Vector,
    acc: &mut [S::Vector; R],
) {
    for r in 0..R {
        let scale = simd.mul(scale, simd.splat(input[r].scales[group]));
        acc[r] = simd.mul_add(simd.to_floats(sums[r]), scale, acc[r]);
    }
}

/// Subtracts a group's mins from the outputs of `R` rows.
#[inline(always)]
fn subtract_mins<S: Simd, const R: usize>(
    simd: S,
    input: &[IntegerChunk; R],
    group: usize,
    min: S::Vector,
    acc: &mut [S::Vector; R],
) {
    for r in 0..R {
        acc[r] = simd.mul_add(simd.splat(input[r].minus_sums[group]), min, acc[r]);
    }
}

/// What sums of sub-block `sub` of group `group` begin with, so that the weights' offset goes.
#[inline(always)]
fn first_sums<S: Simd, const R: usize>(
    simd: S,
    input: &[IntegerChunk; R],
    (group, sub): (usize, usize),
    layout: &Layout,
) -> [S::Sums; R] {
    let mut sums = [simd.splat_sum(0); R];
    let offset = i32::from(layout.offset);
    if offset != 0 {
        for r in 0..R {
            let halves = &input[r].sums[2 * group..2 * group + 2];
            let sum = match layout.sub_len {
                GROUP => halves[0] + halves[1],
                _ => halves[sub],
            };
            sums[r] = simd.splat_sum(-offset * sum);
        }
    }
    sums
}

/// `R` rows from `row` on times panel `panel`, weights unpacked in registers.
struct FewRows<'a, F, const R: usize> {
    product: &'a IntegerProduct<'a>,
    row: usize,
    panel: usize,
    format: PhantomData<F>,
}

impl<F: Format, const R: usize> Kernel for FewRows<'_, F, R> {
    const DOTS_PAIRS: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            product,
            row,
            panel,
            ..
        } = self;
        let panels = product.panels;
        let mut acc = [simd.splat(0.0); R];
        for index in 0..panels.num_groups() {
            let (chunk, at) = (index / Chunk::GROUPS, index % Chunk::GROUPS);
            let input = product.input.chunk::<R>(chunk, row);
            let group = panels.group::<F>(panel, index);
            group.prefetch(simd, Prefetch::STREAM);
            for sub in 0..GROUP / F::LAYOUT.sub_len {
                let mut dot = Dot {
                    input,
                    group: at,
                    sums: first_sums::<S, R>(simd, input, (at, sub), &F::LAYOUT),
                };
                group.pairs(simd, sub, &mut dot);
                add_sums(simd, input, at, dot.sums, group.scale(simd, sub), &mut acc);
            }
            if F::LAYOUT.mins > 0 {
                subtract_mins(simd, input, at, group.min(simd), &mut acc);
            }
        }
        // SAFETY: the rows and the panel are this task's.
        unsafe { product.write(simd, (row, panel), acc) };
    }
}

/// Multiplies pairs as they are made.
struct Dot<'a, S: Simd, const R: usize> {
    input: &'a [IntegerChunk; R],
    group: usize,
    sums: [S::Sums; R],
}

impl<S: Simd, const R: usize> PairSink<S> for Dot<'_, S, R> {
    #[inline(always)]
    fn take(&mut self, simd: S, pair: usize, weights: S::Pairs) {
        for r in 0..R {
            let x = pair_of(&self.input[r], self.group * GROUP + 2 * pair);
            self.sums[r] = simd.dot_pairs(self.sums[r], simd.splat_pair(x), weights);
        }
    }
}

/// Inputs `k` and `k + 1`, as [`Simd::splat_pair`] takes them.
#[inline(always)]
fn pair_of(row: &IntegerChunk, k: usize) -> i32 {
    debug_assert!(k + 1 < row.values.len());
    // SAFETY: callers count pairs of the groups of a chunk.
    unsafe { row.values.as_ptr().add(k).cast::<i32>().read_unaligned() }
}

/// Makes a chunk in a function of its own.
struct Unpack<'a, F> {
    panels: &'a IntegerPanels,
    panel: usize,
    index: usize,
    chunk: &'a mut Chunk,
    format: PhantomData<F>,
}

impl<F: Format> Kernel for Unpack<'_, F> {
    const DOTS_PAIRS: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.panels
            .unpack::<S, F>(simd, self.panel, self.index, self.chunk);
    }
}

/// Rows from `row` on times chunk `index` of panel `panel`.
struct Place<'a> {
    product: &'a IntegerProduct<'a>,
    row: usize,
    panel: usize,
    index: usize,
    chunk: &'a Chunk,
    /// Outputs of these rows, after the chunks before.
    unfinished: &'a mut [[f32; LANES]],
}

impl Place<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(self, simd: S) {
        match self.product.panels.layout().mins {
            0 => simd.outline(Tile::<R, false>(self)),
            _ => simd.outline(Tile::<R, true>(self)),
        }
    }
}

/// `R` rows; weights have mins or not.
struct Tile<'a, const R: usize, const MINS: bool>(Place<'a>);

impl<const R: usize, const MINS: bool> Kernel for Tile<'_, R, MINS> {
    const DOTS_PAIRS: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Place {
            product,
            row,
            panel,
            index,
            chunk,
            unfinished,
        } = self.0;
        let layout = product.panels.layout();
        // Not a constant: the compiler would unroll the loop and then compute row by row, with
        // twice as many loads as the processor can do meanwhile.
        let sub_len = layout.sub_len;
        let input = product.input.chunk::<R>(index, row);
        let mut acc = [simd.splat(0.0); R];
        // SAFETY: an unfinished output is a vector; the chunk's groups lie in its arrays; the rows
        // and the panel are this task's.
        unsafe {
            if index > 0 {
                for r in 0..R {
                    acc[r] = simd.load(unfinished[r].as_ptr());
                }
            }
            for group in 0..chunk.groups {
                for sub in 0..GROUP / sub_len {
                    let pairs = chunk.pairs.as_ptr();
                    let pairs = pairs.add((group * GROUP + sub * sub_len) * LANES);
                    let mut sums = first_sums::<S, R>(simd, input, (group, sub), layout);
                    for pair in 0..sub_len / 2 {
                        let weights = simd.load_pairs(pairs.add(pair * 2 * LANES));
                        for r in 0..R {
                            let k = group * GROUP + sub * sub_len + 2 * pair;
                            let x = simd.splat_pair(pair_of(&input[r], k));
                            sums[r] = simd.dot_pairs(sums[r], x, weights);
                        }
                    }
                    let scale = chunk.scales.as_ptr();
                    let scale = simd.load(scale.add((group * (GROUP / sub_len) + sub) * LANES));
                    add_sums(simd, input, group, sums, scale, &mut acc);
                }
                if MINS {
                    let min = simd.load(chunk.mins.as_ptr().add(group * LANES));
                    subtract_mins(simd, input, group, min, &mut acc);
                }
            }
            if index + 1 == product.panels.num_chunks() {
                product.write(simd, (row, panel), acc);
            } else {
                for r in 0..R {
                    simd.store(unfinished[r].as_mut_ptr(), acc[r]);
                }
            }
        }
    }
}
