//! The blocks themselves: who holds them, what they contain, which are free.

use crate::free_list::{EvictionClass, FreeList};
use crate::{BlockHash, BlockId, Timestamp, TokenId};

/// All blocks of the KV cache, allocated once.
///
/// Block 0 is the null block: it is never handed out and never holds content. Every other block
/// goes round:
///
/// 1. *free, without content*: at the front of the free list;
/// 2. *in use*: held by at least one table (or pinned as the source of a copy);
/// 3. *in use and cached*: its tokens are computed and registered, so others may share it;
/// 4. *free and cached*: nobody holds it, but it keeps its content until an allocation needs its
///    memory. A lookup may take it back to 3.
///
/// The free list is ordered by time of release, least recent first, and a table is released from
/// its end; retained blocks stand behind all others. See [`PrefixCache`](crate::PrefixCache) for why no block is ever evicted before its
/// descendants.
#[derive(Debug)]
pub struct BlockPool {
    block_size: usize,
    blocks: Vec<Block>,
    free: FreeList,
    /// Blocks in the free list that keep content.
    num_evictable: usize,
    /// Tokens of registered blocks. `[num_blocks * block_size]`
    tokens: Vec<TokenId>,
}

/// What the pool knows of one block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Tables that hold it, plus pins.
    pub(crate) ref_count: u32,
    /// Present once the block is full, computed, and the one block of its hash.
    pub(crate) hash: Option<BlockHash>,
    /// What it continues; meaningful while it is registered.
    pub(crate) parent: Parent,
    /// Tokens under which it is registered among its parent's children; 0 is not registered.
    pub(crate) num_indexed: u32,
    /// When its turn comes once it is free.
    pub(crate) class: EvictionClass,
    /// When it was sealed; meaningful while it has a hash.
    pub(crate) sealed_at: Timestamp,
    /// When its last holder let it go; meaningful while it is free.
    pub(crate) freed_at: Timestamp,
}

/// What comes before a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parent {
    /// Nothing: the block is the first of a namespace, which this root names.
    Root(BlockHash),
    /// A sealed block.
    Block(BlockId),
}

impl Block {
    const EMPTY: Self = Self {
        ref_count: 0,
        hash: None,
        parent: Parent::Block(BlockId(0)),
        num_indexed: 0,
        class: EvictionClass::Normal,
        sealed_at: Timestamp(0),
        freed_at: Timestamp(0),
    };

    pub(crate) fn is_cached(&self) -> bool {
        self.num_indexed > 0
    }
}

impl BlockPool {
    pub(crate) fn new(num_blocks: u32, block_size: usize) -> Self {
        assert!(num_blocks >= 2, "a pool needs the null block and one more");
        assert!(block_size >= 1, "a block holds at least one token");
        Self {
            block_size,
            blocks: vec![Block::EMPTY; num_blocks as usize],
            free: FreeList::new(num_blocks),
            num_evictable: 0,
            tokens: vec![TokenId(0); num_blocks as usize * block_size],
        }
    }

    /// Tokens per block.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// Blocks that can be handed out: all but the null block.
    pub fn capacity(&self) -> usize {
        self.blocks.len() - 1
    }

    /// Blocks that nobody holds, with or without content.
    pub fn num_free(&self) -> usize {
        self.free.len()
    }

    /// Blocks that nobody holds and whose content a lookup may find.
    pub fn num_evictable(&self) -> usize {
        self.num_evictable
    }

    /// Blocks that a table holds or a copy pins.
    pub fn num_in_use(&self) -> usize {
        self.capacity() - self.num_free()
    }

    /// Fraction of the blocks in use, in `[0, 1]`; content that nobody holds does not count.
    pub fn usage(&self) -> f64 {
        1.0 - self.num_free() as f64 / self.capacity() as f64
    }

    /// Blocks that `num_tokens` tokens occupy.
    pub fn blocks_for(&self, num_tokens: usize) -> usize {
        num_tokens.div_ceil(self.block_size)
    }

    /// Tables that hold `id`, plus pins.
    pub fn ref_count(&self, id: BlockId) -> u32 {
        self.block(id).ref_count
    }

    pub(crate) fn block(&self, id: BlockId) -> &Block {
        &self.blocks[id.0 as usize]
    }

    pub(crate) fn block_mut(&mut self, id: BlockId) -> &mut Block {
        &mut self.blocks[id.0 as usize]
    }

    /// Every block but the null block.
    pub(crate) fn ids(&self) -> impl Iterator<Item = BlockId> + use<> {
        let end = u32::try_from(self.blocks.len()).expect("block ids are u32");
        (1..end).map(BlockId)
    }

    pub(crate) fn free_list(&self) -> &FreeList {
        &self.free
    }

    /// The first `len` tokens of a block.
    pub(crate) fn tokens(&self, id: BlockId, len: usize) -> &[TokenId] {
        let start = id.0 as usize * self.block_size;
        &self.tokens[start..start + len]
    }

    pub(crate) fn write_tokens(&mut self, id: BlockId, tokens: &[TokenId]) {
        let start = id.0 as usize * self.block_size;
        self.tokens[start..start + tokens.len()].copy_from_slice(tokens);
    }

    /// Takes the next block to hand out. Its content, if any, is still registered.
    pub(crate) fn take_free(&mut self) -> Option<BlockId> {
        let id = self.free.pop_front()?;
        self.num_evictable -= usize::from(self.block(id).is_cached());
        self.block_mut(id).ref_count = 1;
        Some(id)
    }

    /// Adds a holder, taking the block out of the free list if it was there.
    pub(crate) fn hold(&mut self, id: BlockId) {
        if self.block(id).ref_count == 0 {
            self.free.remove(id);
            self.num_evictable -= usize::from(self.block(id).is_cached());
        }
        self.block_mut(id).ref_count += 1;
    }

    /// Removes a holder. The last one frees the block: behind all others of its class if it has
    /// content, before all others if it has none.
    pub(crate) fn let_go(&mut self, id: BlockId, now: Timestamp) {
        let block = self.block_mut(id);
        assert!(block.ref_count > 0, "{id:?} is freed twice");
        block.ref_count -= 1;
        block.freed_at = now;
        let class = block.class;
        match (block.ref_count, block.is_cached()) {
            (0, true) => {
                self.num_evictable += 1;
                self.free.push_back(id, class);
            }
            (0, false) => self.free.push_front(id),
            _ => {}
        }
    }

    /// Changes when a block's turn comes; a free one goes behind all others of its new class.
    pub(crate) fn set_class(&mut self, id: BlockId, class: EvictionClass) {
        self.block_mut(id).class = class;
        if self.free.contains(id) {
            self.free.remove(id);
            self.free.push_back(id, class);
        }
    }

    /// Moves a free block that has just lost its content before all others.
    pub(crate) fn move_to_front(&mut self, id: BlockId) {
        self.num_evictable -= 1;
        self.free.remove(id);
        self.free.push_front(id);
    }

    /// Drops the content of all blocks, which are all free.
    pub(crate) fn clear(&mut self) {
        for block in &mut self.blocks {
            block.hash = None;
            block.num_indexed = 0;
        }
        for id in self.ids() {
            if self.block(id).class != EvictionClass::Normal {
                self.set_class(id, EvictionClass::Normal);
            }
        }
        self.num_evictable = 0;
    }
}
