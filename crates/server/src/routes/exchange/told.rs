//! What an answer tells of its context.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use engine::PromptLogprob;
use serde_json::{Value, json};

use crate::answer::Rounds;
use crate::app::App;
use crate::auth::Caller;
use crate::budget::drift::{Drift, DriftWatch};
use crate::routes::cache;
use crate::wire::context_report::{ContextReport, Warning};

/// What an answer tells of its context.
#[derive(Default)]
pub(in crate::routes) struct Told {
    pub(in crate::routes) management: Option<Value>,
    pub(in crate::routes) report: Option<ToldReport>,
    pub(in crate::routes) headers: HeaderMap,
    /// What is compared while the prompt is computed.
    pub(in crate::routes) drift: Option<DriftWatch>,
    /// Who asks to be told how the cache was used.
    pub(in crate::routes) explained: Option<Caller>,
}

/// A report, as much of it as the client wants.
pub(in crate::routes) struct ToldReport {
    pub(in crate::routes) report: ContextReport,
    pub(in crate::routes) is_full: bool,
    /// The edit whose drift was measured, and whether the client is warned of it.
    pub(in crate::routes) drifted: Option<(usize, Option<Warning>)>,
}

impl ToldReport {
    pub(in crate::routes) fn to_json(&self) -> Value {
        self.report.to_json(self.is_full)
    }

    /// What a stream tells once the prompt is computed.
    pub(in crate::routes) fn cost(&self) -> Value {
        let report = &self.report;
        let mut told = json!({"plan_id": report.plan_id, "cost": report.cost});
        if !report.server_tools.is_empty() {
            told["server_tools"] = json!(report.server_tools);
        }
        if let Some((edit, warning)) = &self.drifted {
            let edit = &report.edits[*edit];
            told["drift"] = json!(edit.drift);
            told["drift"]["ref"] = edit.target.clone();
            if let Some(warning) = warning {
                told["warnings"] = json!([warning]);
            }
        }
        told
    }

    pub(in crate::routes) fn set_server_tools(&mut self, answers: &Rounds) {
        self.report.server_tools = answers.server_tools().to_vec();
    }

    fn set_drift(&mut self, edit: usize, drift: &Drift) {
        let warning = drift.warning();
        self.report.warnings.extend(warning.clone());
        if let Some(report) = self.report.edits.get_mut(edit) {
            report.drift = Some(drift.report());
            self.drifted = Some((edit, warning));
        }
    }

    pub(in crate::routes) fn set_prefill(&mut self, step_time: Duration) {
        self.report.cost.actual_prefill_ms = Some(step_time.as_secs_f64() * 1e3);
    }
}

/// A report's figures for clients that read no JSON.
pub(in crate::routes) fn headers(report: &ContextReport) -> HeaderMap {
    let headers = [
        ("x-context-budget", report.budget.budget),
        ("x-context-used", report.budget.used),
        ("x-context-remaining", report.budget.remaining),
        ("x-context-cached", report.cache.matched),
        ("x-context-edits", report.edits.len()),
    ];
    let headers =
        headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from(value)));
    headers.into_iter().collect()
}

impl Told {
    /// The same, and how the cache was used, if somebody asks to be told.
    pub(in crate::routes) fn explained_to(self, caller: Option<Caller>) -> Self {
        Self {
            explained: caller,
            ..self
        }
    }

    /// What the answer's record tells of the cache, if that was asked for.
    pub(in crate::routes) fn explain_cache(&self, app: &App, id: &str) -> Option<Value> {
        let caller = self.explained.as_ref()?;
        Some(cache::explained(app, caller, id))
    }

    /// Positions of the prompt's tokens that are compared.
    pub(in crate::routes) fn scored(&self) -> Vec<usize> {
        self.drift
            .as_ref()
            .map_or_else(Vec::new, DriftWatch::positions)
    }

    /// Compares how likely the model's earlier answers have become.
    pub(in crate::routes) fn judge(&mut self, app: &App, scored: &[PromptLogprob]) {
        let Some(watch) = self.drift.take() else {
            return;
        };
        if let Some(drift) = watch.judge(app.budgeter(), scored) {
            app.metrics().context().drifted(drift.nll_delta);
            if let Some(report) = &mut self.report {
                report.set_drift(watch.edit, &drift);
            }
        }
    }

    /// Puts itself into the first chunk of a stream.
    pub(in crate::routes) fn put_into(&self, chunk: &mut Value) {
        let report = self.report.as_ref().map(ToldReport::to_json);
        let fields = [
            ("context_management", &self.management),
            ("context_budget", &report),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                chunk[name] = value.clone();
            }
        }
    }
}
