//! Quantised weights on disk, as they were packed, so that a later start need not quantise them.
//!
//! There is one file for each model and way of keeping its weights, named by the digest of all that
//! its contents depend on (see [`Key`]). It is written beside its name and renamed, so that it is
//! there as a whole or not at all, and several servers may write it at once.
//!
//! ```text
//! magic                                  8 bytes
//! panels of one matrix after the other
//! index                                  JSON: key, and per matrix: shape, whereabouts, digests
//! digest of the index                    32 bytes
//! length of the index                    8 bytes, little-endian
//! magic                                  8 bytes
//! ```
//!
//! Each MiB of the panels has a digest in the index, and is checked while it is read. Whatever is
//! wrong with a file costs time and nothing else: the weights are quantised, and the file is written
//! anew.

mod entry;
mod folder;
mod index;
mod key;
mod reader;
mod writer;

use std::path::PathBuf;

pub(crate) use entry::{Entry, Kept};
pub(crate) use key::Key;

/// Where quantised weights are kept, and how much of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsCache {
    /// The folder; created when it is needed.
    pub folder: PathBuf,
    /// Bytes of all files together; the oldest make room.
    pub max_bytes: u64,
    /// Keep only what takes seconds to quantise.
    pub only_slow: bool,
}

/// What became of cached weights, for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheNotice {
    /// The weights were read from the file.
    Read {
        /// The file.
        path: PathBuf,
    },
    /// The weights were quantised and written to the file.
    Written {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// An old file was removed to make room.
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// The file was there, but is not what it should be.
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The weights were quantised, but could not be written.
    NotWritten {
        /// The file, or the folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}
