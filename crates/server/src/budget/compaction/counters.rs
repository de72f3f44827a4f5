//! Figures of compactions, for the metrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Compacted, CompactionFailure, ComputedTokens, NotTaken};

/// Seconds of a compaction.
const SECONDS: [f64; 14] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0,
];
/// Shares of the critical items that are kept.
const RECALL: [f64; 9] = [0.25, 0.5, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0];

/// Counts; clones share them.
#[derive(Clone, Debug)]
pub struct CompactionCounters {
    compactions: Family<WrittenLabels, Counter>,
    rejected: Family<RejectedLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    recall: Histogram,
    seconds: Histogram,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct WrittenLabels {
    source: &'static str,
    level: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RejectedLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct TokenLabels {
    kind: &'static str,
}

impl Default for CompactionCounters {
    fn default() -> Self {
        Self::new()
    }
}

impl CompactionCounters {
    /// Nothing counted.
    pub fn new() -> Self {
        Self {
            compactions: Family::default(),
            rejected: Family::default(),
            tokens: Family::default(),
            recall: Histogram::new(RECALL),
            seconds: Histogram::new(SECONDS),
        }
    }

    /// Adds the series to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "purser_context_compactions",
            "Summaries of old turns, by who wrote them and how long they are",
            self.compactions.clone(),
        );
        registry.register(
            "purser_context_compactions_rejected",
            "Attempts at a summary that gave none, by reason",
            self.rejected.clone(),
        );
        registry.register(
            "purser_context_compaction_tokens",
            "Tokens of the model's summaries: cached and computed of their prompts, output",
            self.tokens.clone(),
        );
        registry.register(
            "purser_context_critical_recall",
            "Share of critical items that a summary keeps",
            self.recall.clone(),
        );
        registry.register(
            "purser_context_compaction_seconds",
            "Seconds until there was a summary",
            self.seconds.clone(),
        );
    }

    /// The model has answered, whatever becomes of the answer.
    pub(super) fn computed(&self, tokens: &ComputedTokens) {
        for (kind, count) in [
            ("cached", tokens.cached),
            ("computed", tokens.prefilled() + tokens.recomputed),
            ("output", tokens.output),
        ] {
            self.tokens
                .get_or_create(&TokenLabels { kind })
                .inc_by(count as u64);
        }
    }

    /// An attempt gave no summary, or all together.
    pub(super) fn rejected(&self, reason: &CompactionFailure) {
        self.reject(reason.name());
    }

    /// One was not even begun.
    pub(super) fn not_taken(&self, reason: NotTaken) {
        self.reject(match reason {
            NotTaken::Full => "background_full",
            NotTaken::Stopped => "shutting_down",
        });
    }

    /// There is a summary.
    pub(super) fn finished(&self, compacted: &Compacted) {
        let labels = WrittenLabels {
            source: compacted.summary.origin.name(),
            level: compacted.level.name(),
        };
        self.compactions.get_or_create(&labels).inc();
        self.recall.observe(compacted.summary.critical_recall);
        self.seconds.observe(compacted.elapsed.as_secs_f64());
    }

    fn reject(&self, reason: &'static str) {
        self.rejected
            .get_or_create(&RejectedLabels { reason })
            .inc();
    }
}
