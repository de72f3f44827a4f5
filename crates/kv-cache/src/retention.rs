//! Which cached blocks are kept beyond their turn, until when, and on whose account.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{BlockId, Timestamp};

/// Bounds of what can be retained, in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionLimits {
    /// For all keys together.
    pub max_blocks: usize,
    /// For each key.
    pub max_blocks_per_key: usize,
}

/// Whose account retained blocks count on: any bytes, compared as they are.
pub type RetentionKey = Arc<[u8]>;

/// The retained blocks. A block's ancestors are retained, and no shorter than it.
#[derive(Debug)]
pub(crate) struct Retention {
    limits: RetentionLimits,
    holds: BTreeMap<BlockId, Hold>,
    accounts: BTreeMap<RetentionKey, usize>,
    /// In the order in which they end; of those that end together, the deepest first, so that no
    /// block outlasts its parent.
    ends: BTreeSet<End>,
}

#[derive(Clone, Debug)]
struct Hold {
    until: Timestamp,
    depth: usize,
    key: RetentionKey,
}

/// When, how deep in its chain, which block.
type End = (Timestamp, Reverse<usize>, BlockId);

impl Retention {
    pub(crate) fn new(limits: RetentionLimits) -> Self {
        Self {
            limits,
            holds: BTreeMap::new(),
            accounts: BTreeMap::new(),
            ends: BTreeSet::new(),
        }
    }

    /// Retained blocks.
    pub(crate) fn len(&self) -> usize {
        self.holds.len()
    }

    /// Retains the block that stands at `depth` of its chain, at least until then. One that is
    /// retained as long already stays on its account; one that is retained longer than before goes
    /// to the account of `key`. False if that account or all accounts together are full.
    pub(crate) fn retain(
        &mut self,
        id: BlockId,
        depth: usize,
        until: Timestamp,
        key: &RetentionKey,
    ) -> bool {
        let held = self.holds.get(&id);
        if held.is_some_and(|hold| hold.until >= until) {
            return true;
        }
        let is_new = held.is_none();
        let is_own = held.is_some_and(|hold| hold.key == *key);
        let own = self.accounts.get(key).copied().unwrap_or(0);
        if !is_own && own >= self.limits.max_blocks_per_key {
            return false;
        }
        if is_new && self.holds.len() >= self.limits.max_blocks {
            return false;
        }
        self.remove(id);
        self.ends.insert((until, Reverse(depth), id));
        *self.accounts.entry(Arc::clone(key)).or_insert(0) += 1;
        let key = Arc::clone(key);
        self.holds.insert(id, Hold { until, depth, key });
        true
    }

    /// Ends a block's retention; false if it is not retained.
    pub(crate) fn remove(&mut self, id: BlockId) -> bool {
        let Some(hold) = self.holds.remove(&id) else {
            return false;
        };
        self.ends.remove(&(hold.until, Reverse(hold.depth), id));
        if let Some(count) = self.accounts.get_mut(&hold.key) {
            *count -= 1;
            if *count == 0 {
                self.accounts.remove(&hold.key);
            }
        }
        true
    }

    /// Ends the retention of the next block whose time is over, descendants before ancestors.
    pub(crate) fn pop_ended(&mut self, now: Timestamp) -> Option<BlockId> {
        let &(until, _, id) = self.ends.first()?;
        (until <= now).then(|| {
            self.remove(id);
            id
        })
    }

    pub(crate) fn clear(&mut self) {
        self.holds.clear();
        self.accounts.clear();
        self.ends.clear();
    }

    /// When a block's retention ends; `None` if it is not retained.
    pub(crate) fn until(&self, id: BlockId) -> Option<Timestamp> {
        self.holds.get(&id).map(|hold| hold.until)
    }

    /// Whether all counts agree, in time proportional to the retained blocks.
    pub(crate) fn is_consistent(&self) -> bool {
        let mut accounts: BTreeMap<RetentionKey, usize> = BTreeMap::new();
        for hold in self.holds.values() {
            *accounts.entry(Arc::clone(&hold.key)).or_insert(0) += 1;
        }
        let ends = self.holds.iter();
        let ends: BTreeSet<End> = ends
            .map(|(&id, hold)| (hold.until, Reverse(hold.depth), id))
            .collect();
        let within = accounts
            .values()
            .all(|&count| count <= self.limits.max_blocks_per_key);
        accounts == self.accounts
            && ends == self.ends
            && within
            && self.holds.len() <= self.limits.max_blocks
    }
}

#[cfg(test)]
mod tests;
