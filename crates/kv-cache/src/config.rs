//! Sizes of the cache.

use crate::RetentionLimits;

/// What a [`PrefixCache`](crate::PrefixCache) is made of.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// Blocks of the pool, the null block included; at least 2.
    pub num_blocks: u32,
    /// Tokens per block; at least 1.
    pub block_size: usize,
    /// A pool apart for layers with a sliding window; `None` if all layers share one.
    pub window: Option<WindowConfig>,
    /// Whether computed blocks are kept for other requests. Without it every lookup misses.
    pub enable_prefix_caching: bool,
    /// Names the model and whatever else its KV depends on (weights, dtype, rope scaling).
    pub fingerprint: Vec<u8>,
    /// Evicted hashes to remember, to tell an evicted prefix from one never seen.
    pub evicted_memory: usize,
    /// Whether evicted blocks are listed, for somebody who keeps them elsewhere
    /// ([`PrefixCache::take_evicted`](crate::PrefixCache::take_evicted)).
    pub list_evicted: bool,
    /// How much can be retained; 0 blocks turn retention off.
    pub retention: RetentionLimits,
}

/// The pool of the layers with a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowConfig {
    /// Tokens that a token sees in these layers, itself included; at least 1.
    pub tokens: usize,
    /// Blocks of the pool, the null block included: at least [`WindowConfig::blocks_for`] what runs,
    /// so that nobody ever waits for one.
    pub num_blocks: u32,
}

impl WindowConfig {
    /// Blocks, the null block included, that `max_num_seqs` sequences need at most, if a step
    /// computes up to `max_step_tokens` of their tokens: of each its window, whose first and last
    /// block may belong to it in part, and the source of a copy.
    pub fn blocks_for(
        tokens: usize,
        block_size: usize,
        max_num_seqs: usize,
        max_step_tokens: usize,
    ) -> usize {
        let window = (tokens - 1).div_ceil(block_size) + 3;
        max_num_seqs * window + max_step_tokens.div_ceil(block_size) + 1
    }
}
