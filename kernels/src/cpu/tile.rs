//! The innermost loop of every product: a few rows times a few panels, accumulated in registers.

#![expect(
    unsafe_code,
    reason = "reads operands through pointers, without bounds checks"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count rows and panels of a tile"
)]

use crate::cpu::prefetch::Prefetch;
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
    /// They are in the cache, and so is what is read next.
    Cached,
    /// Row after row, asking for more meanwhile.
    Asking(Prefetch),
}

/// Rows of a panel that are a piece of a [`Prefetch`].
const STRIP: usize = 16;

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
        Reading::Asking(prefetch) => STRIP * prefetch.step,
    };
    let mut start = 0;
    while start < depth {
        let end = depth.min(start + strip);
        if let Reading::Asking(prefetch) = reading {
            for panel in panels {
                let row = start + prefetch.first * STRIP;
                let ptr = panel.ptr.wrapping_add(row * panel.stride).cast();
                prefetch.ask(simd, ptr, STRIP * LANES * size_of::<T>());
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
