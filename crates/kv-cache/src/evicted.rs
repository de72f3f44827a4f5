//! What the cache has forgotten lately.

use std::collections::{HashMap, VecDeque};

use crate::{BlockHash, Timestamp};

/// How a block lost its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// When.
    pub at: Timestamp,
    /// Who was given its memory: the `holder` of the table that took it.
    pub holder: u64,
    /// Whether it was retained, and taken because no other block was free.
    pub was_retained: bool,
}

/// The last so many evicted hashes; tells "evicted" from "never seen" in bounded memory.
#[derive(Debug)]
pub(crate) struct EvictedHashes {
    limit: usize,
    order: VecDeque<BlockHash>,
    /// A hash can be evicted several times; it is forgotten with the last of them.
    found: HashMap<BlockHash, Remembered>,
}

#[derive(Debug)]
struct Remembered {
    count: u32,
    last: Eviction,
}

impl EvictedHashes {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            order: VecDeque::new(),
            found: HashMap::new(),
        }
    }

    /// The last eviction of the block of that hash.
    pub(crate) fn get(&self, hash: &BlockHash) -> Option<Eviction> {
        self.found.get(hash).map(|remembered| remembered.last)
    }

    pub(crate) fn push(&mut self, hash: BlockHash, eviction: Eviction) {
        if self.limit == 0 {
            return;
        }
        if self.order.len() == self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(&oldest);
        }
        self.order.push_back(hash);
        let remembered = self.found.entry(hash).or_insert(Remembered {
            count: 0,
            last: eviction,
        });
        remembered.count += 1;
        remembered.last = eviction;
    }

    pub(crate) fn clear(&mut self) {
        self.order.clear();
        self.found.clear();
    }

    fn forget(&mut self, hash: &BlockHash) {
        if let Some(remembered) = self.found.get_mut(hash) {
            remembered.count -= 1;
            if remembered.count == 0 {
                self.found.remove(hash);
            }
        }
    }
}
