//! The order in which blocks are handed out.

use crate::BlockId;

/// When a free block's turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EvictionClass {
    /// In the order of release.
    Normal,
    /// After all normal ones, in the order of release.
    Retained,
}

/// Two circular doubly linked lists, one per class, threaded through one array, allocated once;
/// every operation but the walk is O(1).
///
/// Block 0, the null block, is never free, so its links are the ends of the normal list; those of
/// the retained list stand behind all blocks. A block that is in neither is linked to itself.
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

impl FreeList {
    /// Every block except block 0, in ascending order, in the normal list.
    pub(crate) fn new(num_blocks: u32) -> Self {
        let links = (0..=num_blocks)
            .map(|id| Links { prev: id, next: id })
            .collect();
        let mut list = Self { links, len: 0 };
        for id in 1..num_blocks {
            list.push_back(BlockId(id), EvictionClass::Normal);
        }
        list
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn contains(&self, id: BlockId) -> bool {
        self.links[id.0 as usize].next != id.0
    }

    pub(crate) fn push_back(&mut self, id: BlockId, class: EvictionClass) {
        let ends = self.ends(class);
        let last = self.links[ends as usize].prev;
        self.insert_between(id, last, ends);
    }

    /// Puts a block before all others.
    pub(crate) fn push_front(&mut self, id: BlockId) {
        let ends = self.ends(EvictionClass::Normal);
        let first = self.links[ends as usize].next;
        self.insert_between(id, ends, first);
    }

    pub(crate) fn pop_front(&mut self) -> Option<BlockId> {
        let first = self.iter().next()?;
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
        let classes = [EvictionClass::Normal, EvictionClass::Retained];
        classes.into_iter().flat_map(|class| self.iter_class(class))
    }

    /// Whether the links of both directions agree everywhere.
    pub(crate) fn is_consistent(&self) -> bool {
        let agree = (0u32..).zip(&self.links).all(|(id, links)| {
            self.links[links.next as usize].prev == id && self.links[links.prev as usize].next == id
        });
        agree && self.iter().take(self.links.len()).count() == self.len
    }

    /// The blocks of one class, from the next to hand out to the last.
    pub(crate) fn iter_class(&self, class: EvictionClass) -> impl Iterator<Item = BlockId> + '_ {
        let ends = self.ends(class);
        let mut at = ends;
        std::iter::from_fn(move || {
            at = self.links[at as usize].next;
            (at != ends).then_some(BlockId(at))
        })
    }

    /// Index of the links that are both ends of a list.
    fn ends(&self, class: EvictionClass) -> u32 {
        match class {
            EvictionClass::Normal => 0,
            EvictionClass::Retained => {
                u32::try_from(self.links.len() - 1).expect("block ids are u32")
            }
        }
    }

    fn insert_between(&mut self, id: BlockId, prev: u32, next: u32) {
        debug_assert!(id.0 != 0 && !self.contains(id), "{id:?} cannot be freed");
        self.links[id.0 as usize] = Links { prev, next };
        self.links[prev as usize].next = id.0;
        self.links[next as usize].prev = id.0;
        self.len += 1;
    }
}

#[cfg(test)]
mod tests;
