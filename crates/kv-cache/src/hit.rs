//! What a lookup found.

use crate::{BlockId, MissReason};

/// The cached prefix of a list of tokens.
///
/// It holds no reference: it is good until the cache next changes, which
/// [`PrefixCache::allocate`](crate::PrefixCache::allocate) checks.
#[derive(Clone, Debug)]
pub struct PrefixHit {
    pub(crate) generation: u64,
    pub(crate) block_size: usize,
    pub(crate) blocks: Vec<BlockId>,
    pub(crate) partial: Option<PartialHit>,
    pub(crate) miss: Option<MissReason>,
}

/// A block whose first tokens continue the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartialHit {
    pub(crate) src: BlockId,
    pub(crate) num_tokens: usize,
}

impl PrefixHit {
    /// Tokens of the prefix that are cached, the partial block's included.
    pub fn num_tokens(&self) -> usize {
        self.blocks.len() * self.block_size + self.partial.map_or(0, |hit| hit.num_tokens)
    }

    /// Blocks found whole.
    pub fn num_full_blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Why the prefix ends where it does; `None` when all tokens but the last are cached.
    pub fn miss(&self) -> Option<MissReason> {
        self.miss
    }
}
