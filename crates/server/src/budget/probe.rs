//! Asking the engine what its cache holds.

use context::CostModel;
use engine::{CacheProbe, ProbeError, ProbePrompt, ProbeRequest, TokenId};
use tokio::sync::oneshot;

use crate::app::App;
use crate::wire::context_plan::QueueReport;
use crate::wire::error::ApiError;

/// KV blocks in use from which on a token that stays has a price.
const PRESSURE_START: f64 = 0.8;

/// What the cache holds of `prompts` under `salt`, and what computing costs.
///
/// # Errors
/// When too many ask, or the server stops.
pub(super) async fn ask(
    app: &App,
    prompts: Vec<Vec<u32>>,
    salt: &[u8],
    priority: i32,
) -> Result<CacheProbe, ApiError> {
    let (answer, receiver) = oneshot::channel();
    let prompts = prompts.into_iter().map(|tokens| ProbePrompt {
        tokens: tokens.into_iter().map(TokenId).collect(),
        cache_salt: salt.to_vec(),
    });
    app.engine().probe(ProbeRequest {
        prompts: prompts.collect(),
        priority,
        // Nobody listens any more when the client has gone.
        sink: Box::new(move |probe| drop(answer.send(probe))),
    })?;
    receiver.await.map_err(|_| ProbeError::ShuttingDown.into())
}

/// What the engine computes before a request that comes now.
pub(super) fn queue(probe: &CacheProbe) -> QueueReport {
    let (waiting, step) = (probe.queued_uncached_tokens, probe.max_num_batched_tokens);
    QueueReport {
        running_requests: probe.running,
        uncached_tokens: waiting,
        predicted_ms: probe.step_costs.prefill_seconds(waiting, 0, step) * 1e3,
    }
}

/// The planner's view of what a probe says. `residency_seconds` is the price of a thousand tokens
/// that stay for a turn when the cache is full; it falls to 0 at four fifths.
pub(super) fn cost_model(probe: &CacheProbe, residency_seconds: f64) -> CostModel {
    let over = (probe.pressure() - PRESSURE_START).max(0.0) / (1.0 - PRESSURE_START);
    CostModel {
        per_step: probe.step_costs.per_step,
        per_token: probe.step_costs.per_token,
        per_pair: probe.step_costs.per_pair,
        step_tokens: probe.max_num_batched_tokens,
        residency: residency_seconds / 1_000.0 * over,
    }
}
