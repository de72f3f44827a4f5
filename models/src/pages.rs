//! Memory of mapped files.

#![expect(unsafe_code, reason = "advice on a memory map")]

use std::ops::Range;

use memmap2::{Mmap, UncheckedAdvice};

/// Takes the pages of `range` out of this process's memory. They stay in the system's file cache
/// while it has room, and whoever reads them again gets them from there.
pub(crate) fn give_back(map: &Mmap, range: &Range<usize>) {
    // SAFETY: the map is of a file and read-only, so it has no changes that could be lost: a page
    // that is read again has the file's bytes, as before. (Those of a file that somebody changes
    // meanwhile may differ, which `Bytes::map` speaks of.)
    let advised =
        unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
    // It is advice: where the system does not take it, the memory comes back with the map.
    drop(advised);
}
