//! Huge pages on Linux.

#![expect(
    unsafe_code,
    reason = "advises the kernel about memory that the caller owns"
)]

/// Asks for huge pages behind `len` bytes at `start`, memory that the caller owns: weights and the
/// KV cache are read by the gigabyte, and 4 KiB pages then cost translations. Only advice, so
/// nothing is said when the kernel does not follow it.
pub(crate) fn advise(start: *mut u8, len: usize) {
    // Whole huge pages only; `madvise` wants page-aligned addresses.
    const HUGE_PAGE: usize = 2 << 20;
    let skip = start.align_offset(HUGE_PAGE);
    let whole = len.saturating_sub(skip) / HUGE_PAGE * HUGE_PAGE;
    if whole > 0 {
        // SAFETY: the range lies inside the caller's allocation; the advice changes no contents.
        unsafe { libc::madvise(start.add(skip).cast(), whole, libc::MADV_HUGEPAGE) };
    }
}
