//! Element types of the cache.

#[cfg(test)]
mod tests;

use half::bf16;

use crate::cpu::widen::Widen;

/// An element of cached keys and values.
pub(crate) trait KvElement: Widen {
    /// Whether a head of a token has a scale of its own.
    const SCALED: bool;

    /// What the stored elements of `head` are multiplied by when they are read; 1 unless
    /// [`Self::SCALED`]. NaN where an element is not finite.
    fn scale(head: &[f32]) -> f32;

    /// `value` in a head of scale `1 / inverse`.
    fn encode(value: f32, inverse: f32) -> Self;

    /// The element, not yet scaled.
    fn widen(self) -> f32;
}

impl KvElement for f32 {
    const SCALED: bool = false;

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

    #[inline(always)]
    fn scale(_head: &[f32]) -> f32 {
        1.0
    }

    #[inline(always)]
    fn encode(value: f32, _inverse: f32) -> Self {
        // As `bf16::from_f32` rounds, without its branches, so that loops are vectorised.
        let bits = value.to_bits();
        let quiet = bits >> 16 | 0x40;
        let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        Self::from_bits(if value.is_nan() { quiet } else { nearest } as u16)
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }
}

impl KvElement for i8 {
    const SCALED: bool = true;

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
