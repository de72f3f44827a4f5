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

/// A cache line, and the width of the widest vector registers.
const ALIGNMENT: usize = 64;

/// A fixed-length slice on the heap whose first element lies on a cache line.
///
/// Zeroed pages come from the operating system and are backed on first touch, so a large KV cache
/// costs memory only as it fills.
pub(crate) struct AlignedSlice<T> {
    ptr: NonNull<T>,
    len: usize,
    owns: PhantomData<T>,
}

/// Elements for which all-zero bytes are a value (zero) and that need no destructor.
///
/// # Safety
/// Both must hold.
pub(crate) unsafe trait Zeroable: Copy + Send + Sync + 'static {}

// SAFETY: zero bytes are 0.0 and floats have no destructor.
unsafe impl Zeroable for f32 {}
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
            return Ok(Self {
                ptr: NonNull::dangling(),
                len: 0,
                owns: PhantomData,
            });
        }
        let layout = Layout::from_size_align(bytes, ALIGNMENT).map_err(|_| out_of_memory())?;
        // SAFETY: the layout's size is not zero.
        let ptr = unsafe { alloc_zeroed(layout) };
        let ptr = NonNull::new(ptr.cast::<T>()).ok_or_else(out_of_memory)?;
        Ok(Self {
            ptr,
            len,
            owns: PhantomData,
        })
    }
}

impl<T> Deref for AlignedSlice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `ptr` is valid for `len` initialised elements (zeros are values) while `self` lives.
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
        if self.len > 0 {
            let bytes = self.len * size_of::<T>();
            let layout = Layout::from_size_align(bytes, ALIGNMENT)
                .expect("the layout was valid when the memory was allocated");
            // SAFETY: allocated in `zeroed` with this layout.
            unsafe { dealloc(self.ptr.as_ptr().cast(), layout) };
        }
    }
}

// SAFETY: owns its elements like a `Box<[T]>`.
unsafe impl<T: Send> Send for AlignedSlice<T> {}
// SAFETY: shared access gives only `&[T]`.
unsafe impl<T: Sync> Sync for AlignedSlice<T> {}
