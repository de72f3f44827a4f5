//! Which block is where.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::Hash;
use crate::stats::StoreStats;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    /// Its number in the segment.
    pub(crate) record: u64,
}

/// What the caller's thread and the writer's both see; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedIndex {
    index: Arc<Mutex<Index>>,
}

/// Where blocks are, and counts.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) places: HashMap<Hash, Place>,
    /// Blocks on their way to the disk.
    pub(crate) pending: HashSet<Hash>,
    /// Segments that are gone and whose files a reader may still have open.
    pub(crate) deleted: Vec<u64>,
    pub(crate) stats: StoreStats,
}

impl SharedIndex {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// Forgets the blocks of a segment that is gone.
    pub(crate) fn forget_segment(&mut self, segment: u64) {
        self.places.retain(|_, place| place.segment != segment);
        self.deleted.push(segment);
    }
}
