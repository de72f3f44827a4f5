//! The edit ledger's own counts, read when somebody asks.

use std::fmt;

use context::LedgerCounters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Where the counts are read.
pub(super) struct LedgerCollector {
    pub(super) counters: Box<dyn Fn() -> LedgerCounters + Send + Sync>,
}

impl fmt::Debug for LedgerCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LedgerCollector")
    }
}

impl Collector for LedgerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let ledger = (self.counters)();
        for (name, help, count) in [
            (
                "purser_context_ledger_hits",
                "Requests that found edits of earlier ones, and summaries that were found",
                ledger.hits,
            ),
            (
                "purser_context_ledger_misses",
                "Requests that found no edit of earlier ones, and summaries that were not found",
                ledger.misses,
            ),
            (
                "purser_context_ledger_replayed",
                "Edits repeated from earlier requests",
                ledger.replayed,
            ),
            (
                "purser_context_ledger_evictions",
                "Entries given up for lack of room",
                ledger.evictions,
            ),
        ] {
            let counter = ConstCounter::new(count);
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        for (name, help, value) in [
            ("purser_context_ledger_entries", "Entries", ledger.entries),
            (
                "purser_context_ledger_bytes",
                "Bytes of the entries",
                ledger.bytes,
            ),
            (
                "purser_context_ledger_max_bytes",
                "Bytes that the entries may have",
                ledger.max_bytes,
            ),
        ] {
            let gauge = ConstGauge::new(value as f64);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}
