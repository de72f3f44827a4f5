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
use crate::cpu::linear::activations::QuantizedRows;
use crate::cpu::linear::output::Output;
use crate::cpu::packed::{
    Chunk, Format, GROUP, IntegerPanels, Layout, PairSink, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0,
};
use crate::cpu::simd::{Kernel, LANES, Simd};

/// One task: `rows` of the input times the panels `columns`.
#[derive(Clone)]
pub(super) struct IntegerProduct<'a> {
    pub(super) panels: &'a IntegerPanels,
    pub(super) input: &'a QuantizedRows,
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
        match self.rows.len() {
            1 => simd.outline(FewRows::<F, 1>(self, PhantomData)),
            2 => simd.outline(FewRows::<F, 2>(self, PhantomData)),
            3 => simd.outline(FewRows::<F, 3>(self, PhantomData)),
            4 => simd.outline(FewRows::<F, 4>(self, PhantomData)),
            _ => self.many_rows::<S, F>(simd),
        }
    }

    /// Chunk by chunk of a panel, all rows in tiles of nearly the same size.
    #[inline(always)]
    fn many_rows<S: Simd, F: Format>(&self, simd: S) {
        let tiles = self.rows.len().div_ceil(S::INTEGER_ROWS);
        let mut chunk = Chunk::new();
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
                    let place = Place {
                        product: self,
                        row,
                        panel,
                        index,
                        chunk: &chunk,
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

    /// Adds a sub-block's exact sums of `R` rows to their outputs.
    ///
    /// # Safety
    /// Rows from `row` on have group `group`.
    #[inline(always)]
    unsafe fn add_sums<S: Simd, const R: usize>(
        &self,
        simd: S,
        (row, group): (usize, usize),
        sums: [S::Sums; R],
        scale: S::Vector,
        acc: &mut [S::Vector; R],
    ) {
        let groups = self.input.depth / GROUP;
        for r in 0..R {
            // SAFETY: the input has a scale for each group of each row.
            let x = unsafe { *self.input.scales.as_ptr().add((row + r) * groups + group) };
            let scale = simd.mul(scale, simd.splat(x));
            acc[r] = simd.mul_add(simd.to_floats(sums[r]), scale, acc[r]);
        }
    }

    /// Subtracts a group's mins from the outputs of `R` rows.
    ///
    /// # Safety
    /// As [`Self::add_sums`].
    #[inline(always)]
    unsafe fn subtract_mins<S: Simd, const R: usize>(
        &self,
        simd: S,
        (row, group): (usize, usize),
        min: S::Vector,
        acc: &mut [S::Vector; R],
    ) {
        let groups = self.input.depth / GROUP;
        for r in 0..R {
            let at = (row + r) * groups + group;
            // SAFETY: the input has a sum for each group of each row.
            let x = unsafe { *self.input.minus_sums.as_ptr().add(at) };
            acc[r] = simd.mul_add(simd.splat(x), min, acc[r]);
        }
    }

    /// What sums of `R` rows begin with, so that the offset of the weights goes: of group `group`,
    /// sub-block `sub`.
    ///
    /// # Safety
    /// As [`Self::add_sums`].
    #[inline(always)]
    unsafe fn first_sums<S: Simd, const R: usize>(
        &self,
        simd: S,
        (row, group): (usize, usize),
        sub: usize,
        layout: &Layout,
    ) -> [S::Sums; R] {
        let halves = self.input.depth / (GROUP / 2);
        let mut sums = [simd.splat_sum(0); R];
        let offset = i32::from(layout.offset);
        if offset != 0 {
            for r in 0..R {
                let at = (row + r) * halves + 2 * group + sub;
                // SAFETY: the input has two sums for each group of each row.
                let sum = unsafe {
                    let sums = self.input.sums.as_ptr().add(at);
                    match layout.sub_len {
                        GROUP => *sums + *sums.add(1),
                        _ => *sums,
                    }
                };
                sums[r] = simd.splat_sum(-offset * sum);
            }
        }
        sums
    }

    /// Writes the outputs of `R` rows, with the bias if they are finished.
    ///
    /// # Safety
    /// The rows and the panel are this task's.
    #[inline(always)]
    unsafe fn write<S: Simd, const R: usize>(
        &self,
        simd: S,
        (row, panel): (usize, usize),
        finished: bool,
        acc: [S::Vector; R],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let bias = if finished {
                self.out.bias(simd, panel)
            } else {
                None
            };
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

/// All `R` rows of the task, weights unpacked in registers.
struct FewRows<'a, F, const R: usize>(&'a IntegerProduct<'a>, PhantomData<F>);

impl<F: Format, const R: usize> Kernel for FewRows<'_, F, R> {
    const DOTS_PAIRS: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let product = self.0;
        let (panels, input) = (product.panels, product.input);
        let row = product.rows.start;
        for panel in product.columns.clone() {
            let mut acc = [simd.splat(0.0); R];
            // SAFETY: the task's rows lie in the quantised input and, like its panels, in the
            // output, where nobody else touches them.
            unsafe {
                for index in 0..panels.num_groups() {
                    let group = panels.group::<F>(panel, index);
                    group.prefetch(simd);
                    let at = (row, index);
                    for sub in 0..GROUP / F::LAYOUT.sub_len {
                        let mut dot = Dot {
                            values: input.values.as_ptr().add(row * input.depth + index * GROUP),
                            stride: input.depth,
                            sums: product.first_sums::<S, R>(simd, at, sub, &F::LAYOUT),
                        };
                        group.pairs(simd, sub, &mut dot);
                        product.add_sums(simd, at, dot.sums, group.scale(simd, sub), &mut acc);
                    }
                    if F::LAYOUT.mins > 0 {
                        product.subtract_mins(simd, at, group.min(simd), &mut acc);
                    }
                }
                product.write(simd, (row, panel), true, acc);
            }
        }
    }
}

/// Multiplies pairs as they are made.
struct Dot<S: Simd, const R: usize> {
    /// The group's inputs of the first row.
    values: *const i16,
    /// Inputs from one row to the next.
    stride: usize,
    sums: [S::Sums; R],
}

impl<S: Simd, const R: usize> PairSink<S> for Dot<S, R> {
    #[inline(always)]
    fn take(&mut self, simd: S, pair: usize, weights: S::Pairs) {
        for r in 0..R {
            // SAFETY: whoever made this has `R` rows of a group of 16 pairs.
            let x = unsafe {
                let x = self.values.add(r * self.stride + 2 * pair);
                x.cast::<i32>().read_unaligned()
            };
            self.sums[r] = simd.dot_pairs(self.sums[r], simd.splat_pair(x), weights);
        }
    }
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
        } = self.0;
        let input = product.input;
        let first = index * Chunk::GROUPS;
        // Not a constant: the compiler would unroll the loop and then compute row by row, with
        // twice as many loads as the processor can do meanwhile.
        let layout = product.panels.layout();
        let sub_len = layout.sub_len;
        debug_assert!(row + R <= product.rows.end && panel < product.columns.end);
        let mut acc = [simd.splat(0.0); R];
        // SAFETY: the task's rows lie in the quantised input and, like its panels, in the output,
        // where nobody else touches them; the chunk's groups lie in its arrays and in the depth.
        unsafe {
            if index > 0 {
                for r in 0..R {
                    let (ptr, count) = product.out.at(row + r, panel);
                    acc[r] = Output::load(simd, ptr, count);
                }
            }
            for group in 0..chunk.groups {
                let at = (row, first + group);
                let values = row * input.depth + (first + group) * GROUP;
                let values = input.values.as_ptr().add(values);
                for sub in 0..GROUP / sub_len {
                    let pairs = chunk.pairs.as_ptr();
                    let pairs = pairs.add((group * GROUP + sub * sub_len) * LANES);
                    let mut sums = product.first_sums::<S, R>(simd, at, sub, layout);
                    for pair in 0..sub_len / 2 {
                        let weights = simd.load_pairs(pairs.add(pair * 2 * LANES));
                        for r in 0..R {
                            let x = values.add(r * input.depth + sub * sub_len + 2 * pair);
                            let x = simd.splat_pair(x.cast::<i32>().read_unaligned());
                            sums[r] = simd.dot_pairs(sums[r], x, weights);
                        }
                    }
                    let scale = chunk.scales.as_ptr();
                    let scale = simd.load(scale.add((group * (GROUP / sub_len) + sub) * LANES));
                    product.add_sums(simd, at, sums, scale, &mut acc);
                }
                if MINS {
                    let min = simd.load(chunk.mins.as_ptr().add(group * LANES));
                    product.subtract_mins(simd, at, min, &mut acc);
                }
            }
            let finished = index + 1 == product.panels.num_chunks();
            product.write(simd, (row, panel), finished, acc);
        }
    }
}
