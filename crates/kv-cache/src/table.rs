//! A sequence's blocks, in order.

use crate::{BlockId, WindowBlockId};

/// The blocks that hold a sequence's KV: token `t` lives in block `t / block_size`.
///
/// A table is made by [`PrefixCache::allocate`](crate::PrefixCache::allocate), grows by `extend`
/// and ends in `release`, which gives its blocks back. It is not `Clone`: each entry is one
/// reference. Debug builds panic when a table that still holds blocks is dropped.
#[derive(Debug, Default)]
#[must_use = "a table that is dropped leaks its blocks; release it"]
pub struct BlockTable {
    pub(crate) blocks: Vec<BlockId>,
    /// Leading blocks that are sealed: full, computed, and shared by their hash.
    pub(crate) num_sealed: usize,
    /// The copy that must run before anything is written to the table, its source pinned.
    pub(crate) copy: Option<BlockCopy>,
    pub(crate) num_cached_tokens: usize,
    /// The first block whose companion it holds: behind it, tokens to come read all of them.
    pub(crate) window_start: usize,
    /// Whose table it is, for those who lose blocks to it.
    pub(crate) holder: u64,
}

/// Copies the KV of a block's first tokens to another block, in every layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockCopy {
    /// Block to read; it keeps its content until the copy is finished.
    pub src: BlockId,
    /// Block to write; held by one table only.
    pub dst: BlockId,
    /// Tokens to copy, counted from the start of the block; at least 1.
    pub num_tokens: usize,
    /// The same of the layers with a sliding window, if they have a pool of their own.
    pub window: Option<WindowCopy>,
}

/// The part of a copy that concerns the layers with a sliding window; of as many tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowCopy {
    /// Block to read.
    pub src: WindowBlockId,
    /// Block to write.
    pub dst: WindowBlockId,
}

impl BlockTable {
    /// The blocks, in order.
    pub fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }

    /// Tokens whose KV the prefix cache supplied when the table was made.
    pub fn num_cached_tokens(&self) -> usize {
        self.num_cached_tokens
    }

    /// The copy to run before the table's first step; `None` once it is finished.
    pub fn pending_copy(&self) -> Option<BlockCopy> {
        self.copy
    }

    /// Whether the table holds no block.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

impl Drop for BlockTable {
    fn drop(&mut self) {
        debug_assert!(
            self.blocks.is_empty() || std::thread::panicking(),
            "a block table was dropped with {} blocks; release it",
            self.blocks.len()
        );
    }
}
