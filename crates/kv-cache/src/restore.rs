//! Blocks that are kept outside of the pool, too: what leaves it, and what comes back.

use crate::{BlockHash, BlockId, BlockTable, Computed, HashChain, PrefixCache, TokenId};

/// The holder of tables that only bring blocks back.
const NOBODY: u64 = u64::MAX;

/// A full block and its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedBlock {
    /// Where it is or was.
    pub block: BlockId,
    /// Names its tokens and all before them.
    pub hash: BlockHash,
    /// Its tokens.
    pub tokens: Vec<TokenId>,
}

/// Blocks that are to be filled from outside: memory for the part of a prompt that follows what is
/// cached of it. Ends in [`PrefixCache::finish_restore`].
#[derive(Debug)]
pub struct Restore {
    table: BlockTable,
    chain: HashChain,
    /// The prompt as far as the blocks reach.
    tokens: Vec<TokenId>,
    num_cached: usize,
    /// What is to be written to which block, in order.
    pub blocks: Vec<CachedBlock>,
}

impl PrefixCache {
    /// Full blocks that were evicted since the last call, in order. Their memory keeps its content
    /// until the next step writes to it. Empty unless the cache was told to list them.
    pub fn take_evicted(&mut self) -> Vec<CachedBlock> {
        self.evicted_blocks
            .as_mut()
            .map_or_else(Vec::new, std::mem::take)
    }

    /// Every full block that is cached, in the order of ids.
    pub fn cached_blocks(&self) -> Vec<CachedBlock> {
        let block = |id: BlockId| {
            let hash = self.pool.block(id).hash?;
            let tokens = self.pool.tokens(id, self.pool.block_size()).to_vec();
            Some(CachedBlock {
                block: id,
                hash,
                tokens,
            })
        };
        self.pool.ids().filter_map(block).collect()
    }

    /// Takes memory for the full blocks of a prompt that follow its cached prefix and that `is_kept`
    /// outside; fewer when there is not so much free. `None` if there are none, or so many blocks are
    /// not `worth` it.
    pub fn begin_restore(
        &mut self,
        salt: &[u8],
        tokens: &[TokenId],
        mut is_kept: impl FnMut(&BlockHash) -> bool,
        worth: impl FnOnce(usize) -> bool,
    ) -> Option<Restore> {
        if !self.enabled {
            return None;
        }
        let mut chain = self.new_chain(salt);
        self.extend_chain(&mut chain, tokens);
        let mut hit = self.lookup_prefix(&chain, tokens);
        hit.partial = None;
        let num_cached = hit.blocks.len();
        let behind = chain.hashes().get(num_cached..)?;
        let mut kept = behind.iter().take_while(|hash| is_kept(hash)).count();
        let block_size = self.pool.block_size();
        let needed = self.blocks_needed(&hit, (num_cached + kept) * block_size);
        kept = kept.saturating_sub(needed.saturating_sub(self.pool.num_free()));
        if kept == 0 || !worth(kept) {
            return None;
        }
        let len = (num_cached + kept) * block_size;
        let table = self.allocate(&hit, len, NOBODY).ok()?;
        let block = |at: usize| CachedBlock {
            block: table.blocks[at],
            hash: chain.hashes()[at],
            tokens: tokens[at * block_size..(at + 1) * block_size].to_vec(),
        };
        let blocks = (num_cached..num_cached + kept).map(block).collect();
        Some(Restore {
            blocks,
            table,
            chain,
            tokens: tokens[..len].to_vec(),
            num_cached,
        })
    }

    /// Ends a restore of whose blocks the first `num_filled` were filled: they are cached like any
    /// others that nobody holds.
    pub fn finish_restore(&mut self, restore: Restore, num_filled: usize) {
        let num_blocks = restore.num_cached + num_filled.min(restore.blocks.len());
        let computed = Computed {
            chain: &restore.chain,
            tokens: &restore.tokens,
            num_computed: num_blocks * self.pool.block_size(),
        };
        self.release(restore.table, computed);
    }
}
