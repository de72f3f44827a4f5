//! What `/v1/responses` answers, in the shapes of OpenAI's Responses API.
//!
//! Source: <https://platform.openai.com/docs/api-reference/responses>.

use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{Block, BlockKind, Finish, FinishedAs};

/// Tokens that a response has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResponseUsage {
    input_tokens: usize,
    input_tokens_details: InputDetails,
    output_tokens: usize,
    output_tokens_details: OutputDetails,
    total_tokens: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct InputDetails {
    cached_tokens: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct OutputDetails {
    reasoning_tokens: usize,
}

impl ResponseUsage {
    /// `reasoning` of the output tokens were reasoning.
    pub fn new(input: usize, cached: usize, output: usize, reasoning: usize) -> Self {
        Self {
            input_tokens: input,
            input_tokens_details: InputDetails {
                cached_tokens: cached,
            },
            output_tokens: output,
            output_tokens_details: OutputDetails {
                reasoning_tokens: reasoning,
            },
            total_tokens: input + output,
        }
    }
}

/// Ids of an item of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemIds {
    /// The item's own.
    pub item: String,
    /// A call's.
    pub call: String,
}

/// An item of `output`, with its text so far.
pub fn item(block: &Block, ids: &ItemIds, status: &str) -> Value {
    let text = &block.text;
    match &block.kind {
        BlockKind::Reasoning => json!({"id": ids.item, "type": "reasoning", "summary": [],
            "content": content(block), "status": status}),
        BlockKind::Text => json!({"id": ids.item, "type": "message", "status": status,
            "role": "assistant", "content": content(block)}),
        BlockKind::Call(name) => json!({"id": ids.item, "type": "function_call", "status": status,
            "call_id": ids.call, "name": name, "arguments": text}),
    }
}

/// The one part of an item's content.
pub fn part(kind: &BlockKind, text: &str) -> Value {
    match kind {
        BlockKind::Reasoning => json!({"type": "reasoning_text", "text": text}),
        BlockKind::Text | BlockKind::Call(_) => {
            json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
        }
    }
}

fn content(block: &Block) -> Value {
    if block.text.is_empty() {
        return json!([]);
    }
    json!([part(&block.kind, &block.text)])
}

/// `status` and `incomplete_details` of a response that has ended.
pub fn status(finish: &Finish) -> (&'static str, Value) {
    match finish.reason {
        FinishedAs::Length => ("incomplete", json!({"reason": "max_output_tokens"})),
        FinishedAs::Stop | FinishedAs::ToolCalls => ("completed", Value::Null),
    }
}

/// The answer as a message of a chat, for the turn that follows.
pub fn as_message(output: &[(Block, ItemIds)]) -> Value {
    let of = |wanted: BlockKind| {
        let blocks = output.iter().filter(move |(block, _)| block.kind == wanted);
        blocks
            .map(|(block, _)| block.text.as_str())
            .collect::<Vec<_>>()
    };
    let calls = output.iter().filter_map(|(block, ids)| match &block.kind {
        BlockKind::Call(name) => Some(json!({"id": ids.call, "type": "function",
            "function": {"name": name, "arguments": block.text}})),
        BlockKind::Reasoning | BlockKind::Text => None,
    });
    let calls: Vec<Value> = calls.collect();
    let (text, reasoning) = (of(BlockKind::Text).concat(), of(BlockKind::Reasoning));
    let mut message = json!({"role": "assistant", "content": text});
    if !reasoning.is_empty() {
        message["reasoning_content"] = reasoning.join("\n\n").into();
    }
    if !calls.is_empty() {
        if text.is_empty() {
            message["content"] = Value::Null;
        }
        message["tool_calls"] = calls.into();
    }
    message
}
