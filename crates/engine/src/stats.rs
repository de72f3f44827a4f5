//! Counts and gauges of the engine, as of its last step.

use std::time::Duration;

use crate::step_phases::PhaseWatch;
use crate::{DiskStats, StepPhase};
use kv_cache::BlockTimes;
use scheduler::{SchedulerStats, WindowBlockUse};

/// A snapshot; counters only grow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineStats {
    /// Sequences that hold blocks.
    pub num_running: usize,
    /// Of these, sequences in the background.
    pub num_background_running: usize,
    /// Sequences that wait for admission, without those in the background.
    pub num_waiting: usize,
    /// Sequences in the background that wait for admission.
    pub num_background_waiting: usize,
    /// Tokens that the waiting sequences would compute if they were admitted now.
    pub waiting_uncached_tokens: usize,
    /// Blocks that requests can use (the null block is not counted).
    pub num_blocks: usize,
    /// Blocks held by sequences.
    pub num_used_blocks: usize,
    /// Free blocks that are kept for the guaranteed output of running sequences.
    pub num_guaranteed_blocks: usize,
    /// Blocks that no sequence holds but whose content may be found again.
    pub num_cached_blocks: usize,
    /// Blocks that are retained, held by sequences or not.
    pub num_retained_blocks: usize,
    /// Blocks of the layers with a sliding window; `None` if they have no pool of their own.
    pub window_blocks: Option<WindowBlockUse>,
    /// Steps computed.
    pub steps: u64,
    /// Prompt tokens that were not in the prefix cache, counted once per request, at admission.
    pub prompt_tokens_computed: u64,
    /// Prompt tokens taken from the prefix cache, counted at admission.
    pub prompt_tokens_cached: u64,
    /// Tokens computed again after preemptions.
    pub tokens_recomputed: u64,
    /// Tokens generated.
    pub generation_tokens: u64,
    /// Preemptions.
    pub preemptions: u64,
    /// Background requests that ended because others needed their memory.
    pub abandoned: u64,
    /// Times that a sequence was left out of a step because all free memory was kept for the
    /// guaranteed output of others.
    pub guarantee_waits: u64,
    /// Share of the running requests' remaining output that room is kept for when another is
    /// admitted (see [`OutputReserveConfig`](crate::OutputReserveConfig)).
    pub output_reserve_ratio: f64,
    /// Cached blocks whose content was given up for other requests.
    pub evictions: u64,
    /// Of these, blocks that were retained, and taken because no other was free.
    pub retained_evictions: u64,
    /// Blocks of layers with a sliding window that were given away while the other layers kept theirs.
    pub window_evictions: u64,
    /// How long blocks live.
    pub block_times: BlockTimes,
    /// What the disk holds and has done; `None` without one.
    pub disk: Option<DiskStats>,
    /// Prefill rate, tokens per second, as measured; `None` before the first measurement.
    pub prefill_tokens_per_second: Option<f64>,
    /// Steps by tokens computed in them.
    pub step_tokens: Histogram,
    /// Steps by duration of forward pass and sampling, in seconds.
    pub step_seconds: Histogram,
    /// Steps by seconds spent in each phase, in the order of [`StepPhase::ALL`].
    pub step_phase_seconds: [Histogram; StepPhase::ALL.len()],
}

impl EngineStats {
    /// Used blocks over all blocks, 0 to 1.
    pub fn kv_cache_usage(&self) -> f64 {
        self.num_used_blocks as f64 / self.num_blocks.max(1) as f64
    }

    /// An empty snapshot with the histograms' bounds.
    pub(crate) fn new() -> Self {
        Self {
            step_tokens: Histogram::new((0..15).map(|power| f64::from(1 << power)).collect()),
            step_seconds: Histogram::new(vec![
                0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
            ]),
            step_phase_seconds: std::array::from_fn(|_| {
                // From what a plan takes to what a long prompt's chunk takes on a slow processor.
                Histogram::new(vec![
                    1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0,
                    5.0,
                ])
            }),
            ..Self::default()
        }
    }

    /// Copies the scheduler's figures.
    pub(crate) fn take_over(&mut self, scheduler: &SchedulerStats) {
        self.num_running = scheduler.running;
        self.num_waiting = scheduler.waiting;
        self.waiting_uncached_tokens = scheduler.queued_uncached_tokens;
        self.num_blocks = scheduler.num_blocks;
        self.num_used_blocks = scheduler.num_used_blocks;
        self.num_guaranteed_blocks = scheduler.num_guaranteed_blocks;
        self.num_cached_blocks = scheduler.num_cached_blocks;
        self.prompt_tokens_computed = scheduler.prompt_tokens_computed;
        self.prompt_tokens_cached = scheduler.prompt_tokens_cached;
        self.tokens_recomputed = scheduler.recomputed_tokens;
        self.preemptions = scheduler.preemptions;
        self.num_background_running = scheduler.background_running;
        self.num_background_waiting = scheduler.background_waiting;
        self.abandoned = scheduler.abandoned;
        self.guarantee_waits = scheduler.guarantee_waits;
        self.output_reserve_ratio = scheduler.output_reserve_ratio;
        self.num_retained_blocks = scheduler.num_retained_blocks;
        self.window_blocks = scheduler.window_blocks;
        self.window_evictions = scheduler.cache.window_evictions;
        self.evictions = scheduler.cache.evictions;
        self.retained_evictions = scheduler.cache.retained_evictions;
        self.block_times = scheduler.cache.block_times;
        self.prefill_tokens_per_second = scheduler.prefill_rate;
    }

    pub(crate) fn record_step(&mut self, tokens: usize, elapsed: Duration) {
        self.steps += 1;
        self.step_tokens.record(tokens as f64);
        self.step_seconds.record(elapsed.as_secs_f64());
    }

    pub(crate) fn record_phases(&mut self, watch: &PhaseWatch) {
        for (histogram, spent) in self.step_phase_seconds.iter_mut().zip(watch.spent()) {
            histogram.record(spent.as_secs_f64());
        }
    }
}

/// A histogram with fixed bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bounds, ascending, inclusive.
    pub bounds: Vec<f64>,
    /// Observations per bound, and one more count for those above the last. Not cumulative.
    pub counts: Vec<u64>,
    /// Sum of the observations.
    pub sum: f64,
}

impl Histogram {
    fn new(bounds: Vec<f64>) -> Self {
        let counts = vec![0; bounds.len() + 1];
        Self {
            bounds,
            counts,
            sum: 0.0,
        }
    }

    fn record(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|&bound| bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }
}
