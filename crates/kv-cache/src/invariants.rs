//! What holds between any two operations.

use crate::free_list::EvictionClass;
use crate::pool::Parent;
use crate::{BlockId, BlockTable, PrefixCache};

impl PrefixCache {
    /// Checks, in time independent of the pool's size, that the counts agree.
    ///
    /// # Panics
    /// If they do not.
    pub fn check_counts(&self) {
        let sealed = self.by_hash.len();
        assert!(
            sealed <= self.children.len(),
            "every sealed block is a child"
        );
        assert!(
            self.children.len() <= self.pool.capacity(),
            "a block is registered once"
        );
        assert!(
            self.pool.num_free() <= self.pool.capacity(),
            "a block is free once"
        );
    }

    /// Checks everything, given all tables that exist. For tests: it recomputes every hash.
    ///
    /// # Panics
    /// At the first violated invariant, which it names.
    pub fn check_invariants<'a>(&self, tables: impl IntoIterator<Item = &'a BlockTable>) {
        self.check_counts();
        let tables: Vec<&BlockTable> = tables.into_iter().collect();
        self.check_windows(tables.iter().copied());
        let order = self.free_order();
        self.check_holders(tables, &order);
        self.check_registrations(&order);
        self.check_retention();
    }

    /// Position of each block in the free list.
    fn free_order(&self) -> Vec<Option<usize>> {
        let free = self.pool.free_list();
        assert!(free.is_consistent(), "the free list's links agree");
        let mut order = vec![None; self.pool.capacity() + 1];
        for (at, id) in free.iter().enumerate() {
            order[id.0 as usize] = Some(at);
        }
        order
    }

    fn check_holders<'a>(
        &self,
        tables: impl IntoIterator<Item = &'a BlockTable>,
        order: &[Option<usize>],
    ) {
        let mut held = vec![0u32; order.len()];
        let mut written = vec![0u32; order.len()];
        for table in tables {
            for (index, id) in table.blocks.iter().enumerate() {
                held[id.0 as usize] += 1;
                written[id.0 as usize] += u32::from(index >= table.num_sealed);
                let sealed = self.pool.block(*id).hash.is_some();
                assert_eq!(
                    sealed,
                    index < table.num_sealed,
                    "{id:?} is sealed in order"
                );
            }
            if let Some(copy) = table.copy {
                held[copy.src.0 as usize] += 1;
                assert_eq!(
                    table.blocks[table.num_sealed], copy.dst,
                    "a copy fills the tail"
                );
            }
        }
        assert_eq!(held[0], 0, "nobody holds the null block");
        for id in self.pool.ids() {
            let at = id.0 as usize;
            assert_eq!(
                self.pool.ref_count(id),
                held[at],
                "{id:?} counts its holders"
            );
            assert_eq!(
                order[at].is_some(),
                held[at] == 0,
                "{id:?} is free or in use"
            );
            assert!(written[at] <= 1, "{id:?} is written by one table");
        }
    }

    fn check_registrations(&self, order: &[Option<usize>]) {
        let (mut sealed, mut indexed, mut evictable) = (0, 0, 0);
        let mut first_blocks = Vec::new();
        for id in self.pool.ids() {
            let block = self.pool.block(id);
            if !block.is_cached() {
                assert!(block.hash.is_none(), "{id:?} is sealed but no child");
                continue;
            }
            indexed += 1;
            evictable += usize::from(block.ref_count == 0);
            let tokens = self.pool.tokens(id, block.num_indexed as usize);
            assert_eq!(
                self.children.get(block.parent, tokens),
                Some(id),
                "{id:?} is found"
            );
            let parent = self.check_parent(id, block.parent, order);
            let Some(hash) = block.hash else {
                assert!(
                    tokens.len() < self.pool.block_size(),
                    "{id:?} is full but not sealed"
                );
                continue;
            };
            sealed += 1;
            if let Parent::Root(_) = block.parent {
                let mut hasher = self.hasher.clone();
                let root = hasher.unsalted_root();
                first_blocks.push(hasher.block(&root, tokens, &[]));
            }
            assert_eq!(
                self.by_hash.get(&hash),
                Some(&id),
                "{id:?} is its hash's block"
            );
            assert_eq!(
                tokens.len(),
                self.pool.block_size(),
                "{id:?} is sealed but not full"
            );
            assert_eq!(
                self.hasher.clone().block(&parent, tokens, &[]),
                hash,
                "{id:?} is named"
            );
        }
        assert_eq!(self.by_hash.len(), sealed, "every hash has its block");
        assert_eq!(
            self.pool.num_evictable(),
            evictable,
            "evictable blocks are counted"
        );
        assert_eq!(self.children.len(), indexed, "every child has its block");
        first_blocks.sort_unstable();
        for same in first_blocks.chunk_by(|a, b| a == b) {
            let counted = self.first_blocks.get(&same[0]).copied().unwrap_or(0);
            assert_eq!(
                counted as usize,
                same.len(),
                "first blocks are counted over salts"
            );
        }
        first_blocks.dedup();
        assert_eq!(
            self.first_blocks.len(),
            first_blocks.len(),
            "no first block is left over"
        );
    }

    fn check_retention(&self) {
        assert!(
            self.retention.is_consistent(),
            "accounts and timers agree with what is retained"
        );
        let free = self.pool.free_list();
        let classes = [EvictionClass::Normal, EvictionClass::Retained];
        for (class, id) in classes
            .into_iter()
            .flat_map(|class| free.iter_class(class).map(move |id| (class, id)))
        {
            assert_eq!(self.pool.block(id).class, class, "{id:?} is in its list");
        }
        for id in self.pool.ids() {
            let block = self.pool.block(id);
            let is_retained = block.class == EvictionClass::Retained;
            let until = self.retention.until(id);
            assert_eq!(is_retained, until.is_some(), "{id:?} has a timer");
            if !is_retained {
                continue;
            }
            assert!(block.hash.is_some(), "{id:?} is retained but not sealed");
            if let Parent::Block(parent) = block.parent {
                assert!(
                    self.retention.until(parent) >= until,
                    "{parent:?} outlasts {id:?}"
                );
            }
        }
    }

    /// Returns the parent's hash.
    fn check_parent(
        &self,
        id: BlockId,
        parent: Parent,
        order: &[Option<usize>],
    ) -> crate::BlockHash {
        let parent = match parent {
            Parent::Root(root) => return root,
            Parent::Block(parent) => parent,
        };
        let hash = self.pool.block(parent).hash;
        match (order[id.0 as usize], order[parent.0 as usize]) {
            (_, None) => {}
            (None, Some(_)) => panic!("{id:?} is in use and its parent {parent:?} is free"),
            (Some(child), Some(parent_at)) => {
                assert!(
                    child < parent_at,
                    "{parent:?} would be evicted before {id:?}"
                );
            }
        }
        hash.unwrap_or_else(|| panic!("the parent {parent:?} of {id:?} is not sealed"))
    }
}
