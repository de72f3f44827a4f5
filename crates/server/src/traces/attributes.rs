//! What spans say of a request. Never what stands in it.
//!
//! Names are those of OpenTelemetry's semantic conventions for HTTP servers and for generative AI
//! (<https://github.com/open-telemetry/semantic-conventions-genai>), those that vLLM gave
//! before there were any (`gen_ai.latency.*`, `gen_ai.request.id`, `gen_ai.usage.prompt_tokens`),
//! and our own (`purser.*`). Times are seconds.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use opentelemetry::{Array, KeyValue, StringValue, Value};

use super::request::Part;
use crate::records::{State, cause_name};
use crate::validate::sampling::Generation;

/// What is known when a request arrives.
pub(super) fn of_http(request: &Request) -> Vec<KeyValue> {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("", MatchedPath::as_str).to_owned();
    let operation = match route.as_str() {
        "/v1/chat/completions" => "chat",
        "/v1/completions" => "text_completion",
        _ => "warm",
    };
    let id = request.headers().get("x-request-id");
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    vec![
        KeyValue::new("http.request.method", request.method().to_string()),
        KeyValue::new("http.route", route),
        KeyValue::new("http.request.header.x-request-id", strings([id.to_owned()])),
        KeyValue::new("gen_ai.operation.name", operation),
        KeyValue::new("gen_ai.provider.name", "purser"),
    ]
}

/// What is asked, once it is checked.
pub(super) fn of_generation(model: &str, generation: &Generation) -> Vec<KeyValue> {
    let sampling = &generation.sampling;
    let mut told = vec![
        KeyValue::new("gen_ai.request.model", model.to_owned()),
        KeyValue::new("gen_ai.response.model", model.to_owned()),
        KeyValue::new("gen_ai.request.n", count(generation.n)),
        KeyValue::new("gen_ai.request.stream", generation.stream),
        KeyValue::new("gen_ai.request.temperature", number(sampling.temperature)),
        KeyValue::new("gen_ai.request.top_p", number(sampling.top_p)),
    ];
    if generation.n != 1 {
        let answers = KeyValue::new("gen_ai.request.choice.count", count(generation.n));
        told.push(answers);
    }
    if let Some(max_tokens) = generation.max_tokens {
        told.push(KeyValue::new(
            "gen_ai.request.max_tokens",
            count(max_tokens),
        ));
    }
    if let Some(seed) = generation.seed.and_then(|seed| i64::try_from(seed).ok()) {
        told.push(KeyValue::new("gen_ai.request.seed", seed));
    }
    told
}

/// What an answer has cost: the same as its `usage`. `n` requests to the engine share a prompt.
pub(super) fn of_usage(parts: &[Part], n: usize) -> Vec<KeyValue> {
    let firsts = || parts.iter().step_by(n);
    let input: usize = firsts().map(|part| part.record.prompt_tokens).sum();
    let cached: usize = firsts()
        .filter_map(|part| part.progress.cached_tokens)
        .sum();
    let output: usize = parts
        .iter()
        .map(|part| part.progress.completion_tokens)
        .sum();
    vec![
        KeyValue::new("gen_ai.usage.input_tokens", count(input)),
        KeyValue::new("gen_ai.usage.output_tokens", count(output)),
        KeyValue::new("gen_ai.usage.cache_read.input_tokens", count(cached)),
        KeyValue::new("gen_ai.usage.prompt_tokens", count(input)),
        KeyValue::new("gen_ai.usage.completion_tokens", count(output)),
    ]
}

/// Why the answers ended, one each; those that have none are left out.
pub(super) fn of_ends(parts: &[Part]) -> KeyValue {
    let reasons = parts.iter().filter_map(|part| match part.progress.state {
        State::Finished(reason) => Some(reason.to_owned()),
        _ => None,
    });
    KeyValue::new("gen_ai.response.finish_reasons", strings(reasons))
}

/// The answer's name.
pub(super) fn of_answer(first: &Part) -> Vec<KeyValue> {
    let id = &first.record.origin.id;
    vec![
        KeyValue::new("gen_ai.response.id", id.clone()),
        KeyValue::new("gen_ai.request.id", id.clone()),
    ]
}

/// What became of a request to the engine: the same as `GET /v1/requests/{id}` tells.
pub(super) fn of_part(part: &Part) -> Vec<KeyValue> {
    let progress = &part.progress;
    let mut told = vec![KeyValue::new(
        "purser.request.id",
        part.record.origin.id.clone(),
    )];
    let ending = progress.ending.as_ref();
    let inference = ending.map(|ending| ending.prefill + ending.decode);
    let times = [
        ("gen_ai.latency.time_in_queue", progress.queue),
        ("gen_ai.latency.time_to_first_token", progress.ttft),
        ("gen_ai.latency.e2e", progress.e2e),
        (
            "gen_ai.latency.time_in_model_prefill",
            ending.map(|ending| ending.prefill),
        ),
        (
            "gen_ai.latency.time_in_model_decode",
            ending.map(|ending| ending.decode),
        ),
        ("gen_ai.latency.time_in_model_inference", inference),
        (
            "purser.latency.predicted_time_to_first_token",
            progress.predicted_ttft,
        ),
    ];
    told.extend(
        times
            .into_iter()
            .filter_map(|(name, time)| time.map(|time| seconds(name, time))),
    );
    let admitted = progress.cached_tokens.is_some();
    let counts = [
        ("purser.cache.cached_tokens", progress.cached_tokens),
        (
            "purser.cache.restored_tokens",
            admitted.then_some(progress.restored_tokens),
        ),
        (
            "purser.cache.retained_tokens",
            admitted.then_some(progress.retained_tokens),
        ),
        (
            "purser.preemptions",
            ending.map(|ending| ending.preemptions as usize),
        ),
        (
            "purser.recomputed_tokens",
            ending.map(|ending| ending.recomputed_tokens),
        ),
    ];
    told.extend(
        counts
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| KeyValue::new(name, count(value)))),
    );
    if let Some(miss) = progress.miss {
        let cause = cause_name(miss.cause);
        told.push(KeyValue::new("purser.cache.miss_cause", cause));
    }
    told
}

/// A time in seconds.
pub(super) fn seconds(name: &'static str, time: Duration) -> KeyValue {
    KeyValue::new(name, time.as_secs_f64())
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The shortest number that is the same in 32 bits: 0.7, not 0.699999988.
fn number(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn strings(values: impl IntoIterator<Item = String>) -> Value {
    let values = values.into_iter().map(StringValue::from).collect();
    Value::Array(Array::String(values))
}
