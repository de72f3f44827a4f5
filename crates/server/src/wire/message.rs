//! What `/v1/messages` answers, in the shapes of Anthropic's Messages API.
//!
//! Source: <https://docs.anthropic.com/en/api/messages> and
//! <https://docs.anthropic.com/en/api/errors>.

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::error::ApiError;
use crate::answer::{Block, BlockKind, Finish, FinishedAs};

/// The field that asks the server to keep a conversation.
pub const THREAD: &str = "thread";

/// `message`.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// `msg_..`
    pub id: String,
    /// `message`
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `assistant`
    pub role: &'static str,
    /// The model's name.
    pub model: String,
    /// Blocks of the answer.
    pub content: Vec<Value>,
    /// Why it ended; `None` at the beginning of a stream.
    pub stop_reason: Option<&'static str>,
    /// The stop sequence that ended it.
    pub stop_sequence: Option<String>,
    /// What it cost.
    pub usage: MessageUsage,
    /// What was done to the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_management: Option<Value>,
    /// What was done to the context, in this server's terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_budget: Option<Value>,
    /// What was cached of the prompt, and why no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Value>,
}

/// Tokens. The prompt's are the sum of `input_tokens` and both kinds of cached ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MessageUsage {
    input_tokens: usize,
    cache_creation_input_tokens: usize,
    cache_read_input_tokens: usize,
    output_tokens: usize,
}

impl MessageUsage {
    /// `retained` tokens of the prompt are kept as its `cache_control` marks say; those among them
    /// that were not cached before are the ones created.
    pub fn new(prompt: usize, cached: usize, retained: usize, output: usize) -> Self {
        let created = retained.saturating_sub(cached);
        Self {
            input_tokens: prompt.saturating_sub(cached + created),
            cache_creation_input_tokens: created,
            cache_read_input_tokens: cached,
            output_tokens: output,
        }
    }
}

/// `stop_reason` and `stop_sequence` of an answer that had these stop sequences.
pub fn stop(finish: &Finish, stop_sequences: &[String]) -> (&'static str, Option<String>) {
    let sequence = finish
        .stop_string
        .and_then(|index| stop_sequences.get(index));
    match (finish.reason, sequence) {
        (FinishedAs::ToolCalls, _) => ("tool_use", None),
        (FinishedAs::Length, _) => ("max_tokens", None),
        (FinishedAs::Stop, Some(sequence)) => ("stop_sequence", Some(sequence.clone())),
        (FinishedAs::Stop, None) => ("end_turn", None),
    }
}

/// A complete block of `content`. `id` is that of a call, or the signature of reasoning: an opaque
/// text that clients send back with it.
pub fn content_block(block: &Block, id: &str) -> Value {
    let text = &block.text;
    match &block.kind {
        BlockKind::Text => json!({"type": "text", "text": text}),
        BlockKind::Reasoning => json!({"type": "thinking", "thinking": text, "signature": id}),
        BlockKind::Call(name) => {
            let input = block.arguments();
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
    }
}

/// A block as a stream begins it.
pub fn begun_block(kind: &BlockKind, id: &str) -> Value {
    match kind {
        BlockKind::Text => json!({"type": "text", "text": ""}),
        BlockKind::Reasoning => json!({"type": "thinking", "thinking": "", "signature": ""}),
        BlockKind::Call(name) => {
            json!({"type": "tool_use", "id": id, "name": name, "input": {}})
        }
    }
}

/// What a stream adds to a block.
pub fn block_delta(kind: &BlockKind, text: &str) -> Value {
    match kind {
        BlockKind::Text => json!({"type": "text_delta", "text": text}),
        BlockKind::Reasoning => json!({"type": "thinking_delta", "thinking": text}),
        BlockKind::Call(_) => json!({"type": "input_json_delta", "partial_json": text}),
    }
}

/// An error, which is also what an event stream carries.
pub fn error_body(error: &ApiError) -> Value {
    let kind = match error.status() {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        status if status.is_server_error() => "api_error",
        _ => "invalid_request_error",
    };
    let mut body = json!({"type": "error", "error": {"type": kind, "message": message(error)}});
    if error.param() == Some(THREAD) {
        // From this its clients see that they have to send whole conversations.
        body["error"]["details"] =
            json!({"error_code": "thread_unsupported_request", "unsupported": [THREAD]});
    }
    if let Some(table) = error.context_budget() {
        body["error"]["context_budget"] = table.clone();
    }
    body
}

/// Agents read from these very words that they have to compact their context.
fn message(error: &ApiError) -> String {
    let Some(exceeded) = error.exceeded() else {
        return error.message().to_owned();
    };
    let (prompt, output, window) = (exceeded.prompt, exceeded.output, exceeded.window);
    if prompt >= window {
        return format!("prompt is too long: {prompt} tokens > {window} maximum");
    }
    format!(
        "input length and `max_tokens` exceed context limit: {prompt} + {output} > {window}, decrease \
         input length or `max_tokens` and try again"
    )
}

#[cfg(test)]
mod tests {
    use context::WindowExceeded;

    use super::*;

    #[test]
    fn the_prompt_is_the_sum_of_three() {
        let usage = |prompt, cached, retained| {
            let usage = MessageUsage::new(prompt, cached, retained, 7);
            let sum = usage.input_tokens
                + usage.cache_creation_input_tokens
                + usage.cache_read_input_tokens;
            assert_eq!((sum, usage.output_tokens), (prompt, 7));
            (usage.input_tokens, usage.cache_creation_input_tokens)
        };
        assert_eq!(usage(100, 0, 0), (100, 0));
        assert_eq!(usage(100, 64, 0), (36, 0));
        assert_eq!(usage(100, 0, 96), (4, 96));
        assert_eq!(usage(100, 64, 96), (4, 32));
        assert_eq!(usage(100, 96, 64), (4, 0));
    }

    #[test]
    fn what_does_not_fit_is_said_as_agents_know_it() {
        let said = |prompt, output| {
            let error = ApiError::context_length(WindowExceeded {
                prompt,
                output,
                window: 100,
            });
            error_body(&error)["error"]["message"]
                .as_str()
                .map(str::to_owned)
        };
        let said = |prompt, output| said(prompt, output).expect("a message");
        assert_eq!(said(120, 1), "prompt is too long: 120 tokens > 100 maximum");
        assert!(said(90, 20).contains("exceed context limit: 90 + 20 > 100"));
    }
}
