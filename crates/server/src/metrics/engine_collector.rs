//! The engine's own counts, read when somebody asks: they are never stale and never kept twice.

use std::fmt;

use engine::{EngineHandle, EngineStats, Histogram, StepPhase, TIME_BOUNDS};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::disk_collector;

/// Reads [`EngineHandle::stats`].
#[derive(Debug)]
pub(super) struct EngineCollector {
    engine: Engine,
}

/// The handle, which has nothing to say for itself in debug output.
struct Engine(EngineHandle);

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EngineHandle")
    }
}

impl EngineCollector {
    pub(super) fn new(engine: EngineHandle) -> Self {
        Self {
            engine: Engine(engine),
        }
    }
}

impl Collector for EngineCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.engine.0.stats();
        gauges(&stats, &mut encoder)?;
        counters(&stats, &mut encoder)?;
        blocks(&stats, &mut encoder)?;
        window_blocks(&stats, &mut encoder)?;
        by_source(&stats, &mut encoder)?;
        let tokens = StepHistogram(&stats.step_tokens);
        series(
            &mut encoder,
            "vllm:iteration_tokens",
            "Tokens computed per step",
            &tokens,
        )?;
        series(
            &mut encoder,
            "purser_step_tokens",
            "Tokens computed per step",
            &tokens,
        )?;
        if let Some(disk) = &stats.disk {
            disk_collector::encode(disk, &mut encoder)?;
        }
        block_times(&stats, &mut encoder)?;
        let seconds = StepHistogram(&stats.step_seconds);
        series(
            &mut encoder,
            "purser_step_seconds",
            "Seconds per step, forward pass and sampling",
            &seconds,
        )?;
        step_phases(&stats, &mut encoder)
    }
}

fn gauges(stats: &EngineStats, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let usage = stats.kv_cache_usage();
    let running = stats.num_running as f64;
    let waiting = stats.num_waiting as f64;
    let gauges = [
        ("vllm:num_requests_running", "Sequences that run", running),
        ("purser_num_requests_running", "Sequences that run", running),
        ("vllm:num_requests_waiting", "Sequences that wait", waiting),
        (
            "purser_num_requests_waiting",
            "Sequences that wait",
            waiting,
        ),
        (
            "vllm:kv_cache_usage_perc",
            "KV blocks in use, 0 to 1",
            usage,
        ),
        (
            "vllm:gpu_cache_usage_perc",
            "KV blocks in use, 0 to 1 (old name)",
            usage,
        ),
        (
            "purser_kv_cache_usage_ratio",
            "KV blocks in use, 0 to 1",
            usage,
        ),
        (
            "purser_num_background_running",
            "Sequences that run in the background; part of those that run",
            stats.num_background_running as f64,
        ),
        (
            "purser_num_background_waiting",
            "Sequences that wait to run in the background; no part of those that wait",
            stats.num_background_waiting as f64,
        ),
        (
            "purser_kv_guaranteed_blocks",
            "Free KV blocks that are kept for the guaranteed output of running sequences",
            stats.num_guaranteed_blocks as f64,
        ),
        (
            "purser_kv_retained_blocks",
            "KV blocks that are retained, whether sequences hold them or not",
            stats.num_retained_blocks as f64,
        ),
        (
            "purser_output_reserve_ratio",
            "Share of the running sequences' remaining output that admissions keep room for",
            stats.output_reserve_ratio,
        ),
        (
            "purser_waiting_uncached_tokens",
            "Tokens that the waiting sequences would compute",
            stats.waiting_uncached_tokens as f64,
        ),
        (
            "purser_prefill_tokens_per_second",
            "Measured prefill rate; 0 before the first measurement",
            stats.prefill_tokens_per_second.unwrap_or(0.0),
        ),
    ];
    gauges
        .into_iter()
        .try_for_each(|(name, help, value)| series(encoder, name, help, &ConstGauge::new(value)))
}

fn counters(stats: &EngineStats, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let counters = [
        (
            "vllm:generation_tokens",
            "Tokens generated",
            stats.generation_tokens,
        ),
        (
            "purser_generation_tokens",
            "Tokens generated",
            stats.generation_tokens,
        ),
        ("vllm:num_preemptions", "Preemptions", stats.preemptions),
        ("purser_preemptions", "Preemptions", stats.preemptions),
        (
            "vllm:prompt_tokens_cached",
            "Prompt tokens from the cache",
            stats.prompt_tokens_cached,
        ),
        (
            "vllm:prompt_tokens_recomputed",
            "Tokens computed again after preemptions",
            stats.tokens_recomputed,
        ),
        (
            "purser_tokens_recomputed",
            "Tokens computed again after preemptions",
            stats.tokens_recomputed,
        ),
        (
            "purser_cache_evictions",
            "Cached blocks given up for others",
            stats.evictions,
        ),
        (
            "purser_cache_retained_evictions",
            "Retained blocks given up because no others were free; part of the evictions",
            stats.retained_evictions,
        ),
        (
            "purser_cache_window_evictions",
            "KV blocks of layers with a sliding window given up while the other layers kept theirs",
            stats.window_evictions,
        ),
        (
            "purser_background_abandoned",
            "Sequences in the background that ended because others needed their memory",
            stats.abandoned,
        ),
        (
            "purser_guarantee_waits",
            "Times that a sequence sat out a step because free memory was kept for others",
            stats.guarantee_waits,
        ),
        ("purser_steps", "Steps computed", stats.steps),
    ];
    counters
        .into_iter()
        .try_for_each(|(name, help, value)| series(encoder, name, help, &ConstCounter::new(value)))
}

fn blocks(stats: &EngineStats, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let held = stats.num_used_blocks + stats.num_cached_blocks;
    let states = [
        ("used", stats.num_used_blocks),
        ("cached", stats.num_cached_blocks),
        ("free", stats.num_blocks - held.min(stats.num_blocks)),
    ];
    let help = "KV blocks: held by sequences, kept for later, empty";
    let mut encoder =
        encoder.encode_descriptor("purser_kv_blocks", help, None, MetricType::Gauge)?;
    states.into_iter().try_for_each(|(state, count)| {
        let labels = [("state", state)];
        ConstGauge::new(count as f64).encode(encoder.encode_family(&labels)?)
    })
}

/// Of models whose layers with a sliding window have a pool of their own.
fn window_blocks(
    stats: &EngineStats,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let Some(blocks) = stats.window_blocks else {
        return Ok(());
    };
    let states = [("used", blocks.used), ("free", blocks.total - blocks.used)];
    let help = "KV blocks of the layers with a sliding window: held by sequences, given back";
    let mut encoder =
        encoder.encode_descriptor("purser_kv_window_blocks", help, None, MetricType::Gauge)?;
    states.into_iter().try_for_each(|(state, count)| {
        let labels = [("state", state)];
        ConstGauge::new(count as f64).encode(encoder.encode_family(&labels)?)
    })
}

fn by_source(stats: &EngineStats, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let sources = [
        ("local_compute", stats.prompt_tokens_computed),
        ("local_cache_hit", stats.prompt_tokens_cached),
    ];
    let own = [
        sources[0],
        sources[1],
        ("recomputed", stats.tokens_recomputed),
    ];
    let help = "Prompt tokens by where their KV came from, at admission";
    sources_of(encoder, "vllm:prompt_tokens_by_source", help, &sources)?;
    let help = "Tokens by where their KV came from: prompt tokens at admission, once per request, and \
                those computed again after preemptions";
    sources_of(encoder, "purser_prompt_tokens_by_source", help, &own)
}

fn sources_of(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    sources: &[(&str, u64)],
) -> Result<(), fmt::Error> {
    let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    sources.iter().try_for_each(|&(source, count)| {
        let labels = [("source", source)];
        ConstCounter::new(count).encode(encoder.encode_family(&labels)?)
    })
}

/// vLLM's `kv_block_*`, under both names.
fn block_times(stats: &EngineStats, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let times = &stats.block_times;
    let all = [
        (
            "kv_block_lifetime_seconds",
            "Seconds from the moment that a block is full to its eviction",
            &times.lifetime,
        ),
        (
            "kv_block_idle_before_evict_seconds",
            "Seconds from the last use of a block to its eviction",
            &times.idle_before_evict,
        ),
        (
            "kv_block_reuse_gap_seconds",
            "Seconds from the last use of a block to its next one",
            &times.reuse_gap,
        ),
    ];
    for (name, help, counts) in all {
        let histogram = Histogram {
            bounds: TIME_BOUNDS.to_vec(),
            counts: counts.counts.to_vec(),
            sum: counts.sum,
        };
        for prefix in ["vllm:", "purser_"] {
            let name = format!("{prefix}{name}");
            series(encoder, &name, help, &StepHistogram(&histogram))?;
        }
    }
    Ok(())
}

/// A histogram for each phase.
fn step_phases(stats: &EngineStats, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let name = "purser_step_phase_seconds";
    let help = "Seconds per step by what they went to; the phases are all of a step";
    let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    let phases = StepPhase::ALL.iter().zip(&stats.step_phase_seconds);
    phases.into_iter().try_for_each(|(phase, seconds)| {
        let labels = [("phase", phase.name())];
        StepHistogram(seconds).encode(encoder.encode_family(&labels)?)
    })
}

pub(super) fn series<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &M,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// The engine's histogram in the registry's terms.
struct StepHistogram<'a>(&'a Histogram);

impl EncodeMetric for StepHistogram<'_> {
    fn encode(
        &self,
        mut encoder: prometheus_client::encoding::MetricEncoder<'_>,
    ) -> Result<(), fmt::Error> {
        let ends = self.0.bounds.iter().copied().chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = ends.zip(self.0.counts.iter().copied()).collect();
        let count = self.0.counts.iter().sum();
        encoder.encode_histogram::<NoLabelSet>(self.0.sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
