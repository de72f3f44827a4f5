//! Blocks kept outside of the pool, in memory and without a thread of their own.

use std::collections::BTreeMap;

use kv_store::{Hash, StoreStats};

use crate::disk::BlockKeeper;

/// Reads of which one fails.
const FAILING: u64 = 3;

/// Every block that was put, and sometimes one that cannot be read.
#[derive(Default)]
pub(super) struct Shelf {
    blocks: BTreeMap<Hash, (Vec<u32>, Vec<u8>)>,
    stats: StoreStats,
    block_bytes: usize,
}

impl Shelf {
    /// For blocks of so many bytes.
    pub(super) fn new(block_bytes: usize) -> Self {
        Self {
            block_bytes,
            ..Self::default()
        }
    }
}

impl BlockKeeper for Shelf {
    fn contains(&self, hash: &Hash) -> bool {
        self.blocks.contains_key(hash)
    }

    fn put(
        &mut self,
        hash: &Hash,
        tokens: &[u32],
        _waits: bool,
        fill: &mut dyn FnMut(&mut [u8]) -> bool,
    ) {
        let mut bytes = vec![0; self.block_bytes];
        if fill(&mut bytes) {
            self.stats.written += 1;
            self.blocks.insert(*hash, (tokens.to_vec(), bytes));
        }
    }

    fn read(&mut self, hash: &Hash, tokens: &[u32], out: &mut [u8]) -> bool {
        self.stats.read += 1;
        if self.stats.read.is_multiple_of(FAILING) {
            self.blocks.remove(hash);
            self.stats.damaged += 1;
            return false;
        }
        let Some((held, bytes)) = self.blocks.get(hash) else {
            return false;
        };
        assert_eq!(held, tokens, "a hash names its tokens");
        out.copy_from_slice(bytes);
        true
    }

    fn clear(&mut self) {
        self.blocks.clear();
    }

    fn stats(&self) -> StoreStats {
        self.stats
    }
}
