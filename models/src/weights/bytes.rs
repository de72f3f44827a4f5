//! A file's bytes, mapped or part of the program.

#![expect(unsafe_code, reason = "memory maps of weights")]

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::Mmap;

use crate::pages;

/// Read-only bytes.
pub(crate) enum Bytes {
    /// A mapped file.
    Mapped(Mmap),
    /// Part of the program.
    Static(&'static [u8]),
}

impl Bytes {
    /// Maps a file.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the map is read-only and lives for the load only. Another process that truncates
        // the file meanwhile would end this one with SIGBUS, and one that writes it would change
        // the weights; neither can be excluded from here. Checkpoints are written once and replaced
        // by renaming (the hub's cache does so), and copying them first would double the memory.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self::Mapped(map))
    }

    /// Gives the memory of a mapped file's `range` back to the system.
    pub(crate) fn release(&self, range: &Range<usize>) {
        match self {
            Self::Mapped(map) => pages::give_back(map, range),
            Self::Static(_) => {}
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Static(bytes) => bytes,
        }
    }
}
