//! Element types of the cache.

#[cfg(test)]
mod tests;

use half::bf16;

use crate::cpu::kv::carry::Bytes;
use crate::cpu::simd::{Simd, to_bf16};
use crate::cpu::widen::Widen;

/// An element of cached keys and values.
pub(crate) trait KvElement: Widen + Bytes {
    /// Whether a head of a token has a scale of its own.
    const SCALED: bool;
    /// Whether bfloat16 holds an element, so that products may be in it.
    const PAIRS: bool;

    /// What the stored elements of `head` are multiplied by when they are read; 1 unless
    /// [`Self::SCALED`]. NaN where an element is not finite.
    fn scale(head: &[f32]) -> f32;

    /// `value` in a head of scale `1 / inverse`.
    fn encode(value: f32, inverse: f32) -> Self;

    /// The element, not yet scaled.
    fn widen(self) -> f32;

    /// Pairs of the lanes of two rows of 16, which are multiplied by `scales` where elements are
    /// [`Self::SCALED`], and rounded to bfloat16.
    ///
    /// # Safety
    /// Both rows are valid for reading 16 elements.
    #[inline(always)]
    unsafe fn zip<S: Simd>(simd: S, rows: [*const Self; 2], scales: [S::Vector; 2]) -> S::Pairs {
        // SAFETY: the caller's promise.
        let [mut low, mut high] = unsafe { [Self::load(simd, rows[0]), Self::load(simd, rows[1])] };
        if Self::SCALED {
            low = simd.mul(low, scales[0]);
            high = simd.mul(high, scales[1]);
        }
        simd.round_pairs(low, high)
    }
}

impl KvElement for f32 {
    const SCALED: bool = false;
    const PAIRS: bool = false;

    #[inline(always)]
    fn scale(_head: &[f32]) -> f32 {
        1.0
    }

    #[inline(always)]
    fn encode(value: f32, _inverse: f32) -> Self {
        value
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl KvElement for bf16 {
    const SCALED: bool = false;
    const PAIRS: bool = true;

    #[inline(always)]
    fn scale(_head: &[f32]) -> f32 {
        1.0
    }

    #[inline(always)]
    fn encode(value: f32, _inverse: f32) -> Self {
        to_bf16(value)
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }

    #[inline(always)]
    unsafe fn zip<S: Simd>(simd: S, rows: [*const Self; 2], _scales: [S::Vector; 2]) -> S::Pairs {
        // SAFETY: the caller's promise.
        unsafe { simd.zip_bf16(rows[0], rows[1]) }
    }
}

impl KvElement for i8 {
    const SCALED: bool = true;
    const PAIRS: bool = true;

    fn scale(head: &[f32]) -> f32 {
        // Magnitudes are ordered as their bits are, with what is not finite above all others.
        let magnitudes = head.iter().map(|x| x.to_bits() as i32 & i32::MAX);
        let largest = f32::from_bits(magnitudes.fold(0, i32::max) as u32);
        if largest.is_finite() {
            largest / 127.0
        } else {
            f32::NAN
        }
    }

    #[inline(always)]
    fn encode(value: f32, inverse: f32) -> Self {
        // The sum is rounded to a whole number, ties to even, which are its low bits. Where the
        // product does not fit the scale is NaN, and any element will do.
        (value * inverse + 12_582_912.0).to_bits() as Self
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }
}
