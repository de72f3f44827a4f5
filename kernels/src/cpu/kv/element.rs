//! Element types of the cache.

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
}

impl KvElement for bf16 {
    const SCALED: bool = false;

    #[inline(always)]
    fn scale(_head: &[f32]) -> f32 {
        1.0
    }

    #[inline(always)]
    fn encode(value: f32, _inverse: f32) -> Self {
        Self::from_f32(value)
    }
}

impl KvElement for i8 {
    const SCALED: bool = true;

    fn scale(head: &[f32]) -> f32 {
        // Written so that NaN stays: `f32::max` would drop it.
        let largest = head.iter().fold(
            0.0f32,
            |largest, x| {
                if x.abs() <= largest { largest } else { x.abs() }
            },
        );
        if largest.is_finite() {
            largest / 127.0
        } else {
            f32::NAN
        }
    }

    #[inline(always)]
    fn encode(value: f32, inverse: f32) -> Self {
        // A cast saturates, and makes NaN zero; then the scale is NaN.
        (value * inverse).round_ties_even() as Self
    }
}
