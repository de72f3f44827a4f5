//! Which blocks are being computed, and by whom.

use std::collections::HashMap;
use std::ops::Range;

use kv_cache::BlockHash;

use crate::sequence::SequenceKey;

/// Full blocks that running sequences have yet to compute, by hash.
///
/// A waiting sequence that needs one of them waits for it instead of computing it a second time.
/// Owners are running: a claim ends when its block is sealed or its owner loses its blocks.
#[derive(Debug, Default)]
pub(crate) struct InFlightBlocks {
    owners: HashMap<BlockHash, SequenceKey>,
}

impl InFlightBlocks {
    pub(crate) fn owner(&self, hash: &BlockHash) -> Option<SequenceKey> {
        self.owners.get(hash).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.owners.len()
    }

    /// Claims `blocks` of `hashes` for `owner` and returns what it got: all up to the first one
    /// that somebody else has claimed.
    pub(crate) fn claim(
        &mut self,
        hashes: &[BlockHash],
        blocks: Range<usize>,
        owner: SequenceKey,
    ) -> Range<usize> {
        for index in blocks.clone() {
            if self.owners.contains_key(&hashes[index]) {
                return blocks.start..index;
            }
            self.owners.insert(hashes[index], owner);
        }
        blocks
    }

    /// Ends the claims on `blocks` of `hashes`.
    pub(crate) fn end(&mut self, hashes: &[BlockHash], blocks: Range<usize>) {
        for hash in &hashes[blocks] {
            self.owners.remove(hash);
        }
    }
}
