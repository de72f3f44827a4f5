//! Element types that products read as f32.

#![expect(unsafe_code, reason = "vector loads through pointers")]

use half::{bf16, f16};

use crate::cpu::memory::Zeroable;
use crate::cpu::simd::{Simd, bf16_position};

/// An element type of panels, widened to f32 as it is read.
pub(crate) trait Widen: Zeroable {
    /// Where lane `lane` lies in a row of 16.
    fn position(lane: usize) -> usize;
    /// A row of 16, widened, lanes in order.
    ///
    /// # Safety
    /// `ptr` is valid for reading 16 elements.
    unsafe fn load<S: Simd>(simd: S, ptr: *const Self) -> S::Vector;
}

impl Widen for f32 {
    #[inline(always)]
    fn position(lane: usize) -> usize {
        lane
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, ptr: *const Self) -> S::Vector {
        // SAFETY: the caller's promise is the callee's.
        unsafe { simd.load(ptr) }
    }
}

impl Widen for bf16 {
    #[inline(always)]
    fn position(lane: usize) -> usize {
        bf16_position(lane)
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, ptr: *const Self) -> S::Vector {
        // SAFETY: the caller's promise is the callee's.
        unsafe { simd.load_bf16(ptr) }
    }
}

impl Widen for f16 {
    #[inline(always)]
    fn position(lane: usize) -> usize {
        lane
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, ptr: *const Self) -> S::Vector {
        // SAFETY: the caller's promise is the callee's.
        unsafe { simd.load_f16(ptr) }
    }
}

impl Widen for i8 {
    #[inline(always)]
    fn position(lane: usize) -> usize {
        lane
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, ptr: *const Self) -> S::Vector {
        // SAFETY: the caller's promise is the callee's.
        unsafe { simd.load_i8(ptr) }
    }
}
