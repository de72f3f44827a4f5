//! Zeroed memory for weights, activations and the KV cache, aligned to cache lines.

#![expect(
    unsafe_code,
    reason = "allocates by alignment and hands out slices of it"
)]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use half::{bf16, f16};

use crate::KernelError;
use crate::huge_pages::advise;

/// A cache line, and the width of the widest vector registers.
const ALIGNMENT: usize = 64;
/// What every allocator gives; asking for more would make it zero the memory by touching it.
const ALLOCATED_ALIGNMENT: usize = 16;
/// From here on translating addresses costs more than rounding the size up to huge pages.
const LARGE: usize = 4 << 20;

/// A fixed-length slice on the heap whose first element lies on a cache line.
///
/// Zeroed pages come from the operating system and are backed on first touch, so a large KV cache
/// costs memory only as it fills.
pub(crate) struct AlignedSlice<T> {
    ptr: NonNull<T>,
    len: usize,
    /// What the allocator gave; `None` if the slice is empty.
    allocation: Option<(NonNull<u8>, Layout)>,
    owns: PhantomData<T>,
}

/// Elements for which all-zero bytes are a value (zero) and that need no destructor.
///
/// # Safety
/// Both must hold.
pub(crate) unsafe trait Zeroable: Copy + Send + Sync + 'static {}

// SAFETY: zero bytes are 0.0 and floats have no destructor.
unsafe impl Zeroable for f32 {}
// SAFETY: zero bytes are 0 and integers have no destructor.
unsafe impl Zeroable for i8 {}
// SAFETY: zero bytes are 0 and integers have no destructor.
unsafe impl Zeroable for u8 {}
// SAFETY: zero bytes are 0 and integers have no destructor.
unsafe impl Zeroable for i16 {}
// SAFETY: zero bytes are 0 and integers have no destructor.
unsafe impl Zeroable for i32 {}
// SAFETY: a transparent u16 whose zero bytes are 0.0.
unsafe impl Zeroable for bf16 {}
// SAFETY: a transparent u16 whose zero bytes are 0.0.
unsafe impl Zeroable for f16 {}

impl<T: Zeroable> AlignedSlice<T> {
    /// `len` zeros.
    ///
    /// # Errors
    /// `OutOfMemory`, naming `what`.
    pub(crate) fn zeroed(len: usize, what: &'static str) -> Result<Self, KernelError> {
        let bytes = len.saturating_mul(size_of::<T>());
        let out_of_memory = || KernelError::OutOfMemory { what, bytes };
        if bytes == 0 {
            let ptr = NonNull::dangling();
            return Ok(Self {
                ptr,
                len: 0,
                allocation: None,
                owns: PhantomData,
            });
        }
        let padded = bytes.saturating_add(ALIGNMENT);
        let layout =
            Layout::from_size_align(padded, ALLOCATED_ALIGNMENT).map_err(|_| out_of_memory())?;
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).ok_or_else(out_of_memory)?;
        // SAFETY: the offset is below `ALIGNMENT`, by which the allocation is larger than the
        // slice.
        let ptr = unsafe { start.add(start.align_offset(ALIGNMENT)) }.cast::<T>();
        if bytes >= LARGE {
            advise(start.as_ptr(), padded);
        }
        Ok(Self {
            ptr,
            len,
            allocation: Some((start, layout)),
            owns: PhantomData,
        })
    }
}

impl<T> Deref for AlignedSlice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `ptr` is valid for `len` initialised elements (zeros are values) while `self`
        // lives.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for AlignedSlice<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` makes the access unique.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> Drop for AlignedSlice<T> {
    fn drop(&mut self) {
        if let Some((start, layout)) = self.allocation {
            // SAFETY: allocated in `zeroed` with this layout.
            unsafe { dealloc(start.as_ptr(), layout) };
        }
    }
}

// SAFETY: owns its elements like a `Box<[T]>`.
unsafe impl<T: Send> Send for AlignedSlice<T> {}
// SAFETY: shared access gives only `&[T]`.
unsafe impl<T: Sync> Sync for AlignedSlice<T> {}
