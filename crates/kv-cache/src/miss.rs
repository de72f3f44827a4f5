//! Why a lookup stopped.

use crate::Eviction;

/// Where a cached prefix ended, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissReason {
    /// Index of the first block that was not found whole.
    pub block: usize,
    /// Index of the first token that was not found.
    pub token: usize,
    /// Why it was not found.
    pub cause: MissCause,
}

/// Why a block was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissCause {
    /// No request computed this block after this prefix, as far as the cache remembers.
    NeverSeen,
    /// It was cached once; its memory has been given away since.
    Evicted(Eviction),
    /// The same tokens are cached under another salt.
    OtherSalt,
    /// The prompt ends inside the block, or prefix caching is off for it.
    NotCacheable,
}
