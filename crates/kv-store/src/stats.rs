//! What a store holds and has done.

/// A snapshot; counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes of the segment files.
    pub bytes: u64,
    /// Blocks that can be found.
    pub blocks: u64,
    /// Blocks written since the start.
    pub written: u64,
    /// Blocks read back since the start.
    pub read: u64,
    /// Blocks that were not written, because the disk is slower than blocks come.
    pub dropped: u64,
    /// Writes that failed.
    pub write_errors: u64,
    /// Blocks that were found and could not be used.
    pub damaged: u64,
}
