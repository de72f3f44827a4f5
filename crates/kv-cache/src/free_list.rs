//! The order in which blocks are handed out.

use crate::BlockId;

/// A circular doubly linked list threaded through one array, allocated once; every operation but
/// the walk is O(1).
///
/// Block 0, the null block, is never free, so its links are the ends of the list. A block that is
/// not in the list is linked to itself.
#[derive(Debug)]
pub(crate) struct FreeList {
    links: Vec<Links>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Links {
    prev: u32,
    next: u32,
}

const ENDS: BlockId = BlockId(0);

impl FreeList {
    /// Every block except block 0, in ascending order.
    pub(crate) fn new(num_blocks: u32) -> Self {
        let links = (0..num_blocks)
            .map(|id| Links { prev: id, next: id })
            .collect();
        let mut list = Self { links, len: 0 };
        for id in 1..num_blocks {
            list.push_back(BlockId(id));
        }
        list
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn contains(&self, id: BlockId) -> bool {
        self.links[id.0 as usize].next != id.0
    }

    pub(crate) fn push_back(&mut self, id: BlockId) {
        let last = self.links[ENDS.0 as usize].prev;
        self.insert_between(id, last, ENDS.0);
    }

    pub(crate) fn push_front(&mut self, id: BlockId) {
        let first = self.links[ENDS.0 as usize].next;
        self.insert_between(id, ENDS.0, first);
    }

    pub(crate) fn pop_front(&mut self) -> Option<BlockId> {
        let first = BlockId(self.links[ENDS.0 as usize].next);
        if first == ENDS {
            return None;
        }
        self.remove(first);
        Some(first)
    }

    pub(crate) fn remove(&mut self, id: BlockId) {
        debug_assert!(self.contains(id), "{id:?} is not free");
        let Links { prev, next } = self.links[id.0 as usize];
        self.links[prev as usize].next = next;
        self.links[next as usize].prev = prev;
        self.links[id.0 as usize] = Links {
            prev: id.0,
            next: id.0,
        };
        self.len -= 1;
    }

    /// From the next block to hand out to the last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = BlockId> + '_ {
        let mut at = ENDS;
        std::iter::from_fn(move || {
            at = BlockId(self.links[at.0 as usize].next);
            (at != ENDS).then_some(at)
        })
    }

    /// Whether the links of both directions agree everywhere.
    pub(crate) fn is_consistent(&self) -> bool {
        let agree = (0u32..).zip(&self.links).all(|(id, links)| {
            self.links[links.next as usize].prev == id && self.links[links.prev as usize].next == id
        });
        agree && self.iter().take(self.links.len()).count() == self.len
    }

    fn insert_between(&mut self, id: BlockId, prev: u32, next: u32) {
        debug_assert!(id != ENDS && !self.contains(id), "{id:?} cannot be freed");
        self.links[id.0 as usize] = Links { prev, next };
        self.links[prev as usize].next = id.0;
        self.links[next as usize].prev = id.0;
        self.len += 1;
    }
}

#[cfg(test)]
mod tests;
