//! Answers that no model gives: the request does not fit, and the client wants to be told so in
//! words.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{ENDPOINT, envelope};
use crate::answer::Part;
use crate::app::App;
use crate::routes::exchange::{Refusal, Told, ToldReport};
use crate::routes::identity::Identity;
use crate::sse;
use crate::validate::sampling::Generation;
use crate::wire::chat::{AssistantMessage, ChatChoice, ChatCompletion};
use crate::wire::usage::Usage;

/// Nothing was computed.
const USAGE: Usage = Usage::new(0, 0, 0);

/// The answer, at once or as a stream; the report is in it whatever the client wants of reports.
/// Who asks for edits is told that there were none.
pub(super) fn answer(app: &App, refusal: Refusal) -> Response {
    let generation = refusal.generation.clone();
    let identity = refusal.identity(ENDPOINT, app);
    let (message, told) = refusal.into_answer();
    let message = &message;
    if !generation.stream {
        let completion = completion(identity, generation.n, message, &told);
        return (told.headers, Json(completion)).into_response();
    }
    let chunks = chunks(&identity, &generation, message, &told);
    let keep_alive = app.limits().keep_alive;
    let mut response = sse::response(futures::stream::iter(chunks), keep_alive);
    response.headers_mut().extend(told.headers);
    response
}

fn completion(identity: Identity, n: usize, text: &str, told: &Told) -> ChatCompletion {
    let choice = |index| {
        let mut message = AssistantMessage::default();
        message.add(Part::Content(text.to_owned()), Identity::call);
        ChatChoice {
            index,
            message,
            logprobs: None,
            finish_reason: "stop",
        }
    };
    let Identity { id, created, model } = identity;
    ChatCompletion {
        id,
        object: "chat.completion",
        created,
        model,
        choices: (0..n).map(choice).collect(),
        usage: USAGE,
        context_management: told.management.clone(),
        context_budget: told.report.as_ref().map(ToldReport::to_json),
        cache: None,
    }
}

fn chunks(identity: &Identity, generation: &Generation, text: &str, told: &Told) -> Vec<String> {
    let deltas = [
        (json!({"role": "assistant", "content": ""}), None),
        (json!({"content": text}), None),
        (json!({}), Some("stop")),
    ];
    let include_usage = generation.include_usage;
    let mut chunks: Vec<Value> = Vec::new();
    for (delta, reason) in deltas {
        for index in 0..generation.n {
            let choices = json!([{"index": index, "delta": delta, "logprobs": null,
                "finish_reason": reason}]);
            chunks.push(envelope(identity, include_usage, &choices));
        }
    }
    told.put_into(&mut chunks[0]);
    if include_usage {
        let mut last = envelope(identity, include_usage, &json!([]));
        last["usage"] = json!(USAGE);
        chunks.push(last);
    }
    let chunks = chunks.iter().map(Value::to_string);
    chunks.chain([sse::DONE.to_owned()]).collect()
}
