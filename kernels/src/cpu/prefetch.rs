//! Asking memory for weights before they are read.

use crate::cpu::simd::Simd;

/// Bytes that arrive at once.
const CACHE_LINE: usize = 64;

/// Which pieces of weights are asked for while others are read that lie in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefetch {
    /// Bytes from what is read to what is asked for.
    ahead: usize,
    /// The first piece that is asked for.
    pub(crate) first: usize,
    /// Pieces from one that is asked for to the next.
    pub(crate) step: usize,
}

impl Prefetch {
    /// The reader takes what comes from memory as it comes: some 150 nanoseconds ahead. The
    /// processor by itself looks ahead only within a page.
    pub(crate) const STREAM: Self = Self {
        ahead: 4096,
        first: 0,
        step: 1,
    };

    /// Reader `index` of `readers`, who read the same one after the other, asks for its share of
    /// what lies `ahead` bytes on: so memory works while all of them compute, not just the first.
    pub(crate) fn share(ahead: usize, index: usize, readers: usize) -> Self {
        match readers {
            1 => Self::STREAM,
            _ => Self {
                ahead,
                first: index,
                step: readers,
            },
        }
    }

    /// Asks for what corresponds to the `len` bytes at `ptr`. Any address is harmless.
    #[inline(always)]
    pub(crate) fn ask<S: Simd>(self, simd: S, ptr: *const u8, len: usize) {
        for byte in (0..len).step_by(CACHE_LINE) {
            simd.prefetch(ptr.wrapping_add(self.ahead + byte));
        }
    }
}
