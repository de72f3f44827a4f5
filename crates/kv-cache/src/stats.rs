//! Counters of the cache.

use crate::BlockTimes;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CacheStats {
    /// Blocks whose content was dropped to make room.
    pub evictions: u64,
    /// Of these, blocks that were retained, and taken because no other was free.
    pub retained_evictions: u64,
    /// Blocks of layers with a sliding window that were given away while the other layers kept theirs.
    pub window_evictions: u64,
    /// Full blocks registered under their hash.
    pub sealed: u64,
    /// Full blocks given back because another block held the same content.
    pub duplicates_merged: u64,
    /// Partly filled blocks registered among their parent's children.
    pub partials_registered: u64,
    /// Copies of partly matching blocks.
    pub copies: u64,
    /// How long blocks live.
    pub block_times: BlockTimes,
}
