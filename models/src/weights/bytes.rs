//! A file's bytes, mapped, part of the program, or made by it.

#![expect(unsafe_code, reason = "memory maps of weights")]

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::Mmap;

use crate::{files, pages};

/// Read-only bytes.
pub(crate) enum Bytes {
    /// A mapped file, and what tells it from others.
    Mapped(Mmap, Option<String>),
    /// Part of the program.
    Static(&'static [u8]),
    /// Made by the program.
    Made(Vec<u8>),
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
        Ok(Self::Mapped(map, identity(path, &file)))
    }

    /// What tells a mapped file from every other one, and from itself once it is changed.
    pub(crate) fn identity(&self) -> Option<&str> {
        match self {
            Self::Mapped(_, identity) => identity.as_deref(),
            Self::Static(_) | Self::Made(_) => None,
        }
    }

    /// Gives the memory of a mapped file's `range` back to the system.
    pub(crate) fn release(&self, range: &Range<usize>) {
        match self {
            Self::Mapped(map, _) => pages::give_back(map, range),
            Self::Static(_) | Self::Made(_) => {}
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map, _) => map,
            Self::Static(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}

/// A file of the hub's cache is named by the digest of what was downloaded, wherever it lies, and is
/// never written again; its size and time are taken too, in case somebody did. Any other file is its
/// path and what the system knows of it.
fn identity(path: &Path, file: &File) -> Option<String> {
    let metadata = file.metadata().ok()?;
    let path = path.canonicalize().ok()?;
    let stamp = files::stamp(&metadata)?;
    let name = path.file_name()?.to_str()?;
    let in_blobs = path.parent()?.file_name() == Some("blobs".as_ref());
    let is_digest = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    if in_blobs && is_digest {
        let written = metadata.modified().ok()?;
        return Some(format!("blob {name} {} {written:?}", metadata.len()));
    }
    Some(format!("file {} {stamp}", path.display()))
}
