//! The paged KV cache's bookkeeping: block pool, prefix cache, block tables.
//!
//! Pure: it knows token ids and integers, and neither requests, models, clocks, threads nor tensors.
//! Time is an argument ([`PrefixCache::advance_clock`]).
//!
//! - [`BlockPool`] owns the blocks: reference counts, the free list, the tokens of cached blocks.
//! - [`PrefixCache`] owns the pool and knows which block holds which tokens after which prefix. All
//!   operations go through it.
//! - [`PrefixCache::retain`] keeps prefixes beyond their turn, and [`Restore`] brings blocks back that
//!   were kept outside of the pool.
//! - [`WindowBlocks`] hold what layers with a sliding window keep, beside the blocks of the others.
//! - [`PrefixProbe`] asks it about many prompts without changing anything.
//! - [`BlockTable`] is a sequence's list of blocks; [`HashChain`] the names of its full blocks.

mod block_times;
mod chain;
mod children;
mod config;
mod error;
mod evicted;
mod free_list;
mod hasher;
mod hit;
mod ids;
mod invariants;
mod lookup;
mod miss;
mod pool;
mod prefix_cache;
mod probe;
mod restore;
mod retention;
mod stats;
mod table;
mod time;
mod windows;

pub use block_times::{BlockTimes, TIME_BOUNDS, TimeCounts};
pub use chain::HashChain;
pub use config::{CacheConfig, WindowConfig};
pub use error::OutOfBlocks;
pub use evicted::Eviction;
pub use hasher::BlockHasher;
pub use hit::PrefixHit;
pub use ids::{BlockHash, BlockId, TokenId, WindowBlockId};
pub use miss::{MissCause, MissReason};
pub use pool::BlockPool;
pub use prefix_cache::{Computed, PrefixCache};
pub use probe::PrefixProbe;
pub use restore::{CachedBlock, Restore};
pub use retention::{RetentionKey, RetentionLimits};
pub use stats::CacheStats;
pub use table::{BlockCopy, BlockTable, WindowCopy};
pub use time::Timestamp;
pub use windows::WindowBlocks;
