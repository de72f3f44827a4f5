//! What `/v1/requests` tells of a request.

use std::time::Duration;

use serde_json::{Map, Value, json};
use text::Tokenizer;

use super::usage::Usage;
use crate::records::{Divergence, Explanation, Passage, Record, RecordStore, State};

/// A record in JSON. Figures that are not known yet are `null`.
pub fn record(record: &Record, store: &RecordStore, tokenizer: &Tokenizer) -> Value {
    let origin = &record.origin;
    let progress = record.progress();
    let finish_reason = match progress.state {
        State::Finished(reason) => Some(reason),
        _ => None,
    };
    let usage = Usage::new(
        record.prompt_tokens,
        progress.cached_tokens.unwrap_or(0),
        progress.completion_tokens,
    );
    let ending = progress.ending;
    json!({
        "id": origin.id,
        "object": "request",
        "created": origin.created,
        "endpoint": origin.endpoint,
        "stream": origin.stream,
        "state": progress.state.name(),
        "finish_reason": finish_reason,
        "usage": usage,
        "timing": {
            "queue_ms": progress.queue.map(ms),
            "prefill_ms": ending.map(|ending| ms(ending.prefill)),
            "ttft_ms": progress.ttft.map(ms),
            "predicted_ttft_ms": progress.predicted_ttft.map(ms),
            "decode_ms": ending.map(|ending| ms(ending.decode)),
            "e2e_ms": progress.e2e.map(ms),
        },
        "preemptions": ending.map(|ending| ending.preemptions),
        "recomputed_tokens": ending.map(|ending| ending.recomputed_tokens),
        "cache": cache(record, store, tokenizer),
    })
}

/// What was cached of a request's prompt, and why no more; `null` before its admission.
pub fn cache(record: &Record, store: &RecordStore, tokenizer: &Tokenizer) -> Value {
    let progress = record.progress();
    let Some(matched) = progress.cached_tokens else {
        return Value::Null;
    };
    let block_size = store.block_size();
    let miss = Explanation::of(record, store, tokenizer);
    json!({
        "block_size": block_size,
        "matched_tokens": matched,
        "matched_blocks": matched / block_size,
        "uncached_tokens": record.prompt_tokens - matched,
        "restored_tokens": progress.restored_tokens,
        "retained_tokens": progress.retained_tokens,
        "miss": miss.as_ref().map(explanation),
    })
}

fn explanation(miss: &Explanation) -> Value {
    let mut told = json!({
        "reason": miss.reason.name(),
        "explanation": miss.sentence(),
        "token": miss.token,
        "block": miss.block,
        "here": miss.here.as_ref().map(passage),
        "diverged_from": miss.divergence.as_ref().map(divergence),
    });
    if let Some(ago) = miss.evicted_ago {
        told["evicted"] = json!({
            "ms_before_admission": ms(ago),
            "class": if miss.was_retained { "retained" } else { "normal" },
            "for_request": miss.evicted_for,
        });
    }
    told
}

fn divergence(divergence: &Divergence) -> Value {
    json!({
        "id": divergence.id,
        "shared_tokens": divergence.shared_tokens,
        "here": divergence.here.as_ref().map(passage),
        "there": divergence.there.as_ref().map(passage),
    })
}

/// A token among its neighbours.
pub fn passage(passage: &Passage) -> Value {
    let mut fields = Map::new();
    fields.insert("token_id".to_owned(), json!(passage.token_id));
    for (name, text) in [
        ("text", &passage.text),
        ("before", &passage.before),
        ("after", &passage.after),
    ] {
        fields.insert(name.to_owned(), json!(text));
    }
    Value::Object(fields)
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
