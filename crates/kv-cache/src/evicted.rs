//! What the cache has forgotten lately.

use std::collections::{HashMap, VecDeque};

use crate::BlockHash;

/// The last so many evicted hashes; tells "evicted" from "never seen" in bounded memory.
#[derive(Debug)]
pub(crate) struct EvictedHashes {
    limit: usize,
    order: VecDeque<BlockHash>,
    /// A hash can be evicted several times; it is forgotten with the last of them.
    counts: HashMap<BlockHash, u32>,
}

impl EvictedHashes {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            order: VecDeque::new(),
            counts: HashMap::new(),
        }
    }

    pub(crate) fn contains(&self, hash: &BlockHash) -> bool {
        self.counts.contains_key(hash)
    }

    pub(crate) fn push(&mut self, hash: BlockHash) {
        if self.limit == 0 {
            return;
        }
        if self.order.len() == self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(&oldest);
        }
        self.order.push_back(hash);
        *self.counts.entry(hash).or_insert(0) += 1;
    }

    pub(crate) fn clear(&mut self) {
        self.order.clear();
        self.counts.clear();
    }

    fn forget(&mut self, hash: &BlockHash) {
        if let Some(count) = self.counts.get_mut(hash) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(hash);
            }
        }
    }
}
