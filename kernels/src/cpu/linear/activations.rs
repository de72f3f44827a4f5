//! Inputs of integer products.

#![expect(unsafe_code, reason = "tasks write disjoint rows through pointers")]

use crate::KernelError;
use crate::cpu::memory::AlignedSlice;
use crate::cpu::packed::GROUP;
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::simd::{Isa, Kernel, Simd};

/// The largest magnitude of a quantised input: 15 bits, so that rounding inputs adds next to nothing
/// to the error of the weights (8 bits would add as much again). 32 products with weights of 8 bits
/// still fit 32 bits.
const LARGEST: f32 = 32_767.0;
/// Adding it to a float below 2^22 leaves the nearest integer in its low bits.
const ROUND: f32 = 12_582_912.0;
/// Elements per task: below, another thread is not worth waking.
const TASK_ELEMENTS: usize = 16 * 1024;

/// Rows of activations as integers, with a scale for each 32.
pub(crate) struct QuantizedRows {
    /// `[rows, depth]`
    pub(super) values: AlignedSlice<i16>,
    /// `[rows, depth / 32]`
    pub(super) scales: AlignedSlice<f32>,
    /// The sum of each group's inputs, negated. `[rows, depth / 32]`
    pub(super) minus_sums: AlignedSlice<f32>,
    pub(super) depth: usize,
}

impl QuantizedRows {
    /// No rows, and no room for any.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new() -> Result<Self, KernelError> {
        let what = "quantised activations";
        Ok(Self {
            values: AlignedSlice::zeroed(0, what)?,
            scales: AlignedSlice::zeroed(0, what)?,
            minus_sums: AlignedSlice::zeroed(0, what)?,
            depth: 0,
        })
    }

    /// Makes room for `len` elements; nothing is kept.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, len: usize) -> Result<(), KernelError> {
        if self.values.len() < len {
            let what = "quantised activations";
            self.values = AlignedSlice::zeroed(len, what)?;
            self.scales = AlignedSlice::zeroed(len.div_ceil(GROUP), what)?;
            self.minus_sums = AlignedSlice::zeroed(len.div_ceil(GROUP), what)?;
        }
        Ok(())
    }

    /// Takes the rows of `input` `[_, depth]`. A group with a value that is not finite gets a scale
    /// that is not a number, so that its products are none either.
    ///
    /// # Panics
    /// If there is no room, or `depth` is no whole number of groups.
    pub(crate) fn quantize(&mut self, pool: &Pool, isa: Isa, input: &[f32], depth: usize) {
        assert!(input.len() <= self.values.len(), "room was made");
        assert!(depth.is_multiple_of(GROUP), "whole groups");
        self.depth = depth;
        let chunk = (TASK_ELEMENTS / depth).max(1) * depth;
        let values = SharedPtr(self.values.as_mut_ptr());
        let scales = SharedPtr(self.scales.as_mut_ptr());
        let minus_sums = SharedPtr(self.minus_sums.as_mut_ptr());
        pool.run(input.len().div_ceil(chunk), &|_, task| {
            let start = task * chunk;
            let input = &input[start..input.len().min(start + chunk)];
            let (groups, first) = (input.len() / GROUP, start / GROUP);
            // SAFETY: chunks are whole groups, those of different tasks are disjoint, and there is
            // room for all.
            unsafe {
                isa.run(Groups {
                    input,
                    values: std::slice::from_raw_parts_mut(values.get().add(start), input.len()),
                    scales: std::slice::from_raw_parts_mut(scales.get().add(first), groups),
                    minus_sums: std::slice::from_raw_parts_mut(minus_sums.get().add(first), groups),
                });
            }
        });
    }
}

/// Some groups.
struct Groups<'a> {
    input: &'a [f32],
    values: &'a mut [i16],
    scales: &'a mut [f32],
    minus_sums: &'a mut [f32],
}

impl Kernel for Groups<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let groups = self
            .input
            .chunks_exact(GROUP)
            .zip(self.values.chunks_exact_mut(GROUP));
        let outputs = self.scales.iter_mut().zip(self.minus_sums);
        for ((input, values), (scale, minus_sum)) in groups.zip(outputs) {
            // Eight lanes each, so that the loops are vectors.
            let (mut largest, mut finite) = ([0.0f32; 8], [0.0f32; 8]);
            for input in input.chunks_exact(8) {
                for (lane, &x) in input.iter().enumerate() {
                    largest[lane] = if x.abs() > largest[lane] {
                        x.abs()
                    } else {
                        largest[lane]
                    };
                    // Zero, or NaN for what is not finite.
                    finite[lane] += x * 0.0;
                }
            }
            let largest = largest.into_iter().fold(0.0, f32::max);
            let finite: f32 = finite.into_iter().sum();
            let inverse = if largest > 0.0 {
                LARGEST / largest
            } else {
                0.0
            };
            let mut sums = [0i32; 8];
            for (input, values) in input.chunks_exact(8).zip(values.chunks_exact_mut(8)) {
                for lane in 0..8 {
                    let quant = (input[lane] * inverse + ROUND).to_bits() as i16;
                    values[lane] = quant;
                    sums[lane] += i32::from(quant);
                }
            }
            *scale = largest / LARGEST + finite;
            *minus_sum = -*scale * sums.into_iter().sum::<i32>() as f32;
        }
    }
}
