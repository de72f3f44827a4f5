//! Figures of the context budgeter: what it found, what it did about it, and whether that was right.
//!
//! Labels have few values whatever clients send: their own zones are all `client`, and tools beyond
//! the first [`MAX_TOOLS`] are `other`.

mod outcomes;
mod zones;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::series::{PREDICTION, Registration, TOKENS, histogram};
use crate::budget::told_plans::{News, ToldPlan};
use crate::wire::context_report::{ContextReport, EditReport, Status};
use outcomes::OutcomeMetrics;
use zones::ZoneMetrics;

/// Tools that are told apart.
pub const MAX_TOOLS: usize = 64;

/// Bytes of a tool's name, as OpenAI bounds it; a longer one is `other`.
const MAX_TOOL_NAME: usize = 64;

const PLANNING: [f64; 12] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
];
const SHARES: [f64; 11] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0];
/// Nats per token; text that no longer depends on what is gone may become likelier.
const DRIFT: [f64; 13] = [
    -0.5, -0.1, -0.02, 0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 5.0,
];

/// Counts of all requests whose context was budgeted; clones share them.
#[derive(Clone, Debug)]
pub struct ContextMetrics {
    requests: Family<StatusLabels, Counter>,
    infeasible: Counter,
    zones: ZoneMetrics,
    utilization: Histogram,
    remaining: Histogram,
    edits: EditMetrics,
    outcomes: OutcomeMetrics,
    prompt_tokens: Family<ScopeLabels, Counter>,
    cached_tokens: Family<ScopeLabels, Counter>,
    planning: Histogram,
    prediction: Histogram,
    results: Family<ReferenceLabels, Counter>,
    drift: Histogram,
}

/// What was said of a request before it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Tokens of the stable prefix, with which the prompt begins.
    pub stable_prefix: usize,
    /// Time to compute the prompt; `None` before steps have been measured.
    pub prefill: Option<Duration>,
}

/// Tokens of tool results and documents that later text could have referred to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultTokens {
    /// Of those that it refers to, by paths, names or numbers.
    pub referenced: usize,
    /// Of those that it does not.
    pub unreferenced: usize,
}

/// What was edited, and what came of it.
#[derive(Clone, Debug)]
struct EditMetrics {
    edits: Family<EditLabels, Counter>,
    freed: Family<EditLabels, Counter>,
    recomputed: Counter,
    compression: Family<LevelLabels, Histogram, fn() -> Histogram>,
    regrets: Family<ToolLabels, Counter>,
    tools: Arc<ToolNames>,
}

/// The tools that have a label of their own.
#[derive(Debug, Default)]
struct ToolNames(Mutex<BTreeSet<String>>);

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct StatusLabels {
    status: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct EditLabels {
    op: &'static str,
    source: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct LevelLabels {
    level: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ScopeLabels {
    scope: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ToolLabels {
    tool: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReferenceLabels {
    referenced: bool,
}

impl ContextMetrics {
    /// A request's context is settled: it goes to the engine now.
    pub fn settled(&self, report: &ContextReport) {
        let status = status_label(report.status);
        self.requests.get_or_create(&StatusLabels { status }).inc();
        self.utilization.observe(report.budget.utilization);
        self.remaining.observe(report.budget.remaining as f64);
        self.planning.observe(report.cost.planning_ms / 1e3);
        self.edits
            .recomputed
            .inc_by(report.cache.recomputed_due_to_edits as u64);
        self.zones.count(report);
        for edit in &report.edits {
            self.edits.count(edit, report.status);
        }
    }

    /// A request was refused because no edits make it fit.
    pub fn infeasible(&self) {
        self.infeasible.inc();
    }

    /// A call of `tool` repeats one whose result an edit took away.
    pub fn regretted(&self, tool: &str) {
        self.edits.regretted(tool);
    }

    /// A client says something new of a plan that it was told of.
    pub fn judged(&self, plan: &ToldPlan, news: &News) {
        self.outcomes.judged(plan, news);
    }

    /// What a prompt carries along of earlier results.
    pub fn results(&self, tokens: ResultTokens) {
        for (referenced, tokens) in [(true, tokens.referenced), (false, tokens.unreferenced)] {
            self.results
                .get_or_create(&ReferenceLabels { referenced })
                .inc_by(tokens as u64);
        }
    }

    /// Answers behind a summary have become less likely by so many nats per token.
    pub fn drifted(&self, nll_delta: f64) {
        self.drift.observe(nll_delta);
    }

    /// The engine has admitted a request.
    pub(super) fn admitted(&self, forecast: &Forecast, prompt_tokens: usize, cached_tokens: usize) {
        let stable = forecast.stable_prefix.min(prompt_tokens);
        for (scope, prompt, cached) in [
            ("all", prompt_tokens, cached_tokens),
            ("stable", stable, cached_tokens.min(stable)),
        ] {
            let labels = ScopeLabels { scope };
            self.prompt_tokens
                .get_or_create(&labels)
                .inc_by(prompt as u64);
            self.cached_tokens
                .get_or_create(&labels)
                .inc_by(cached as u64);
        }
    }

    /// The engine has computed a prompt.
    pub(super) fn prefilled(&self, forecast: &Forecast, measured: Duration) {
        if let Some(predicted) = forecast.prefill
            && !measured.is_zero()
        {
            let ratio = predicted.as_secs_f64() / measured.as_secs_f64();
            self.prediction.observe(ratio);
        }
    }

    pub(super) fn register(to: &mut Registration<'_>) -> Self {
        Self {
            requests: to.own(
                "context_requests",
                "Requests whose context was budgeted, by what became of them",
                Family::default(),
            ),
            infeasible: to.own(
                "context_infeasible",
                "Requests refused because no edits made them fit their budget",
                Counter::default(),
            ),
            zones: ZoneMetrics::register(to),
            utilization: to.own(
                "context_utilization_ratio",
                "Prompt and output minimum over the budget",
                histogram(&SHARES),
            ),
            remaining: to.own(
                "context_remaining_tokens",
                "Tokens that prompt and output minimum leave of the budget",
                histogram(&TOKENS),
            ),
            edits: EditMetrics::register(to),
            outcomes: OutcomeMetrics::register(to),
            prompt_tokens: to.own(
                "context_prompt_tokens",
                "Tokens of budgeted prompts, and of their stable prefixes, at admission",
                Family::default(),
            ),
            cached_tokens: to.own(
                "context_cached_tokens",
                "Of these, tokens found in the prefix cache",
                Family::default(),
            ),
            planning: to.own(
                "context_planning_seconds",
                "Seconds spent on planning",
                histogram(&PLANNING),
            ),
            prediction: to.own(
                "context_prefill_prediction_ratio",
                "Predicted over measured time to compute a prompt",
                histogram(&PREDICTION),
            ),
            results: to.own(
                "context_result_tokens",
                "Tokens of earlier results and documents, by whether later text refers to them",
                Family::default(),
            ),
            drift: to.own(
                "context_drift_nll",
                "Nats per token by which the model's answers behind a summary became less likely",
                histogram(&DRIFT),
            ),
        }
    }
}

impl EditMetrics {
    fn count(&self, edit: &EditReport, status: Status) {
        let is_unwritten =
            (edit.compaction.as_ref()).is_some_and(|compaction| compaction["written"] == false);
        let source = match status {
            Status::Observed => "observed",
            _ if is_unwritten => "observed",
            _ => edit.source,
        };
        let labels = EditLabels {
            op: edit.op,
            source,
        };
        self.edits.get_or_create(&labels).inc();
        let freed = edit.before.saturating_sub(edit.after);
        self.freed.get_or_create(&labels).inc_by(freed as u64);
        // A repeated edit has been counted with the request that made it.
        if let (Some(level), "new") = (edit.level, source)
            && edit.before > 0
        {
            self.compression
                .get_or_create(&LevelLabels { level })
                .observe(edit.after as f64 / edit.before as f64);
        }
    }

    fn regretted(&self, tool: &str) {
        let tool = self.tools.label(tool);
        self.regrets.get_or_create(&ToolLabels { tool }).inc();
    }

    fn register(to: &mut Registration<'_>) -> Self {
        Self {
            edits: to.own(
                "context_edits",
                "Edits by kind: new, repeated from the ledger, or only observed",
                Family::default(),
            ),
            freed: to.own(
                "context_freed_tokens",
                "Tokens that edits have kept out of prompts",
                Family::default(),
            ),
            recomputed: to.own(
                "context_recomputed_tokens",
                "Tokens computed only because an edit changed what was cached before them",
                Counter::default(),
            ),
            compression: to.own(
                "context_compression_ratio",
                "Tokens after over tokens before, of new edits that shorten",
                Family::new_with_constructor(|| histogram(&SHARES)),
            ),
            regrets: to.own(
                "context_regrets",
                "Calls made again after an edit took their result away",
                Family::default(),
            ),
            tools: Arc::default(),
        }
    }
}

impl ToolNames {
    fn label(&self, name: &str) -> String {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = names.len() < MAX_TOOLS && (1..=MAX_TOOL_NAME).contains(&name.len());
        if has_room {
            names.insert(name.to_owned());
        }
        let label = if names.contains(name) { name } else { "other" };
        label.to_owned()
    }
}

fn status_label(status: Status) -> &'static str {
    match status {
        Status::Fit => "fit",
        Status::Edited => "edited",
        Status::Observed => "observed",
        Status::ScopeReductionRequested => "scope_reduction_requested",
        Status::Chunked => "chunked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_have_few_labels() {
        let tools = ToolNames::default();
        for number in 0..MAX_TOOLS {
            let name = format!("tool_{number}");
            assert_eq!(tools.label(&name), name);
        }
        assert_eq!(tools.label("one_more"), "other");
        assert_eq!(tools.label("tool_3"), "tool_3");
        let tools = ToolNames::default();
        assert_eq!(tools.label(""), "other");
        assert_eq!(tools.label(&"x".repeat(65)), "other");
        assert_eq!(tools.label(&"x".repeat(64)), "x".repeat(64));
    }
}
