//! The hashes of one sequence's full blocks.

use crate::{BlockHash, BlockHasher, TokenId};

/// One hash per full block of a sequence, each standing for all tokens up to its block's end.
///
/// A chain belongs to a sequence and outlives its block tables: tokens are hashed once, even when
/// the sequence is preempted and looked up again.
#[derive(Clone, Debug)]
pub struct HashChain {
    root: BlockHash,
    /// The first block's tokens under no salt; tells that they are cached under another one.
    unsalted: Option<BlockHash>,
    hashes: Vec<BlockHash>,
}

impl HashChain {
    /// The empty chain of a namespace.
    pub fn new(hasher: &mut BlockHasher, salt: &[u8]) -> Self {
        Self {
            root: hasher.root(salt),
            unsalted: None,
            hashes: Vec::new(),
        }
    }

    /// Hashes the full blocks of `tokens` that are not in the chain yet.
    ///
    /// `tokens` is the sequence from its start; what was hashed before must not have changed.
    pub fn extend(&mut self, hasher: &mut BlockHasher, block_size: usize, tokens: &[TokenId]) {
        let done = self.hashes.len() * block_size;
        let Some(rest) = tokens.get(done..) else {
            return;
        };
        for block in rest.chunks_exact(block_size) {
            if self.hashes.is_empty() {
                let root = hasher.unsalted_root();
                self.unsalted = Some(hasher.block(&root, block, &[]));
            }
            let hash = hasher.block(self.hashes.last().unwrap_or(&self.root), block, &[]);
            self.hashes.push(hash);
        }
    }

    /// Hashes of the full blocks, in order.
    pub fn hashes(&self) -> &[BlockHash] {
        &self.hashes
    }

    /// Forgets the hashes of all but the first `num_blocks` blocks.
    pub(crate) fn truncate(&mut self, num_blocks: usize) {
        self.hashes.truncate(num_blocks);
    }

    pub(crate) fn root(&self) -> BlockHash {
        self.root
    }

    pub(crate) fn unsalted(&self) -> Option<BlockHash> {
        self.unsalted
    }
}
