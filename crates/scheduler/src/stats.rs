//! What the scheduler has done and holds.

use kv_cache::CacheStats;

/// A snapshot. Counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SchedulerStats {
    /// Sequences that hold blocks, background ones included.
    pub running: usize,
    /// Background sequences that hold blocks.
    pub background_running: usize,
    /// Background sequences that wait; they are not counted below.
    pub background_waiting: usize,
    /// Sequences that wait, preempted ones included.
    pub waiting: usize,
    /// Tokens that the waiting sequences would have to compute.
    pub queued_uncached_tokens: usize,
    /// Blocks that requests can use.
    pub num_blocks: usize,
    /// Blocks held by sequences.
    pub num_used_blocks: usize,
    /// Free blocks that are kept for the guaranteed output of running sequences.
    pub num_guaranteed_blocks: usize,
    /// Blocks that nobody holds and whose content may be found again.
    pub num_cached_blocks: usize,
    /// Blocks that are retained, held by sequences or not.
    pub num_retained_blocks: usize,
    /// Blocks of the layers with a sliding window; `None` if they have no pool of their own.
    pub window_blocks: Option<WindowBlockUse>,
    /// Steps planned that computed something.
    pub steps: u64,
    /// Preemptions.
    pub preemptions: u64,
    /// Times that a sequence was left out of a step because all free blocks were kept for the
    /// guaranteed output of others.
    pub guarantee_waits: u64,
    /// Background requests that ended because others needed their memory.
    pub abandoned: u64,
    /// Tokens computed again because of preemptions.
    pub recomputed_tokens: u64,
    /// Prompt tokens taken from the cache, counted once per request, at admission.
    pub prompt_tokens_cached: u64,
    /// Prompt tokens not in the cache, counted once per request, at admission.
    pub prompt_tokens_computed: u64,
    /// Measured prompt tokens per second; `None` before the first measurement.
    pub prefill_rate: Option<f64>,
    /// Fraction of the running requests' remaining output that room is kept for.
    pub output_reserve_ratio: f64,
    /// Counters of the cache.
    pub cache: CacheStats,
}

/// The pool of the layers with a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowBlockUse {
    /// Blocks that requests can use.
    pub total: usize,
    /// Blocks held by sequences.
    pub used: usize,
}

/// The counters among them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) steps: u64,
    pub(crate) preemptions: u64,
    pub(crate) guarantee_waits: u64,
    pub(crate) abandoned: u64,
    pub(crate) recomputed_tokens: u64,
    pub(crate) prompt_tokens_cached: u64,
    pub(crate) prompt_tokens_computed: u64,
}
