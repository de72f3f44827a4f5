//! The series that requests report to.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use super::CacheInfo;
use super::context::ContextMetrics;

/// vLLM's buckets of seconds to the first token.
const TTFT: [f64; 22] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2_560.0,
];
/// vLLM's buckets of seconds between tokens.
const ITL: [f64; 18] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0,
];
/// vLLM's buckets of seconds of whole requests.
const LATENCY: [f64; 21] = [
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1_920.0, 7_680.0,
];
/// vLLM's buckets of token counts.
pub(super) const TOKENS: [f64; 17] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0,
    20_000.0, 50_000.0, 100_000.0, 200_000.0,
];

/// Of predicted over measured: a fifth to either side is what the project promises.
pub(super) const PREDICTION: [f64; 12] =
    [0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.1, 1.2, 1.5, 2.0, 4.0];

/// Labels of an answered HTTP request.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct HttpLabels {
    pub(super) route: String,
    pub(super) method: String,
    pub(super) status: u16,
}

/// Why a request was refused.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct ReasonLabels {
    pub(super) reason: &'static str,
}

/// How a request ended, in vLLM's words.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct FinishLabels {
    pub(super) finished_reason: &'static str,
}

/// Why a cached prefix ended.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct MissLabels {
    pub(super) cause: &'static str,
}

/// The series, each registered under both its names.
pub(super) struct Series {
    pub(super) http_requests: Family<HttpLabels, Counter>,
    pub(super) http_seconds: Histogram,
    pub(super) refused: Family<ReasonLabels, Counter>,
    pub(super) finished: Family<FinishLabels, Counter>,
    pub(super) misses: Family<MissLabels, Counter>,
    pub(super) encoder_texts: Counter,
    pub(super) encoder_tokens: Counter,
    pub(super) prompt_tokens: Counter,
    pub(super) prefix_queries: Counter,
    pub(super) prefix_hits: Counter,
    pub(super) request_prompt_tokens: Histogram,
    pub(super) request_generation_tokens: Histogram,
    pub(super) request_max_tokens: Histogram,
    pub(super) latencies: Latencies,
    pub(super) context: ContextMetrics,
}

/// Seconds, of requests that have come to an end or are on their way.
pub(super) struct Latencies {
    pub(super) ttft: Histogram,
    /// As said at the admission.
    pub(super) predicted_ttft: Histogram,
    /// Predicted over measured.
    pub(super) ttft_prediction: Histogram,
    pub(super) itl: Histogram,
    pub(super) time_per_output_token: Histogram,
    pub(super) e2e: Histogram,
    pub(super) queue: Histogram,
    pub(super) prefill: Histogram,
    pub(super) decode: Histogram,
    pub(super) inference: Histogram,
}

impl Series {
    pub(super) fn register(registry: &mut Registry, cache: &CacheInfo) -> Self {
        register_cache_info(registry, cache);
        let mut to = Registration { registry };
        Self {
            http_requests: to.own("http_requests", "HTTP requests answered", Family::default()),
            http_seconds: to.own(
                "http_request_seconds",
                "Seconds until an HTTP answer began",
                histogram(&LATENCY),
            ),
            refused: to.own("requests_refused", "Requests refused", Family::default()),
            finished: to.both("request_success", "Requests finished", Family::default()),
            misses: to.own(
                "prefix_cache_misses",
                "Requests by why their cached prefix ended",
                Family::default(),
            ),
            encoder_texts: to.own(
                "encoder_texts",
                "Texts that the encoder has embedded",
                Counter::default(),
            ),
            encoder_tokens: to.own("encoder_tokens", "Tokens of them", Counter::default()),
            prompt_tokens: to.both("prompt_tokens", "Prompt tokens", Counter::default()),
            prefix_queries: to.both(
                "prefix_cache_queries",
                "Prompt tokens looked up in the prefix cache, once per request, at admission",
                Counter::default(),
            ),
            prefix_hits: to.both(
                "prefix_cache_hits",
                "Prompt tokens found in the prefix cache, once per request, at admission",
                Counter::default(),
            ),
            request_prompt_tokens: to.both(
                "request_prompt_tokens",
                "Prompt tokens per request",
                histogram(&TOKENS),
            ),
            request_generation_tokens: to.both(
                "request_generation_tokens",
                "Tokens generated per request",
                histogram(&TOKENS),
            ),
            request_max_tokens: to.both(
                "request_params_max_tokens",
                "Output tokens that a request may have",
                histogram(&TOKENS),
            ),
            latencies: Latencies::register(&mut to),
            context: ContextMetrics::register(&mut to),
        }
    }
}

impl Latencies {
    fn register(to: &mut Registration<'_>) -> Self {
        Self {
            ttft: to.both(
                "time_to_first_token_seconds",
                "Seconds from the request to its first token",
                histogram(&TTFT),
            ),
            predicted_ttft: to.own(
                "predicted_time_to_first_token_seconds",
                "Seconds from the request to its first token as predicted when it was admitted",
                histogram(&TTFT),
            ),
            ttft_prediction: to.own(
                "time_to_first_token_prediction_ratio",
                "Predicted over measured time to first token",
                histogram(&PREDICTION),
            ),
            itl: to.both(
                "inter_token_latency_seconds",
                "Seconds between two tokens of a request",
                histogram(&ITL),
            ),
            time_per_output_token: to.both(
                "request_time_per_output_token_seconds",
                "Mean seconds per token after the first, per request",
                histogram(&ITL),
            ),
            e2e: to.both(
                "e2e_request_latency_seconds",
                "Seconds from the request to its end",
                histogram(&LATENCY),
            ),
            queue: to.both(
                "request_queue_time_seconds",
                "Seconds before a request ran",
                histogram(&LATENCY),
            ),
            prefill: to.both(
                "request_prefill_time_seconds",
                "Seconds from the admission to the first token",
                histogram(&LATENCY),
            ),
            decode: to.both(
                "request_decode_time_seconds",
                "Seconds from the first token to the last",
                histogram(&LATENCY),
            ),
            inference: to.both(
                "request_inference_time_seconds",
                "Seconds from the admission to the last token",
                histogram(&LATENCY),
            ),
        }
    }
}

pub(super) fn histogram(buckets: &[f64]) -> Histogram {
    Histogram::new(buckets.iter().copied())
}

fn register_cache_info(registry: &mut Registry, cache: &CacheInfo) {
    let labels = vec![
        ("block_size".to_owned(), cache.block_size.to_string()),
        ("num_gpu_blocks".to_owned(), cache.num_blocks.to_string()),
        ("cache_dtype".to_owned(), cache.cache_dtype.to_owned()),
        (
            "enable_prefix_caching".to_owned(),
            cache.enable_prefix_caching.to_string(),
        ),
    ];
    // OpenMetrics appends `_info` to the name of such a series.
    registry.register(
        "vllm:cache_config",
        "Configuration of the KV cache",
        Info::new(labels),
    );
}

/// Registers a series under one or both of its names.
pub(super) struct Registration<'a> {
    registry: &'a mut Registry,
}

impl Registration<'_> {
    pub(super) fn own<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.registry
            .register(format!("purser_{name}"), help, metric.clone());
        metric
    }

    fn both<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.registry
            .register(format!("vllm:{name}"), help, metric.clone());
        self.own(name, help, metric)
    }
}
