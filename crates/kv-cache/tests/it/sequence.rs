//! A sequence that uses the cache as the scheduler does.

use kv_cache::{
    BlockTable, CacheConfig, Computed, HashChain, OutOfBlocks, PrefixCache, RetentionLimits,
    TokenId,
};

pub(crate) struct Sequence {
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) chain: HashChain,
    pub(crate) table: BlockTable,
    pub(crate) num_computed: usize,
}

pub(crate) fn cache(num_blocks: u32, block_size: usize) -> PrefixCache {
    PrefixCache::new(&config(num_blocks, block_size))
}

/// What a cache is made of that lists what it evicts.
pub(crate) fn config(num_blocks: u32, block_size: usize) -> CacheConfig {
    CacheConfig {
        num_blocks,
        block_size,
        window: None,
        enable_prefix_caching: true,
        fingerprint: b"model".to_vec(),
        evicted_memory: 64,
        list_evicted: true,
        retention: RetentionLimits {
            max_blocks: num_blocks as usize / 2,
            max_blocks_per_key: num_blocks as usize / 4,
        },
    }
}

/// `len` tokens that no other `start` has.
pub(crate) fn tokens(start: u32, len: usize) -> Vec<TokenId> {
    (0..len as u32)
        .map(|at| TokenId(start * 1_000_000 + at))
        .collect()
}

impl Sequence {
    /// Looks the prompt up and takes room for all of it.
    pub(crate) fn admit(
        cache: &mut PrefixCache,
        salt: &[u8],
        tokens: &[TokenId],
    ) -> Result<Self, OutOfBlocks> {
        let mut chain = cache.new_chain(salt);
        cache.extend_chain(&mut chain, tokens);
        let hit = cache.lookup_prefix(&chain, tokens);
        let table = cache.allocate(&hit, tokens.len(), u64::from(tokens[0].0 / 1_000_000))?;
        let num_computed = table.num_cached_tokens();
        Ok(Self {
            tokens: tokens.to_vec(),
            chain,
            table,
            num_computed,
        })
    }

    /// Computes the whole prompt; returns how many tokens that took.
    pub(crate) fn compute(&mut self, cache: &mut PrefixCache) -> usize {
        let before = self.num_computed;
        self.compute_to(cache, self.tokens.len());
        cache.register_partial(&self.table, self.computed());
        self.num_computed - before
    }

    /// Computes up to `end` tokens without registering a part of a block.
    pub(crate) fn compute_to(&mut self, cache: &mut PrefixCache, end: usize) {
        cache.finish_copy(&mut self.table);
        self.num_computed = end;
        cache.extend_chain(&mut self.chain, &self.tokens);
        let computed = Computed {
            chain: &self.chain,
            tokens: &self.tokens,
            num_computed: end,
        };
        cache.seal(&mut self.table, computed);
    }

    pub(crate) fn computed(&self) -> Computed<'_> {
        Computed {
            chain: &self.chain,
            tokens: &self.tokens,
            num_computed: self.num_computed,
        }
    }

    pub(crate) fn release(mut self, cache: &mut PrefixCache) {
        let table = std::mem::take(&mut self.table);
        cache.release(table, self.computed());
    }
}

/// Runs a prompt from admission to release; returns how many tokens were computed.
pub(crate) fn serve(cache: &mut PrefixCache, salt: &[u8], tokens: &[TokenId]) -> usize {
    let mut sequence = Sequence::admit(cache, salt, tokens).expect("the prompt fits");
    let computed = sequence.compute(cache);
    sequence.release(cache);
    cache.check_invariants([]);
    computed
}
