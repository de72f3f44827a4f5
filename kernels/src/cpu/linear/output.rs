//! Where a product goes.

#![expect(unsafe_code, reason = "tasks write disjoint parts through pointers")]

use std::ops::Range;

use crate::cpu::simd::{LANES, Simd, load_partial, store_partial};

/// The columns of a segment in a row-major matrix.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    /// The first column of the first row.
    pub(super) ptr: *mut f32,
    /// Columns of the whole matrix.
    pub(super) stride: usize,
    /// Columns of the segment.
    pub(super) columns: usize,
    /// What is added to a finished sum. `[columns]`
    pub(super) bias: Option<&'a [f32]>,
}

impl Output<'_> {
    /// Where panel `panel` of row `row` goes, and how many of its 16 columns exist.
    ///
    /// # Safety
    /// The row and the panel exist.
    #[inline(always)]
    pub(super) unsafe fn at(&self, row: usize, panel: usize) -> (*mut f32, usize) {
        let column = panel * LANES;
        // SAFETY: the first column of a panel exists.
        let ptr = unsafe { self.ptr.add(row * self.stride + column) };
        (ptr, LANES.min(self.columns - column))
    }

    /// The bias of panel `panel`.
    ///
    /// # Safety
    /// The panel exists.
    #[inline(always)]
    pub(super) unsafe fn bias<S: Simd>(&self, simd: S, panel: usize) -> Option<S::Vector> {
        let bias = &self.bias?[panel * LANES..];
        // SAFETY: as many as are left, at most 16.
        Some(unsafe { Self::load(simd, bias.as_ptr(), LANES.min(bias.len())) })
    }

    /// Writes sums `[rows][16]`, with their bias: `rows` of panel `panel`.
    ///
    /// # Safety
    /// They exist, nobody else touches them, and `sums` has as many rows.
    #[inline(always)]
    pub(super) unsafe fn tile<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        panel: usize,
        sums: *const f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let bias = self.bias(simd, panel);
            for (index, row) in rows.enumerate() {
                let sum = simd.load(sums.add(index * LANES));
                let value = match bias {
                    Some(bias) => simd.add(sum, bias),
                    None => sum,
                };
                let (ptr, count) = self.at(row, panel);
                Self::store(simd, ptr, value, count);
            }
        }
    }

    /// # Safety
    /// `count <= 16` elements are readable.
    #[inline(always)]
    pub(super) unsafe fn load<S: Simd>(simd: S, ptr: *const f32, count: usize) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe {
            if count == LANES {
                simd.load(ptr)
            } else {
                load_partial(simd, ptr, count)
            }
        }
    }

    /// # Safety
    /// `count <= 16` elements are writable.
    #[inline(always)]
    pub(super) unsafe fn store<S: Simd>(simd: S, ptr: *mut f32, value: S::Vector, count: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if count == LANES {
                simd.store(ptr, value);
            } else {
                store_partial(simd, ptr, value, count);
            }
        }
    }
}
