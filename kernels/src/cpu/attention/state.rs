//! The softmax of a row over some of its keys, not yet normalised.

#![expect(
    unsafe_code,
    reason = "states lie side by side in memory of several tasks"
)]

use crate::KernelError;
use crate::cpu::exp::exp;
use crate::cpu::kv::padded_head_dim;
use crate::cpu::memory::AlignedSlice;
use crate::cpu::pool::SharedPtr;
use crate::cpu::simd::{LANES, Simd};

/// A row's weighted values `[padded head_dim]`, then its largest score and the sum of its weights.
#[derive(Clone, Copy)]
pub(super) struct State {
    /// `[stride(head_dim)]`
    ptr: *mut f32,
    value_dim: usize,
}

/// States that wait to be merged.
pub(super) struct Partials {
    states: AlignedSlice<f32>,
}

impl Partials {
    /// None.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn new() -> Result<Self, KernelError> {
        let states = AlignedSlice::zeroed(0, "attention's partial results")?;
        Ok(Self { states })
    }

    /// Makes room for `count` states.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn grow(&mut self, count: usize, head_dim: usize) -> Result<(), KernelError> {
        let len = count * State::stride(head_dim);
        if len > self.states.len() {
            let room = len.next_power_of_two();
            self.states = AlignedSlice::zeroed(room, "attention's partial results")?;
        }
        Ok(())
    }

    /// The states, for tasks that write different ones.
    pub(super) fn shared(&mut self) -> SharedPtr<f32> {
        SharedPtr(self.states.as_mut_ptr())
    }
}

impl State {
    /// Elements of a state.
    pub(super) fn stride(head_dim: usize) -> usize {
        padded_head_dim(head_dim) + LANES
    }

    /// State `index` of those at `states`.
    ///
    /// # Safety
    /// It exists, and nobody else accesses it while this is used.
    #[inline(always)]
    pub(super) unsafe fn of(states: *mut f32, index: usize, head_dim: usize) -> Self {
        Self {
            // SAFETY: the caller's promise.
            ptr: unsafe { states.add(index * Self::stride(head_dim)) },
            value_dim: padded_head_dim(head_dim),
        }
    }

    /// The weighted values.
    #[inline(always)]
    pub(super) fn outputs(self) -> *mut f32 {
        self.ptr
    }

    /// The largest score.
    #[inline(always)]
    pub(super) fn max(self) -> f32 {
        // SAFETY: the state has this element.
        unsafe { *self.ptr.add(self.value_dim) }
    }

    /// The sum of the weights.
    #[inline(always)]
    pub(super) fn sum(self) -> f32 {
        // SAFETY: the state has this element.
        unsafe { *self.ptr.add(self.value_dim + 1) }
    }

    /// Replaces maximum and sum.
    #[inline(always)]
    pub(super) fn set(self, max: f32, sum: f32) {
        // SAFETY: the state has these elements.
        unsafe {
            *self.ptr.add(self.value_dim) = max;
            *self.ptr.add(self.value_dim + 1) = sum;
        }
    }

    /// The softmax of no keys.
    #[inline(always)]
    pub(super) fn clear<S: Simd>(self, simd: S) {
        for start in (0..self.value_dim).step_by(LANES) {
            // SAFETY: the outputs are whole vectors.
            unsafe { simd.store(self.ptr.add(start), simd.splat(0.0)) };
        }
        self.set(f32::NEG_INFINITY, 0.0);
    }

    /// Multiplies the outputs by the lanes of `factor`, which are equal.
    #[inline(always)]
    pub(super) fn scale<S: Simd>(self, simd: S, factor: S::Vector) {
        for start in (0..self.value_dim).step_by(LANES) {
            // SAFETY: the outputs are whole vectors.
            unsafe {
                let at = self.ptr.add(start);
                simd.store(at, simd.mul(simd.load(at), factor));
            }
        }
    }

    /// Becomes `other`.
    #[inline(always)]
    pub(super) fn copy_from<S: Simd>(self, simd: S, other: Self) {
        for start in (0..self.value_dim + LANES).step_by(LANES) {
            // SAFETY: states are whole vectors.
            unsafe { simd.store(self.ptr.add(start), simd.load(other.ptr.add(start))) };
        }
    }

    /// Becomes the softmax of its own keys and those of `other`, which come after them.
    #[inline(always)]
    pub(super) fn merge<S: Simd>(self, simd: S, other: Self) {
        let max = self.max().max(other.max());
        let own = exp(simd, simd.splat(self.max() - max));
        let others = exp(simd, simd.splat(other.max() - max));
        for start in (0..self.value_dim).step_by(LANES) {
            // SAFETY: the outputs are whole vectors.
            unsafe {
                let at = self.ptr.add(start);
                let scaled = simd.mul(simd.load(at), own);
                let added = simd.load(other.ptr.add(start));
                simd.store(at, simd.mul_add(added, others, scaled));
            }
        }
        let sum = simd.mul(simd.splat(self.sum()), own);
        let sum = simd.mul_add(simd.splat(other.sum()), others, sum);
        self.set(max, simd.max_lane(sum));
    }

    /// Normalises the outputs and writes the first `head_dim` of them.
    ///
    /// # Safety
    /// `out` is valid for writing `head_dim` elements, and `head_dim` is that of the state.
    #[inline(always)]
    pub(super) unsafe fn finish<S: Simd>(self, simd: S, out: *mut f32, head_dim: usize) {
        let sum = simd.splat(self.sum());
        for start in (0..self.value_dim).step_by(LANES) {
            // SAFETY: the outputs are whole vectors.
            unsafe {
                let at = self.ptr.add(start);
                simd.store(at, simd.div(simd.load(at), sum));
            }
        }
        // SAFETY: the caller's promise; outputs and `out` are different memory.
        unsafe { std::ptr::copy_nonoverlapping(self.ptr, out, head_dim) };
    }
}
