//! Which block holds which tokens, after which prefix.

use std::collections::HashMap;

use crate::children::ChildIndex;
use crate::evicted::EvictedHashes;
use crate::free_list::EvictionClass;
use crate::hit::PartialHit;
use crate::pool::Parent;
use crate::retention::Retention;
use crate::windows::WindowBlocks;
use crate::{
    BlockCopy, BlockHash, BlockHasher, BlockId, BlockPool, BlockTable, CacheConfig, CacheStats,
    CachedBlock, Eviction, HashChain, OutOfBlocks, PrefixHit, RetentionKey, Timestamp, TokenId,
};

/// The block pool and the index of its content.
///
/// A full block is *sealed* once its KV is computed: it is registered under its hash, and from then
/// on never written. Per hash there is one block. When a second sequence has computed the same
/// content, its table entry is switched to the first block and its own is freed.
///
/// **A registered block's parent is registered, and is never evicted before it.** So links between
/// blocks stay valid, and eviction is leaf first without a tree:
///
/// 1. Tables are sealed from the front, each entry being the one block of its hash; so a table that
///    holds a registered block holds its parent, in the entry before. Hence a block in use has a
///    parent in use. (A pinned source of a copy is let go before its table is, and its parent is in
///    that table.)
/// 2. A table is let go from its end, so a block that becomes free is appended to the free list
///    before its parent is. If the parent stays in use or is taken again, it is appended later
///    still. Hence in the free list a block stands before its parent.
/// 3. Retained blocks stand behind all others. A block's ancestors are retained when it is, and no
///    shorter; blocks whose retention ends go to the end of the other blocks, descendants first. So
///    2 holds across the classes.
/// 4. Eviction takes the head of the free list: by 2 a leaf, or a block whose children are gone.
///    By 1 a free parent has no child in use.
///
/// **Retention is soft**: blocks that sequences need are taken from the retained ones when no others
/// are free, so nobody waits for a timer.
pub struct PrefixCache {
    pub(crate) enabled: bool,
    pub(crate) pool: BlockPool,
    pub(crate) windows: Option<WindowBlocks>,
    pub(crate) hasher: BlockHasher,
    pub(crate) by_hash: HashMap<BlockHash, BlockId>,
    pub(crate) children: ChildIndex,
    /// Sealed first blocks by their tokens alone, counted over all salts.
    pub(crate) first_blocks: HashMap<BlockHash, u32>,
    pub(crate) evicted: EvictedHashes,
    pub(crate) retention: Retention,
    /// Full blocks that were evicted since somebody asked.
    pub(crate) evicted_blocks: Option<Vec<CachedBlock>>,
    pub(crate) generation: u64,
    pub(crate) now: Timestamp,
    pub(crate) stats: CacheStats,
}

/// What a table's blocks hold: the KV of the first `num_computed` of `tokens`.
#[derive(Clone, Copy)]
pub struct Computed<'a> {
    /// Hashes of the sequence; at least of every full block that is computed.
    pub chain: &'a HashChain,
    /// The sequence from its start.
    pub tokens: &'a [TokenId],
    /// Tokens whose KV is in the table's blocks.
    pub num_computed: usize,
}

impl PrefixCache {
    /// An empty cache.
    ///
    /// # Panics
    /// If a pool has fewer than 2 blocks or a block no token, or evicted blocks are to be listed
    /// though a part of each lies in a pool apart.
    pub fn new(config: &CacheConfig) -> Self {
        let pool = BlockPool::new(config.num_blocks, config.block_size);
        assert!(
            config.window.is_none() || !config.list_evicted,
            "a block is kept elsewhere as a whole"
        );
        let windows = |window| WindowBlocks::new(window, config.num_blocks);
        let capacity = if config.enable_prefix_caching {
            pool.capacity()
        } else {
            0
        };
        Self {
            enabled: config.enable_prefix_caching,
            pool,
            windows: config.window.map(windows),
            hasher: BlockHasher::new(&config.fingerprint),
            by_hash: HashMap::with_capacity(capacity),
            children: ChildIndex::default(),
            first_blocks: HashMap::new(),
            evicted: EvictedHashes::new(config.evicted_memory),
            retention: Retention::new(config.retention),
            evicted_blocks: config.list_evicted.then(Vec::new),
            generation: 0,
            now: Timestamp(0),
            stats: CacheStats::default(),
        }
    }

    /// The blocks.
    pub fn pool(&self) -> &BlockPool {
        &self.pool
    }

    /// Counts since the start.
    pub fn stats(&self) -> CacheStats {
        self.stats
    }

    /// Blocks that are retained, in use or not.
    pub fn num_retained(&self) -> usize {
        self.retention.len()
    }

    /// What time it is, as far as the cache was told.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Says what time it is: retentions that are over end. Time never goes back.
    pub fn advance_clock(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some(id) = self.retention.pop_ended(self.now) {
            self.pool.set_class(id, EvictionClass::Normal);
            self.end_window_retention(id);
        }
    }

    /// Changes whenever content is registered or dropped, that is, when a lookup may answer
    /// differently.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// An empty chain in the namespace of `salt`.
    pub fn new_chain(&mut self, salt: &[u8]) -> HashChain {
        HashChain::new(&mut self.hasher, salt)
    }

    /// Hashes the full blocks of `tokens` that `chain` lacks; nothing when caching is off.
    pub fn extend_chain(&mut self, chain: &mut HashChain, tokens: &[TokenId]) {
        if self.enabled {
            chain.extend(&mut self.hasher, self.pool.block_size(), tokens);
        }
    }

    /// Free blocks that a table of `num_tokens` tokens on top of `hit` takes: the fresh ones, and
    /// the cached ones that leave the free list.
    pub fn blocks_needed(&self, hit: &PrefixHit, num_tokens: usize) -> usize {
        let revived = hit
            .blocks
            .iter()
            .filter(|&&id| self.pool.ref_count(id) == 0)
            .count();
        self.pool
            .blocks_for(num_tokens)
            .saturating_sub(hit.blocks.len())
            + revived
    }

    /// Makes a table with room for `num_tokens` tokens that starts with the cached prefix `hit`.
    ///
    /// A partly matching block is copied: the table's `pending_copy` must run before the step that
    /// writes to the table, and [`finish_copy`](Self::finish_copy) follows it. The copy's source
    /// cannot be evicted until then; when only that makes memory short, the partial match is given
    /// up, so see the table's `num_cached_tokens`.
    ///
    /// `holder` is the caller's name for whose table it is: a later miss on what is evicted for it
    /// tells it ([`Eviction`]).
    ///
    /// # Errors
    /// [`OutOfBlocks`], and nothing has changed.
    ///
    /// # Panics
    /// If the cache has changed since the lookup.
    pub fn allocate(
        &mut self,
        hit: &PrefixHit,
        num_tokens: usize,
        holder: u64,
    ) -> Result<BlockTable, OutOfBlocks> {
        assert_eq!(
            hit.generation, self.generation,
            "the cache changed since the lookup"
        );
        let num_blocks = self.pool.blocks_for(num_tokens).max(hit.blocks.len());
        let needed = self.blocks_needed(hit, num_tokens);
        let free = self.pool.num_free();
        if needed > free {
            return Err(OutOfBlocks { needed, free });
        }
        let partial = hit.partial.filter(|partial| {
            let pin = usize::from(self.pool.ref_count(partial.src) == 0);
            num_blocks > hit.blocks.len() && needed + pin <= free
        });
        for &id in &hit.blocks {
            self.hold(id);
        }
        if let Some(partial) = partial {
            self.hold(partial.src);
            self.pin_window(partial.src);
        }
        let window_start = self.hold_window(&hit.blocks);
        let mut table = BlockTable {
            blocks: Vec::with_capacity(num_blocks),
            num_sealed: hit.blocks.len(),
            copy: None,
            num_cached_tokens: hit.blocks.len() * self.pool.block_size(),
            window_start,
            holder,
        };
        table.blocks.extend_from_slice(&hit.blocks);
        self.append_fresh(&mut table, num_blocks);
        if let Some(PartialHit { src, num_tokens }) = partial {
            let dst = table.blocks[hit.blocks.len()];
            table.copy = Some(BlockCopy {
                src,
                dst,
                num_tokens,
                window: self.window_copy(src, dst),
            });
            table.num_cached_tokens += num_tokens;
            self.stats.copies += 1;
        }
        Ok(table)
    }

    /// Gives `table` room for `num_tokens` tokens.
    ///
    /// # Errors
    /// [`OutOfBlocks`], and nothing has changed.
    pub fn extend(&mut self, table: &mut BlockTable, num_tokens: usize) -> Result<(), OutOfBlocks> {
        let num_blocks = self.pool.blocks_for(num_tokens);
        let needed = num_blocks.saturating_sub(table.blocks.len());
        let free = self.pool.num_free();
        if needed > free {
            return Err(OutOfBlocks { needed, free });
        }
        self.append_fresh(table, num_blocks);
        Ok(())
    }

    /// Lets go of the source of the table's copy, which has run. Must precede sealing.
    pub fn finish_copy(&mut self, table: &mut BlockTable) {
        if let Some(copy) = table.copy.take() {
            self.pool.let_go(copy.src, self.now);
            self.unpin_window(copy.window);
        }
    }

    /// Seals the full blocks that are computed, so that other sequences can share them.
    pub fn seal(&mut self, table: &mut BlockTable, computed: Computed<'_>) {
        if !self.enabled {
            return;
        }
        debug_assert!(table.copy.is_none(), "finish the copy first");
        let full = computed.num_computed / self.pool.block_size();
        while table.num_sealed < full {
            self.seal_next(table, computed);
        }
    }

    /// Retains the sealed blocks among the first `num_tokens` tokens of a table, at least until
    /// then, on the account of `key`: they are evicted after all that are not retained. Returns the
    /// tokens of these that are retained now; it stops where the limits do.
    pub fn retain(
        &mut self,
        table: &BlockTable,
        num_tokens: usize,
        until: Timestamp,
        key: &RetentionKey,
    ) -> usize {
        let block_size = self.pool.block_size();
        let num_blocks = (num_tokens / block_size).min(table.num_sealed);
        let mut retained = 0;
        for (depth, &id) in table.blocks[..num_blocks].iter().enumerate() {
            if until <= self.now || !self.retention.retain(id, depth, until, key) {
                break;
            }
            self.pool.set_class(id, EvictionClass::Retained);
            retained += block_size;
        }
        self.retain_window(&table.blocks[..retained / block_size]);
        retained
    }

    /// Registers the computed tokens of the block that is being filled, so that others can copy
    /// them. Called when a prompt is computed; release does it by itself.
    pub fn register_partial(&mut self, table: &BlockTable, computed: Computed<'_>) {
        let block_size = self.pool.block_size();
        let filled = computed.num_computed % block_size;
        let index = computed.num_computed / block_size;
        if !self.enabled || filled == 0 {
            return;
        }
        debug_assert_eq!(index, table.num_sealed, "seal before registering the rest");
        let id = table.blocks[index];
        let parent = parent_of(table, computed.chain, index);
        let tokens = &computed.tokens[computed.num_computed - filled..computed.num_computed];
        self.unregister_child(id);
        if !self.children.covers(parent, tokens) {
            self.register_child(id, parent, tokens);
            self.stats.partials_registered += 1;
        }
    }

    /// Gives a table's blocks back. What is computed stays cached until its memory is needed.
    ///
    /// Tokens that were to be copied and were not are taken as not computed.
    pub fn release(&mut self, mut table: BlockTable, computed: Computed<'_>) {
        let num_computed = match table.copy.take() {
            None => computed.num_computed,
            Some(copy) => {
                self.pool.let_go(copy.src, self.now);
                self.unpin_window(copy.window);
                computed
                    .num_computed
                    .min(table.num_sealed * self.pool.block_size())
            }
        };
        let computed = Computed {
            num_computed,
            ..computed
        };
        self.seal(&mut table, computed);
        self.register_partial(&table, computed);
        self.release_window(&table);
        for id in std::mem::take(&mut table.blocks).into_iter().rev() {
            self.pool.let_go(id, self.now);
        }
    }

    /// Forgets all content. Refused, with `false`, while any block is in use.
    pub fn reset(&mut self) -> bool {
        if self.pool.num_in_use() > 0 {
            return false;
        }
        self.pool.clear();
        self.clear_windows();
        self.by_hash.clear();
        self.children.clear();
        self.first_blocks.clear();
        self.evicted.clear();
        self.retention.clear();
        self.generation += 1;
        true
    }

    /// Grows the table to `num_blocks`; the caller has checked that they are free.
    fn append_fresh(&mut self, table: &mut BlockTable, num_blocks: usize) {
        while table.blocks.len() < num_blocks {
            let id = self.pool.take_free().expect("the free blocks were counted");
            if self.pool.block(id).is_cached() {
                self.evict(id, table.holder);
            }
            self.take_window(id, table.holder);
            table.blocks.push(id);
        }
    }

    fn seal_next(&mut self, table: &mut BlockTable, computed: Computed<'_>) {
        let block_size = self.pool.block_size();
        let index = table.num_sealed;
        let id = table.blocks[index];
        let hash = computed.chain.hashes()[index];
        let parent = parent_of(table, computed.chain, index);
        let tokens = &computed.tokens[index * block_size..(index + 1) * block_size];
        self.unregister_child(id);
        if let Some(&first) = self.by_hash.get(&hash) {
            let same = self.pool.tokens(first, block_size) == tokens
                && self.pool.block(first).parent == parent;
            assert!(
                same,
                "{first:?} and {id:?} differ and have the same 256-bit hash"
            );
            self.hold(first);
            self.merge_window(id, first);
            self.pool.let_go(id, self.now);
            table.blocks[index] = first;
            self.stats.duplicates_merged += 1;
        } else {
            self.by_hash.insert(hash, id);
            let block = self.pool.block_mut(id);
            block.hash = Some(hash);
            block.sealed_at = self.now;
            self.register_child(id, parent, tokens);
            if let (Parent::Root(_), Some(unsalted)) = (parent, computed.chain.unsalted()) {
                *self.first_blocks.entry(unsalted).or_insert(0) += 1;
            }
            self.stats.sealed += 1;
        }
        table.num_sealed += 1;
    }

    /// Makes a block findable as a child of `parent`, and drops a free block whose tokens are only
    /// the start of this one's.
    fn register_child(&mut self, id: BlockId, parent: Parent, tokens: &[TokenId]) {
        self.pool.write_tokens(id, tokens);
        let block = self.pool.block_mut(id);
        block.parent = parent;
        block.num_indexed = u32::try_from(tokens.len()).expect("a block's tokens are few");
        self.children.insert(parent, tokens, id);
        self.generation += 1;
        if let Some(shorter) = self.children.covered_by(parent, tokens)
            && self.pool.ref_count(shorter) == 0
        {
            self.unregister_child(shorter);
            self.drop_window(shorter);
            self.pool.move_to_front(shorter);
        }
    }

    fn unregister_child(&mut self, id: BlockId) {
        let block = self.pool.block_mut(id);
        let num_indexed = std::mem::take(&mut block.num_indexed) as usize;
        let parent = block.parent;
        if num_indexed > 0 {
            self.children
                .remove(parent, self.pool.tokens(id, num_indexed));
            self.generation += 1;
        }
    }

    /// Adds a holder to a cached block.
    fn hold(&mut self, id: BlockId) {
        let block = self.pool.block(id);
        if block.ref_count == 0 && block.hash.is_some() {
            let gap = self.now.since(block.freed_at);
            self.stats.block_times.reuse_gap.record(gap);
        }
        self.pool.hold(id);
    }

    fn evict(&mut self, id: BlockId, holder: u64) {
        self.unregister_child(id);
        self.drop_window(id);
        self.stats.evictions += 1;
        let was_retained = self.retention.remove(id);
        self.stats.retained_evictions += u64::from(was_retained);
        let block = self.pool.block_mut(id);
        block.class = EvictionClass::Normal;
        let Some(hash) = block.hash.take() else {
            return;
        };
        let times = &mut self.stats.block_times;
        times.lifetime.record(self.now.since(block.sealed_at));
        times
            .idle_before_evict
            .record(self.now.since(block.freed_at));
        self.by_hash.remove(&hash);
        if let Some(evicted) = &mut self.evicted_blocks {
            let tokens = self.pool.tokens(id, self.pool.block_size());
            evicted.push(CachedBlock {
                block: id,
                hash,
                tokens: tokens.to_vec(),
            });
        }
        let eviction = Eviction {
            at: self.now,
            holder,
            was_retained,
        };
        self.evicted.push(hash, eviction);
        if let Parent::Root(_) = self.pool.block(id).parent {
            let root = self.hasher.unsalted_root();
            let tokens = self.pool.tokens(id, self.pool.block_size());
            let unsalted = self.hasher.block(&root, tokens, &[]);
            let count = self
                .first_blocks
                .get_mut(&unsalted)
                .expect("counted when sealed");
            *count -= 1;
            if *count == 0 {
                self.first_blocks.remove(&unsalted);
            }
        }
    }
}

fn parent_of(table: &BlockTable, chain: &HashChain, index: usize) -> Parent {
    match index.checked_sub(1) {
        None => Parent::Root(chain.root()),
        Some(before) => Parent::Block(table.blocks[before]),
    }
}
