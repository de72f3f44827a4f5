//! Sizes of the cache.

use crate::RetentionLimits;

/// What a [`PrefixCache`](crate::PrefixCache) is made of.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// Blocks of the pool, the null block included; at least 2.
    pub num_blocks: u32,
    /// Tokens per block; at least 1.
    pub block_size: usize,
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
