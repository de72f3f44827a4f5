//! Systems on which a program does not ask for huge pages.

/// Does nothing.
pub(crate) fn advise(_start: *mut u8, _len: usize) {}
