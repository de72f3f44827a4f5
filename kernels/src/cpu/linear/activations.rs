//! Inputs of integer products.

#![expect(unsafe_code, reason = "tasks write disjoint rows through pointers")]

use crate::KernelError;
use crate::cpu::memory::AlignedSlice;
use crate::cpu::packed::GROUP;
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::simd::{Isa, Kernel, LANES, Simd};

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
    /// Sums of half groups. `[rows, depth / 16]`
    pub(super) sums: AlignedSlice<i32>,
    /// Scaled sums of groups, negated. `[rows, depth / 32]`
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
            sums: AlignedSlice::zeroed(0, what)?,
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
            self.sums = AlignedSlice::zeroed(2 * len.div_ceil(GROUP), what)?;
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
        let sums = SharedPtr(self.sums.as_mut_ptr());
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
                    sums: std::slice::from_raw_parts_mut(sums.get().add(2 * first), 2 * groups),
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
    sums: &'a mut [i32],
    minus_sums: &'a mut [f32],
}

impl Kernel for Groups<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let groups = self
            .input
            .chunks_exact(GROUP)
            .zip(self.values.chunks_exact_mut(GROUP));
        let sums = self.sums.chunks_exact_mut(2).zip(self.minus_sums);
        let outputs = self.scales.iter_mut().zip(sums);
        let zero = simd.splat(0.0);
        for ((input, values), (scale, (sums, minus_sum))) in groups.zip(outputs) {
            // SAFETY: a group is two vectors.
            unsafe {
                let (low, high) = (
                    simd.load(input.as_ptr()),
                    simd.load(input.as_ptr().add(LANES)),
                );
                let sizes = simd.max(magnitude(simd, low), magnitude(simd, high));
                let largest = simd.max_lane(sizes);
                // Zero, or NaN if one is not finite.
                let finite = simd.sum(simd.add(simd.mul(low, zero), simd.mul(high, zero)));
                let inverse = if largest > 0.0 {
                    LARGEST / largest
                } else {
                    0.0
                };
                let low = rounded(simd, simd.mul(low, simd.splat(inverse)));
                let high = rounded(simd, simd.mul(high, simd.splat(inverse)));
                simd.store_i16(values.as_mut_ptr(), low);
                simd.store_i16(values.as_mut_ptr().add(LANES), high);
                *scale = largest / LARGEST + finite;
                // Whole numbers below 2^24: exact in any order.
                sums[0] = simd.sum(low) as i32;
                sums[1] = simd.sum(high) as i32;
                *minus_sum = -*scale * (sums[0] + sums[1]) as f32;
            }
        }
    }
}

#[inline(always)]
fn magnitude<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    simd.max(x, simd.sub(simd.splat(0.0), x))
}

/// The nearest whole numbers, of lanes below 2^22.
#[inline(always)]
fn rounded<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let round = simd.splat(ROUND);
    simd.sub(simd.add(x, round), round)
}
