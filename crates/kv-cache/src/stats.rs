//! Counters of the cache.

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Blocks whose content was dropped to make room.
    pub evictions: u64,
    /// Full blocks registered under their hash.
    pub sealed: u64,
    /// Full blocks given back because another block held the same content.
    pub duplicates_merged: u64,
    /// Partly filled blocks registered among their parent's children.
    pub partials_registered: u64,
    /// Copies of partly matching blocks.
    pub copies: u64,
}
