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

    /// Notes that `owner` computes `blocks` of `hashes`, in place of whoever did so before: the
    /// later one is of a better class, or it would have waited.
    pub(crate) fn claim(&mut self, hashes: &[BlockHash], blocks: Range<usize>, owner: SequenceKey) {
        self.owners
            .extend(hashes[blocks].iter().map(|&hash| (hash, owner)));
    }

    /// Ends the claims of `owner` on `blocks` of `hashes`.
    pub(crate) fn end(&mut self, hashes: &[BlockHash], blocks: Range<usize>, owner: SequenceKey) {
        for hash in &hashes[blocks] {
            if self.owner(hash) == Some(owner) {
                self.owners.remove(hash);
            }
        }
    }
}
