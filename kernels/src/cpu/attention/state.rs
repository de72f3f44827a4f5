//! The softmax of rows over some of their keys, not yet normalised.

#![expect(
    unsafe_code,
    reason = "partial results of several tasks lie side by side in memory"
)]

use std::ops::Range;

use crate::KernelError;
use crate::cpu::attention::ITEM_ROWS;
use crate::cpu::exp::exp2;
use crate::cpu::kv::padded_head_dim;
use crate::cpu::memory::AlignedSlice;
use crate::cpu::pool::SharedPtr;
use crate::cpu::simd::{LANES, Simd, store_partial};

/// The softmaxes of an item's rows: over the span at hand, and over the spans before it. Scores are
/// logarithms to base 2.
pub(super) struct States {
    /// Weighted values over the spans before, `[ITEM_ROWS, value_dim]`
    pub(super) outputs: AlignedSlice<f32>,
    /// Weighted values over the span at hand, where they wait to be merged,
    /// `[ITEM_ROWS, value_dim]`
    pub(super) partial_outputs: AlignedSlice<f32>,
    /// Largest scores over the spans before, and the sums of weights relative to them.
    /// `[ITEM_ROWS]`
    maxima: AlignedSlice<f32>,
    sums: AlignedSlice<f32>,
    /// The same of the span at hand; [`NO_KEYS`] and 0 where a row sees none of it. `[ITEM_ROWS]`
    pub(super) span_maxima: AlignedSlice<f32>,
    pub(super) span_sums: AlignedSlice<f32>,
    /// What the two halves of a merge are multiplied by. `[ITEM_ROWS]`
    pub(super) factors: AlignedSlice<f32>,
    pub(super) span_factors: AlignedSlice<f32>,
    /// `head_dim` in whole vectors.
    pub(super) value_dim: usize,
}

/// The largest score of no keys: finite, so that two of them differ by 0.
pub(super) const NO_KEYS: f32 = f32::MIN;

/// A row's weighted values `[value_dim]`, then its largest score and the sum of its weights.
#[derive(Clone, Copy)]
pub(super) struct Partial {
    /// `[stride(head_dim)]`
    ptr: *mut f32,
    value_dim: usize,
}

/// Partial results that wait to be merged.
pub(super) struct Partials {
    rows: AlignedSlice<f32>,
}

impl States {
    /// Room for an item's rows.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn new(head_dim: usize) -> Result<Self, KernelError> {
        let zeroed = |len| AlignedSlice::zeroed(len, "attention scratch");
        let value_dim = padded_head_dim(head_dim);
        Ok(Self {
            outputs: zeroed(ITEM_ROWS * value_dim)?,
            partial_outputs: zeroed(ITEM_ROWS * value_dim)?,
            maxima: zeroed(ITEM_ROWS)?,
            sums: zeroed(ITEM_ROWS)?,
            span_maxima: zeroed(ITEM_ROWS)?,
            span_sums: zeroed(ITEM_ROWS)?,
            factors: zeroed(ITEM_ROWS)?,
            span_factors: zeroed(ITEM_ROWS)?,
            value_dim,
        })
    }

    /// The softmax of no keys, for `num_rows` rows.
    pub(super) fn clear(&mut self, num_rows: usize) {
        self.outputs[..num_rows * self.value_dim].fill(0.0);
        let num_rows = num_rows.next_multiple_of(LANES);
        self.maxima[..num_rows].fill(NO_KEYS);
        self.sums[..num_rows].fill(0.0);
        // Lanes of a last vector that no row has stay what they are.
        self.span_maxima[..num_rows].fill(NO_KEYS);
        self.span_sums[..num_rows].fill(0.0);
    }

    /// Adds the sums of the span at hand, and leaves what outputs are multiplied by to be added.
    #[inline(always)]
    pub(super) fn join<S: Simd>(&mut self, simd: S, num_rows: usize) {
        for row in (0..num_rows).step_by(LANES) {
            // SAFETY: each holds `ITEM_ROWS` elements, which are whole vectors.
            unsafe {
                let max = simd.load(self.maxima.as_ptr().add(row));
                let span_max = simd.load(self.span_maxima.as_ptr().add(row));
                let joint = simd.max(span_max, max);
                let factor = exp2(simd, simd.sub(max, joint));
                let span_factor = exp2(simd, simd.sub(span_max, joint));
                let sum = simd.mul(simd.load(self.sums.as_ptr().add(row)), factor);
                let span_sum = simd.load(self.span_sums.as_ptr().add(row));
                let sum = simd.mul_add(span_sum, span_factor, sum);
                simd.store(self.maxima.as_mut_ptr().add(row), joint);
                simd.store(self.sums.as_mut_ptr().add(row), sum);
                simd.store(self.factors.as_mut_ptr().add(row), factor);
                simd.store(self.span_factors.as_mut_ptr().add(row), span_factor);
            }
        }
    }

    /// Joins the partial results of `rows`, of one span, which lie from `first` on; other rows see
    /// none of it.
    ///
    /// # Safety
    /// They exist, and nobody writes them while this runs.
    #[inline(always)]
    pub(super) unsafe fn merge<S: Simd>(&mut self, simd: S, first: Partial, rows: Range<usize>) {
        self.span_maxima.fill(NO_KEYS);
        self.span_sums.fill(0.0);
        for (offset, row) in rows.clone().enumerate() {
            // SAFETY: the caller's promise.
            let partial = unsafe { first.at(offset) };
            self.span_maxima[row] = partial.max();
            self.span_sums[row] = partial.sum();
        }
        self.join(simd, rows.end);
        for (offset, row) in rows.enumerate() {
            // SAFETY: the caller's promise.
            let partial = unsafe { first.at(offset) };
            // SAFETY: a partial result has as many values.
            unsafe { self.join_row(simd, row, partial.ptr) };
        }
    }

    /// Joins the partial outputs of `rows` with what is of the spans before.
    #[inline(always)]
    pub(super) fn join_outputs<S: Simd>(&mut self, simd: S, rows: Range<usize>) {
        for row in rows {
            let added = self.partial_outputs[row * self.value_dim..][..self.value_dim].as_ptr();
            // SAFETY: a row has as many.
            unsafe { self.join_row(simd, row, added) };
        }
    }

    /// Joins weighted values `added` `[value_dim]` to row `row`.
    ///
    /// # Safety
    /// They are readable, and are not the row's own.
    #[inline(always)]
    unsafe fn join_row<S: Simd>(&mut self, simd: S, row: usize, added: *const f32) {
        let factor = simd.splat(self.factors[row]);
        let span_factor = simd.splat(self.span_factors[row]);
        let outputs = &mut self.outputs[row * self.value_dim..][..self.value_dim];
        for (index, vector) in outputs.chunks_exact_mut(LANES).enumerate() {
            // SAFETY: a chunk is a vector; the caller vouches for as many.
            unsafe {
                let scaled = simd.mul(simd.load(vector.as_ptr()), factor);
                let added = simd.load(added.add(index * LANES));
                let joint = simd.mul_add(added, span_factor, scaled);
                simd.store(vector.as_mut_ptr(), joint);
            }
        }
    }

    /// Copies row `row` of the span at hand.
    ///
    /// # Safety
    /// Nobody else accesses `partial`.
    #[inline(always)]
    pub(super) unsafe fn leave(&self, row: usize, partial: Partial) {
        let outputs = &self.partial_outputs[row * self.value_dim..][..self.value_dim];
        // SAFETY: a partial result holds so many, and two elements more.
        unsafe {
            std::ptr::copy_nonoverlapping(outputs.as_ptr(), partial.ptr, self.value_dim);
            *partial.ptr.add(self.value_dim) = self.span_maxima[row];
            *partial.ptr.add(self.value_dim + 1) = self.span_sums[row];
        }
    }

    /// Writes the normalised outputs of row `row`, whose head has the sink `sink`.
    #[inline(always)]
    pub(super) fn finish<S: Simd>(&self, simd: S, row: usize, sink: Option<f32>, out: &mut [f32]) {
        let mut sum = simd.splat(self.sums[row]);
        let mut factor = simd.splat(1.0);
        if let Some(sink) = sink {
            let max = simd.splat(self.maxima[row]);
            let sink = simd.splat(sink * std::f32::consts::LOG2_E);
            let joint = simd.max(sink, max);
            factor = exp2(simd, simd.sub(max, joint));
            sum = simd.mul_add(sum, factor, exp2(simd, simd.sub(sink, joint)));
        }
        let outputs = &self.outputs[row * self.value_dim..][..self.value_dim];
        for (vector, out) in outputs.chunks_exact(LANES).zip(out.chunks_mut(LANES)) {
            // SAFETY: a chunk of the outputs is a vector, and as long as the chunk that is written.
            unsafe {
                let value = simd.div(simd.mul(simd.load(vector.as_ptr()), factor), sum);
                if out.len() == LANES {
                    simd.store(out.as_mut_ptr(), value);
                } else {
                    store_partial(simd, out.as_mut_ptr(), value, out.len());
                }
            }
        }
    }
}

impl Partials {
    /// None.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn new() -> Result<Self, KernelError> {
        let rows = AlignedSlice::zeroed(0, "attention's partial results")?;
        Ok(Self { rows })
    }

    /// Makes room for `count` rows.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn grow(&mut self, count: usize, head_dim: usize) -> Result<(), KernelError> {
        let len = count * Partial::stride(head_dim);
        if len > self.rows.len() {
            let room = len.next_power_of_two();
            self.rows = AlignedSlice::zeroed(room, "attention's partial results")?;
        }
        Ok(())
    }

    /// The rows, for tasks that write different ones.
    pub(super) fn shared(&mut self) -> SharedPtr<f32> {
        SharedPtr(self.rows.as_mut_ptr())
    }
}

impl Partial {
    /// Elements of a partial result.
    fn stride(head_dim: usize) -> usize {
        padded_head_dim(head_dim) + LANES
    }

    /// Partial result `index` of those at `partials`.
    ///
    /// # Safety
    /// It exists, and nobody else writes it while this is used.
    #[inline(always)]
    pub(super) unsafe fn of(partials: *mut f32, index: usize, head_dim: usize) -> Self {
        Self {
            // SAFETY: the caller's promise.
            ptr: unsafe { partials.add(index * Self::stride(head_dim)) },
            value_dim: padded_head_dim(head_dim),
        }
    }

    /// The one that is `offset` further.
    ///
    /// # Safety
    /// As for [`Self::of`].
    #[inline(always)]
    unsafe fn at(self, offset: usize) -> Self {
        // SAFETY: the caller's promise.
        let ptr = unsafe { self.ptr.add(offset * (self.value_dim + LANES)) };
        Self { ptr, ..self }
    }

    #[inline(always)]
    fn max(self) -> f32 {
        // SAFETY: a partial result has this element.
        unsafe { *self.ptr.add(self.value_dim) }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: a partial result has this element.
        unsafe { *self.ptr.add(self.value_dim + 1) }
    }
}
