//! Finding a cached prefix. Nothing here changes the cache.

use crate::hit::PartialHit;
use crate::pool::Parent;
use crate::{
    BlockHash, BlockId, HashChain, MissCause, MissReason, PrefixCache, PrefixHit, TokenId,
};

impl PrefixCache {
    /// Finds the longest cached prefix of `tokens`, at most all but the last one: somebody has to
    /// compute that for its logits.
    ///
    /// `chain` holds the hashes of all full blocks of `tokens`.
    pub fn lookup_prefix(&self, chain: &HashChain, tokens: &[TokenId]) -> PrefixHit {
        let limit = tokens.len().saturating_sub(1);
        let mut parent = Parent::Root(chain.root());
        let mut blocks = Vec::new();
        let expected = tokens[..limit].chunks_exact(self.pool.block_size());
        for (hash, expected) in chain.hashes().iter().zip(expected) {
            let Some(id) = self.find_block(hash, parent, expected) else {
                break;
            };
            blocks.push(id);
            parent = Parent::Block(id);
        }
        self.complete_hit(blocks, chain, tokens)
    }

    /// Full blocks of `chain` that are cached, at most `limit`: a cheap estimate of a lookup, in
    /// O(log n), since a cached block's ancestors are cached.
    pub fn count_cached_blocks(&self, chain: &HashChain, limit: usize) -> usize {
        let hashes = &chain.hashes()[..limit.min(chain.hashes().len())];
        let found = hashes.partition_point(|hash| self.by_hash.contains_key(hash));
        self.usable_blocks(found, |at| self.by_hash[&hashes[at]])
    }

    /// Gives up the partial match if a table of `num_tokens` tokens and the source of its copy do
    /// not fit into memory together.
    ///
    /// [`allocate`](Self::allocate) then takes exactly `hit.num_tokens()` tokens from the cache,
    /// for a table of `num_tokens` tokens or fewer.
    pub fn settle_partial(&self, hit: &mut PrefixHit, num_tokens: usize) {
        let Some(partial) = hit.partial else {
            return;
        };
        let pin = usize::from(self.pool.ref_count(partial.src) == 0);
        if self.blocks_needed(hit, num_tokens) + pin > self.pool.num_free() {
            hit.partial = None;
            let cause = hit.miss.map_or(MissCause::NotCacheable, |miss| miss.cause);
            hit.miss = Some(MissReason {
                block: hit.blocks.len(),
                token: hit.num_tokens(),
                cause,
            });
        }
    }

    /// The block that holds `expected` after `parent`. The tokens are compared, too.
    pub(crate) fn find_block(
        &self,
        hash: &BlockHash,
        parent: Parent,
        expected: &[TokenId],
    ) -> Option<BlockId> {
        let &id = self.by_hash.get(hash)?;
        let same_tokens = self.pool.tokens(id, expected.len()) == expected;
        (same_tokens && self.pool.block(id).parent == parent).then_some(id)
    }

    /// Adds to the full blocks that were found the partly matching one, and why there are no more.
    ///
    /// `chain` holds at least the hashes of `blocks` and of the full block behind them.
    pub(crate) fn complete_hit(
        &self,
        mut blocks: Vec<BlockId>,
        chain: &HashChain,
        tokens: &[TokenId],
    ) -> PrefixHit {
        blocks.truncate(self.usable_blocks(blocks.len(), |at| blocks[at]));
        let block_size = self.pool.block_size();
        let limit = tokens.len().saturating_sub(1);
        let full = blocks.len() * block_size;
        let wanted = &tokens[full..limit.min(full + block_size)];
        let parent = match blocks.last() {
            Some(&id) => Parent::Block(id),
            None => Parent::Root(chain.root()),
        };
        let partial = if self.enabled && !wanted.is_empty() {
            let found = self.children.longest_match(parent, wanted);
            let found = found.filter(|&(src, _)| self.has_window(src));
            found.map(|(src, num_tokens)| PartialHit { src, num_tokens })
        } else {
            None
        };
        let mut hit = PrefixHit {
            generation: self.generation,
            block_size,
            blocks,
            partial,
            miss: None,
        };
        if hit.num_tokens() < limit {
            hit.miss = Some(self.explain_miss(&hit, chain, tokens.len()));
        }
        hit
    }

    fn explain_miss(&self, hit: &PrefixHit, chain: &HashChain, num_tokens: usize) -> MissReason {
        let block = hit.blocks.len();
        let ends_inside = (block + 1) * self.pool.block_size() > num_tokens;
        let hash = chain
            .hashes()
            .get(block)
            .filter(|_| self.enabled && !ends_inside);
        let elsewhere = chain.unsalted().filter(|_| block == 0);
        let is_elsewhere = elsewhere.is_some_and(|hash| self.first_blocks.contains_key(&hash));
        let cause = match hash.map(|hash| self.evicted.get(hash)) {
            None => MissCause::NotCacheable,
            Some(Some(eviction)) => MissCause::Evicted(eviction),
            Some(None) if is_elsewhere => MissCause::OtherSalt,
            Some(None) => MissCause::NeverSeen,
        };
        MissReason {
            block,
            token: hit.num_tokens(),
            cause,
        }
    }
}
