//! Prometheus metrics: own names, and vLLM's for the same values, which routers and dashboards read.
//!
//! Two kinds of source: what requests report as they go ([`RequestMetrics`], [`ContextMetrics`]),
//! and what the engine and the edit ledger have counted, read when somebody asks.

mod context;
mod disk_collector;
mod engine_collector;
mod ledger_collector;
mod request;
mod series;

use std::fmt;
use std::sync::Arc;

use engine::EngineHandle;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::budget::compaction::CompactionCounters;
use crate::budget::state::Budgeter;
pub use context::{ContextMetrics, Forecast, MAX_TOOLS, ResultTokens};
use engine_collector::EngineCollector;
use ledger_collector::LedgerCollector;
pub use request::RequestMetrics;
use series::{HttpLabels, Series};

/// What the cache is made of, for `vllm:cache_config_info`.
#[derive(Clone, Debug)]
pub struct CacheInfo {
    /// Tokens per block.
    pub block_size: usize,
    /// Blocks.
    pub num_blocks: usize,
    /// Type of its elements.
    pub cache_dtype: &'static str,
    /// Whether prefixes are kept.
    pub enable_prefix_caching: bool,
}

/// The registry and the series in it; clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    series: Arc<Series>,
    compactions: CompactionCounters,
}

impl Metrics {
    /// Series of a server for `model_name` on `engine` with `budgeter`.
    pub fn new(
        model_name: &str,
        cache: &CacheInfo,
        engine: EngineHandle,
        budgeter: &Budgeter,
    ) -> Self {
        let mut root = Registry::default();
        let labels = [("model_name", model_name), ("engine", "0")];
        let labels = labels.map(|(name, value)| (name.into(), value.to_owned().into()));
        let registry = root.sub_registry_with_labels(labels.into_iter());
        let series = Series::register(registry, cache);
        registry.register_collector(Box::new(EngineCollector::new(engine)));
        registry.register_collector(Box::new(LedgerCollector {
            counters: budgeter.ledger_counters(),
        }));
        let compactions = CompactionCounters::new();
        compactions.register(registry);
        Self {
            compactions,
            registry: Arc::new(root),
            series: Arc::new(series),
        }
    }

    /// Figures of summaries.
    pub fn compactions(&self) -> &CompactionCounters {
        &self.compactions
    }

    /// All series in OpenMetrics' text format.
    ///
    /// # Errors
    /// When the text cannot be written.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Counts an answered HTTP request.
    pub fn http_request(&self, route: &str, method: &str, status: u16, seconds: f64) {
        let labels = HttpLabels {
            route: route.to_owned(),
            method: method.to_owned(),
            status,
        };
        self.series.http_requests.get_or_create(&labels).inc();
        self.series.http_seconds.observe(seconds);
    }

    /// Counts a text that the encoder has embedded.
    pub fn embedded(&self, tokens: usize) {
        self.series.encoder_texts.inc();
        self.series.encoder_tokens.inc_by(tokens as u64);
    }

    /// Counts a request that the server refused: its queue was full, or it is stopping.
    pub fn refused(&self, code: &'static str) {
        self.series
            .refused
            .get_or_create(&series::ReasonLabels { reason: code })
            .inc();
    }

    /// Where the context budgeter counts.
    pub fn context(&self) -> &ContextMetrics {
        &self.series.context
    }

    /// Follows a choice from now on.
    pub fn request_started(&self, max_tokens: usize) -> RequestMetrics {
        RequestMetrics::new(Arc::clone(&self.series), max_tokens)
    }
}
