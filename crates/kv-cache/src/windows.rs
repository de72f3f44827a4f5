//! Memory of the layers that look back a fixed number of tokens only.
//!
//! Their KV lies in a pool of its own, so that what has fallen behind the window is given back while
//! the other layers keep theirs. Each block of the main pool may have one window block, its
//! *companion*, which holds the same tokens' KV of those layers. Nobody is told of it by name: who
//! shares a block shares its companion.

use crate::free_list::{EvictionClass, FreeList};
use crate::{BlockId, BlockTable, Eviction, PrefixCache, WindowBlockId, WindowConfig, WindowCopy};

const NULL: WindowBlockId = WindowBlockId(0);
const NO_BLOCK: BlockId = BlockId(0);

/// The window blocks: whose companions they are, who holds them, which are free.
///
/// A table holds the companions of its last blocks alone, those that its next token still reads. One
/// that nobody holds stays with its block, and is given away before those that were freed later.
/// A block that has lost its companion is still cached for the other layers; a prefix that would end
/// behind it within the window is found only as far as its companions reach.
#[derive(Debug)]
pub struct WindowBlocks {
    /// Tokens that a token sees, itself included.
    tokens: usize,
    /// Companion of each block; the null block if it has none. `[num_blocks]`
    of: Vec<WindowBlockId>,
    /// Whose companion each is. `[window blocks]`
    owners: Vec<BlockId>,
    holders: Vec<u32>,
    classes: Vec<EvictionClass>,
    free: FreeList,
}

impl WindowBlocks {
    pub(crate) fn new(config: WindowConfig, num_blocks: u32) -> Self {
        assert!(config.tokens >= 1, "a token sees itself");
        assert!(config.num_blocks >= 2, "the null block and one more");
        let count = config.num_blocks as usize;
        Self {
            tokens: config.tokens,
            of: vec![NULL; num_blocks as usize],
            owners: vec![NO_BLOCK; count],
            holders: vec![0; count],
            classes: vec![EvictionClass::Normal; count],
            free: FreeList::new(config.num_blocks),
        }
    }

    /// Blocks that can be handed out: all but the null block.
    pub fn capacity(&self) -> usize {
        self.owners.len() - 1
    }

    /// Blocks that no table holds.
    pub fn num_free(&self) -> usize {
        self.free.len()
    }

    /// Blocks that a table holds or a copy pins.
    pub fn num_in_use(&self) -> usize {
        self.capacity() - self.num_free()
    }

    /// The companion of a block.
    pub(crate) fn companion(&self, id: BlockId) -> Option<WindowBlockId> {
        let companion = self.of[id.0 as usize];
        (companion != NULL).then_some(companion)
    }

    /// The first block of `block_size` tokens that the token at position `num_tokens` reads.
    fn first_read(&self, num_tokens: usize, block_size: usize) -> usize {
        (num_tokens + 1).saturating_sub(self.tokens) / block_size
    }

    fn hold(&mut self, id: WindowBlockId) {
        let at = id.0 as usize;
        if self.holders[at] == 0 {
            self.free.remove(BlockId(id.0));
        }
        self.holders[at] += 1;
    }

    /// Removes a holder. The last one frees it: behind all others if its owner `is_cached`,
    /// otherwise before all others and without an owner.
    fn let_go(&mut self, id: WindowBlockId, is_cached: impl Fn(BlockId) -> bool) {
        let at = id.0 as usize;
        assert!(self.holders[at] > 0, "{id:?} is freed twice");
        self.holders[at] -= 1;
        if self.holders[at] > 0 {
            return;
        }
        if is_cached(self.owners[at]) {
            self.free.push_back(BlockId(id.0), self.classes[at]);
        } else {
            self.part(id);
            self.free.push_front(BlockId(id.0));
        }
    }

    /// Takes the companion from a block whose content is dropped, and which nobody holds.
    fn drop_companion(&mut self, id: BlockId) {
        let Some(companion) = self.companion(id) else {
            return;
        };
        assert_eq!(
            self.holders[companion.0 as usize], 0,
            "{companion:?} is held"
        );
        self.part(companion);
        self.free.remove(BlockId(companion.0));
        self.free.push_front(BlockId(companion.0));
    }

    /// Ends the bond of a companion and its block.
    fn part(&mut self, id: WindowBlockId) {
        let at = id.0 as usize;
        let owner = std::mem::replace(&mut self.owners[at], NO_BLOCK);
        self.of[owner.0 as usize] = NULL;
        self.classes[at] = EvictionClass::Normal;
    }

    fn bond(&mut self, block: BlockId, id: WindowBlockId) {
        debug_assert_eq!(self.companion(block), None, "{block:?} has a companion");
        self.of[block.0 as usize] = id;
        self.owners[id.0 as usize] = block;
    }

    fn set_class(&mut self, id: WindowBlockId, class: EvictionClass) {
        self.classes[id.0 as usize] = class;
        if self.free.contains(BlockId(id.0)) {
            self.free.remove(BlockId(id.0));
            self.free.push_back(BlockId(id.0), class);
        }
    }

    fn clear(&mut self) {
        for at in 1..self.owners.len() {
            if self.owners[at] != NO_BLOCK {
                self.set_class(window_id(at), EvictionClass::Normal);
                self.part(window_id(at));
            }
        }
    }
}

fn window_id(at: usize) -> WindowBlockId {
    WindowBlockId(u32::try_from(at).expect("block ids are u32"))
}

impl PrefixCache {
    /// The window blocks; `None` if all layers keep their KV in the main pool.
    pub fn window_blocks(&self) -> Option<&WindowBlocks> {
        self.windows.as_ref()
    }

    /// Companions of a table's blocks, in order; the null block where the table holds none, since no
    /// token to come reads it.
    pub fn table_window_blocks<'a>(
        &'a self,
        table: &'a BlockTable,
    ) -> impl Iterator<Item = WindowBlockId> + 'a {
        let windows = self.windows.as_ref();
        table.blocks.iter().enumerate().map(move |(at, &id)| {
            let companion = windows.and_then(|windows| windows.companion(id));
            companion
                .filter(|_| at >= table.window_start)
                .unwrap_or(NULL)
        })
    }

    /// Lets go of the window blocks that no token behind the first `num_computed` reads. These
    /// tokens' full blocks are sealed.
    pub fn pass_window(&mut self, table: &mut BlockTable, num_computed: usize) {
        let Some(windows) = &mut self.windows else {
            return;
        };
        let start = windows.first_read(num_computed, self.pool.block_size());
        let pool = &self.pool;
        while table.window_start < start.min(table.blocks.len()) {
            let companion = windows.companion(table.blocks[table.window_start]);
            let companion = companion.expect("a table holds its window");
            windows.let_go(companion, |id| pool.block(id).is_cached());
            table.window_start += 1;
        }
    }

    /// How many of the first `num_blocks` cached blocks of a prompt can be used: behind them, the
    /// companions of all that the next token reads are cached, too.
    pub(crate) fn usable_blocks(
        &self,
        mut num_blocks: usize,
        block: impl Fn(usize) -> BlockId,
    ) -> usize {
        let Some(windows) = &self.windows else {
            return num_blocks;
        };
        let block_size = self.pool.block_size();
        let mut at = num_blocks;
        // The fewer blocks, the earlier the first that is read: what was seen need not be again.
        while at > windows.first_read(num_blocks * block_size, block_size) {
            at -= 1;
            if windows.companion(block(at)).is_none() {
                num_blocks = at;
            }
        }
        num_blocks
    }

    /// Whether the layers with a window have a block's tokens, too.
    pub(crate) fn has_window(&self, id: BlockId) -> bool {
        let windows = self.windows.as_ref();
        windows.is_none_or(|windows| windows.companion(id).is_some())
    }

    /// Holds the companions of `blocks` that the token behind them reads; returns the first of them.
    pub(crate) fn hold_window(&mut self, blocks: &[BlockId]) -> usize {
        let Some(windows) = &mut self.windows else {
            return 0;
        };
        let block_size = self.pool.block_size();
        let start = windows.first_read(blocks.len() * block_size, block_size);
        for &id in &blocks[start..] {
            let companion = windows.companion(id).expect("the lookup has found it");
            windows.hold(companion);
        }
        start
    }

    /// Lets go of all companions that a table holds.
    pub(crate) fn release_window(&mut self, table: &BlockTable) {
        let Some(windows) = &mut self.windows else {
            return;
        };
        let pool = &self.pool;
        for &id in table.blocks[table.window_start..].iter().rev() {
            let companion = windows.companion(id).expect("a table holds its window");
            windows.let_go(companion, |id| pool.block(id).is_cached());
        }
    }

    /// Gives a fresh block a companion, from the block that can best do without.
    pub(crate) fn take_window(&mut self, id: BlockId, holder: u64) {
        let Some(windows) = &mut self.windows else {
            return;
        };
        let taken = windows.free.pop_front();
        let taken = taken.expect("there are window blocks for all that run");
        let (taken, at) = (WindowBlockId(taken.0), taken.0 as usize);
        let owner = windows.owners[at];
        if owner != NO_BLOCK {
            let was_retained = windows.classes[at] == EvictionClass::Retained;
            windows.part(taken);
            self.note_lost_window(owner, holder, was_retained);
        }
        let windows = self.windows.as_mut().expect("there are some");
        windows.bond(id, taken);
        windows.holders[at] = 1;
    }

    fn note_lost_window(&mut self, owner: BlockId, holder: u64, was_retained: bool) {
        self.generation += 1;
        self.stats.window_evictions += 1;
        let eviction = Eviction {
            at: self.now,
            holder,
            was_retained,
        };
        if let Some(hash) = self.pool.block(owner).hash {
            self.evicted.push(hash, eviction);
        }
    }

    /// Pins the companion of a copy's source; both companions are copied as the blocks are.
    pub(crate) fn pin_window(&mut self, src: BlockId) {
        if let Some(windows) = &mut self.windows {
            let companion = windows.companion(src).expect("the lookup has found it");
            windows.hold(companion);
        }
    }

    pub(crate) fn window_copy(&self, src: BlockId, dst: BlockId) -> Option<WindowCopy> {
        let windows = self.windows.as_ref()?;
        let companion = |id| windows.companion(id).expect("both are held");
        Some(WindowCopy {
            src: companion(src),
            dst: companion(dst),
        })
    }

    pub(crate) fn unpin_window(&mut self, copy: Option<WindowCopy>) {
        if let (Some(windows), Some(copy)) = (&mut self.windows, copy) {
            let pool = &self.pool;
            windows.let_go(copy.src, |id| pool.block(id).is_cached());
        }
    }

    /// A table's block gives way to `first`, which has the same content: so does its companion,
    /// unless `first` has lost its own.
    pub(crate) fn merge_window(&mut self, id: BlockId, first: BlockId) {
        let Some(windows) = &mut self.windows else {
            return;
        };
        let own = windows.companion(id).expect("a table holds its window");
        if let Some(companion) = windows.companion(first) {
            windows.hold(companion);
            let pool = &self.pool;
            windows.let_go(own, |id| pool.block(id).is_cached());
        } else {
            windows.part(own);
            windows.bond(first, own);
            self.generation += 1;
        }
    }

    /// A free block loses its content.
    pub(crate) fn drop_window(&mut self, id: BlockId) {
        if let Some(windows) = &mut self.windows {
            windows.drop_companion(id);
        }
    }

    pub(crate) fn clear_windows(&mut self) {
        if let Some(windows) = &mut self.windows {
            windows.clear();
        }
    }

    /// Retains the companions that the token behind `blocks` reads.
    pub(crate) fn retain_window(&mut self, blocks: &[BlockId]) {
        let block_size = self.pool.block_size();
        let Some(windows) = &mut self.windows else {
            return;
        };
        let start = windows.first_read(blocks.len() * block_size, block_size);
        for &id in &blocks[start..] {
            if let Some(companion) = windows.companion(id) {
                windows.set_class(companion, EvictionClass::Retained);
            }
        }
    }

    pub(crate) fn end_window_retention(&mut self, id: BlockId) {
        if let Some(windows) = &mut self.windows
            && let Some(companion) = windows.companion(id)
        {
            windows.set_class(companion, EvictionClass::Normal);
        }
    }

    /// Checks the window blocks, given all tables that exist.
    ///
    /// # Panics
    /// At the first violated invariant, which it names.
    pub(crate) fn check_windows<'a>(&self, tables: impl IntoIterator<Item = &'a BlockTable>) {
        let Some(windows) = &self.windows else {
            return;
        };
        let mut held = vec![0u32; windows.owners.len()];
        for table in tables {
            for &id in &table.blocks[table.window_start..] {
                let companion = windows.companion(id);
                let companion = companion.unwrap_or_else(|| panic!("{id:?} lacks its companion"));
                held[companion.0 as usize] += 1;
            }
            if let Some(copy) = table.copy.and_then(|copy| copy.window) {
                held[copy.src.0 as usize] += 1;
            }
        }
        assert!(windows.free.is_consistent(), "the free list's links agree");
        assert_eq!(held, windows.holders, "window blocks count their holders");
        for (at, &owner) in windows.owners.iter().enumerate().skip(1) {
            let id = window_id(at);
            let is_free = windows.free.contains(BlockId(id.0));
            assert_eq!(is_free, held[at] == 0, "{id:?} is free or in use");
            if owner == NO_BLOCK {
                continue;
            }
            assert_eq!(windows.companion(owner), Some(id), "{id:?} has its block");
            let block = self.pool.block(owner);
            assert!(
                block.ref_count > 0 || block.is_cached(),
                "{id:?} belongs to a block without content"
            );
        }
        for id in self.pool.ids() {
            if let Some(companion) = windows.companion(id) {
                let owner = windows.owners[companion.0 as usize];
                assert_eq!(owner, id, "{companion:?} has one block");
            }
        }
    }
}
