//! What `POST /v1/context/plan` answers.

use serde::Serialize;
use serde_json::{Value, json};

use super::context_report::{ContextReport, ImportanceReport};

/// What would be computed before the request, if it came now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct QueueReport {
    /// Requests that run.
    pub running_requests: usize,
    /// Tokens that waiting requests have to compute first.
    pub uncached_tokens: usize,
    /// Milliseconds that those take alone.
    pub predicted_ms: f64,
}

/// One of the plans that were compared.
#[derive(Clone, Debug, Serialize)]
pub struct PointReport {
    /// Number of its edits.
    pub edits: usize,
    /// Position of the first token that it changes.
    pub position: usize,
    /// Sum of losses.
    pub loss: f64,
    /// Tokens to compute.
    pub prefill_tokens: usize,
    /// Milliseconds for that.
    pub prefill_ms: f64,
    /// Tokens of the prompt.
    pub tokens: usize,
}

/// A part of the prompt as it stands before this plan's edits.
#[derive(Clone, Debug, Serialize)]
pub struct SegmentReport {
    /// What it is, as edits name it.
    #[serde(rename = "ref")]
    pub target: Value,
    /// Its zone.
    pub zone: String,
    /// Its tokens.
    pub tokens: usize,
    /// How much it matters, and why.
    pub importance: ImportanceReport,
}

/// `context.plan` of `model`: the figures that decide whether to send a request, then everything.
/// `is_exact` is whether the edits are known down to their text.
pub fn plan(
    model: &str,
    report: &ContextReport,
    queue: QueueReport,
    is_exact: bool,
    frontier: Option<Vec<PointReport>>,
    segments: Option<Vec<SegmentReport>>,
) -> Value {
    let cost = &report.cost;
    // Choosing the first token is part of the last step that computes the prompt.
    let ttft_ms = cost.rendering_ms + cost.planning_ms + cost.predicted_prefill_ms;
    let mut plan = json!({
        "object": "context.plan",
        "model": model,
        "plan_id": report.plan_id,
        "is_exact": is_exact,
        "cached_tokens": report.cache.matched,
        "predicted_prefill_tokens": report.cache.prefilled,
        "predicted_prefill_ms": cost.predicted_prefill_ms,
        "predicted_ttft_ms": ttft_ms,
        "queue": queue,
        "context_budget": report.to_json(true),
    });
    if let Some(frontier) = frontier {
        plan["frontier"] = json!(frontier);
    }
    if let Some(segments) = segments {
        plan["segments"] = json!(segments);
    }
    plan
}
