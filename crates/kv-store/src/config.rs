//! Where blocks are kept, and what they are.

use std::io;
use std::path::PathBuf;

use crate::record::Hash;

/// What a store is made of.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Folder of the segment files; made if it is not there.
    pub folder: PathBuf,
    /// Bytes of all segment files of this digest; the oldest make room.
    pub max_bytes: u64,
    /// Digest of everything that the bytes of a block depend on beside its tokens.
    pub digest: Hash,
    /// Tokens of a block.
    pub block_size: usize,
    /// Bytes of a block.
    pub block_bytes: usize,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be used.
    #[error("{}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not one block fits.
    #[error("{max_bytes} bytes do not hold one block of {block_bytes}")]
    TooSmall {
        /// Bytes that the store may have.
        max_bytes: u64,
        /// Bytes of a block's record.
        block_bytes: u64,
    },
}
