//! Tokens by zone: sums, how they are distributed over requests, and the most that there were.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use context::Zone;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::metrics::series::{Registration, TOKENS, histogram};
use crate::wire::context_report::{ContextReport, Status};

/// What the chat template writes, which is no zone's.
const TEMPLATE: &str = "template";

/// See the module; clones share the figures.
#[derive(Clone, Debug)]
pub(super) struct ZoneMetrics {
    sums: Family<ZoneLabels, Counter>,
    requests: Family<ZoneLabels, Histogram, fn() -> Histogram>,
    zone_peaks: Family<PeakLabels, Gauge>,
    peak: Gauge,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ZoneLabels {
    zone: &'static str,
    stage: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PeakLabels {
    zone: &'static str,
}

/// Tokens that one label's zones have in one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tokens {
    received: usize,
    rendered: usize,
    cached: usize,
    allocated: usize,
}

impl ZoneMetrics {
    /// Counts a request whose context is settled.
    pub(super) fn count(&self, report: &ContextReport) {
        let zones = by_label(report);
        let mut rendered = 0;
        for (&zone, tokens) in &zones {
            let stages = [
                ("received", tokens.received),
                ("rendered", tokens.rendered),
                ("cached", tokens.cached),
            ];
            for (stage, tokens) in stages {
                // Which of the template's tokens are cached, the report does not say.
                if (zone, stage) != (TEMPLATE, "cached") {
                    let labels = ZoneLabels { zone, stage };
                    self.sums.get_or_create(&labels).inc_by(tokens as u64);
                }
            }
            self.observe(zone, "received", tokens.received);
            self.observe(zone, "rendered", tokens.rendered);
            if zone != TEMPLATE {
                self.observe(zone, "allocated", tokens.allocated);
            }
            raise(
                &self.zone_peaks.get_or_create(&PeakLabels { zone }),
                tokens.rendered,
            );
            rendered += tokens.rendered;
        }
        raise(&self.peak, rendered);
    }

    pub(super) fn register(to: &mut Registration<'_>) -> Self {
        Self {
            sums: to.own(
                "context_tokens",
                "Tokens of prompts by zone: as received, as computed, of these cached before",
                Family::default(),
            ),
            requests: to.own(
                "context_zone_tokens",
                "Tokens per request by zone: as received, as computed, and the share of the budget",
                Family::new_with_constructor(|| histogram(&TOKENS)),
            ),
            zone_peaks: to.own(
                "context_zone_peak_tokens",
                "The most tokens that a zone had in a computed prompt since the server started",
                Family::default(),
            ),
            peak: to.own(
                "context_peak_tokens",
                "Tokens of the longest budgeted prompt since the server started",
                Gauge::default(),
            ),
        }
    }

    fn observe(&self, zone: &'static str, stage: &'static str, tokens: usize) {
        self.requests
            .get_or_create(&ZoneLabels { zone, stage })
            .observe(tokens as f64);
    }
}

/// What each label has: a request's own zones have one together, so that each request counts once.
fn by_label(report: &ContextReport) -> BTreeMap<&'static str, Tokens> {
    let stage = |name| report.stages.get(name).copied().unwrap_or(0);
    let mut template = Tokens {
        received: stage("received"),
        rendered: stage("rendered"),
        ..Tokens::default()
    };
    let mut zones: BTreeMap<&'static str, Tokens> = BTreeMap::new();
    for (name, zone) in &report.zones {
        // Whoever only observes has its prompt computed as it was received.
        let rendered = match report.status {
            Status::Observed => zone.before,
            _ => zone.after,
        };
        let tokens = zones.entry(zone_label(name)).or_default();
        tokens.received += zone.before;
        tokens.rendered += rendered;
        tokens.cached += zone.cached;
        tokens.allocated += zone.allocated;
        template.received = template.received.saturating_sub(zone.before);
        template.rendered = template.rendered.saturating_sub(rendered);
    }
    zones.insert(TEMPLATE, template);
    zones
}

fn raise(peak: &Gauge, tokens: usize) {
    let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
    peak.inner().fetch_max(tokens, Ordering::Relaxed);
}

fn zone_label(name: &str) -> &'static str {
    match Zone::from_name(name) {
        Zone::System => "system",
        Zone::ToolSchemas => "tool_schemas",
        Zone::Examples => "examples",
        Zone::Retrieval => "retrieval",
        Zone::Memory => "memory",
        Zone::History => "history",
        Zone::ToolOutputs => "tool_outputs",
        Zone::LiveTurn => "live_turn",
        Zone::Custom(_) => "client",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_clients_have_one_label() {
        assert_eq!(zone_label("tool_outputs"), "tool_outputs");
        assert_eq!(zone_label("template"), "client");
    }
}
