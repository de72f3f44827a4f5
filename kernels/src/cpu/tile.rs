//! The innermost loop of every product: a few rows times a few panels, accumulated in registers.

#![expect(
    unsafe_code,
    reason = "reads operands through pointers, without bounds checks"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count rows and panels of a tile"
)]

use crate::cpu::simd::{LANES, Simd};
use crate::cpu::widen::Widen;

/// Rows of the left operand: row `r` begins at `ptr + r * stride`.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    /// First element of the first row.
    pub(crate) ptr: *const f32,
    /// Elements from one row to the next.
    pub(crate) stride: usize,
}

impl Rows {
    /// The rows from row `row` and column `col` on.
    ///
    /// # Safety
    /// That element is inside the allocation, or one past its end.
    #[inline(always)]
    pub(crate) unsafe fn at(self, row: usize, col: usize) -> Self {
        // SAFETY: the caller's promise.
        let ptr = unsafe { self.ptr.add(row * self.stride + col) };
        Self {
            ptr,
            stride: self.stride,
        }
    }
}

/// A panel of the right operand: 16 columns, row `k` begins at `ptr + k * stride`.
pub(crate) struct Panel<T> {
    /// First element of the first row.
    pub(crate) ptr: *const T,
    /// Elements from one row to the next.
    pub(crate) stride: usize,
}

// Not derived: a derive would ask for `T: Copy` on a pointer.
impl<T> Clone for Panel<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Panel<T> {}

/// How a product reads its panels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// They are in the cache, or about to be read again.
    Cached,
    /// They come from memory, row after row: ask for what follows ahead of time, which the
    /// processor by itself does only within a page.
    Streamed,
}

/// Bytes that [`Reading::Streamed`] asks ahead: some 150 nanoseconds of streaming.
const AHEAD: usize = 4096;
/// Rows of a panel that it asks for at a time.
const STRIP: usize = 16;
/// Bytes that arrive at once.
const CACHE_LINE: usize = 64;

/// `acc[r][p] += sum over k of rows[r][k] * panels[p][k]`, adding in ascending order of `k`.
///
/// A lane's additions are the same whatever `R` and `P` are, and calls may continue each other's
/// sums: that makes a row's bits independent of how rows and `k` are divided.
///
/// # Safety
/// `R` rows of `depth` elements and `P` panels of `depth` rows are readable.
#[inline(always)]
pub(crate) unsafe fn accumulate<S: Simd, T: Widen, const R: usize, const P: usize>(
    simd: S,
    rows: Rows,
    panels: [Panel<T>; P],
    depth: usize,
    reading: Reading,
    acc: &mut [[S::Vector; P]; R],
) {
    let mut sums = *acc;
    let strip = match reading {
        Reading::Cached => depth,
        Reading::Streamed => STRIP,
    };
    let mut start = 0;
    while start < depth {
        let end = depth.min(start + strip);
        if reading == Reading::Streamed {
            for panel in panels {
                prefetch_strip(simd, panel.ptr.wrapping_add(start * panel.stride));
            }
        }
        for k in start..end {
            let mut weights = [simd.splat(0.0); P];
            for p in 0..P {
                // SAFETY: `k < depth`, so the panel has this row of 16.
                weights[p] = unsafe { T::load(simd, panels[p].ptr.add(k * panels[p].stride)) };
            }
            for r in 0..R {
                // SAFETY: `r < R` and `k < depth`, so the row has this element.
                let x = simd.splat(unsafe { *rows.ptr.add(r * rows.stride + k) });
                for p in 0..P {
                    sums[r][p] = simd.mul_add(x, weights[p], sums[r][p]);
                }
            }
        }
        start = end;
    }
    *acc = sums;
}

/// Asks for what a strip that begins [`AHEAD`] bytes after `ptr` will read of a packed panel.
#[inline(always)]
fn prefetch_strip<S: Simd, T>(simd: S, ptr: *const T) {
    let bytes = STRIP * LANES * size_of::<T>();
    for line in (0..bytes).step_by(CACHE_LINE) {
        simd.prefetch(ptr.wrapping_byte_add(AHEAD + line).cast());
    }
}
