//! What `/v1/chat/completions` answers.

use serde::Serialize;
use serde_json::{Value, json};
use text::Tokenizer;

use super::usage::Usage;
use crate::answer::{Part, TokenPiece};

/// `chat.completion`.
#[derive(Clone, Debug, Serialize)]
pub struct ChatCompletion {
    /// `chatcmpl-..`
    pub id: String,
    /// `chat.completion`
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// The model's name.
    pub model: String,
    /// The answers.
    pub choices: Vec<ChatChoice>,
    /// What they cost.
    pub usage: Usage,
    /// What was done to the context, in Anthropic's terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_management: Option<Value>,
    /// What was done to the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_budget: Option<Value>,
    /// What was cached of the prompt, and why no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Value>,
}

/// One answer.
#[derive(Clone, Debug, Serialize)]
pub struct ChatChoice {
    /// Its number.
    pub index: usize,
    /// What the model said.
    pub message: AssistantMessage,
    /// Log probabilities, when asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended.
    pub finish_reason: &'static str,
}

/// What the model said.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AssistantMessage {
    role: Assistant,
    /// `null` when there is nothing but tool calls.
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
enum Assistant {
    #[default]
    Assistant,
}

/// A call of a tool.
#[derive(Clone, Debug, Serialize)]
pub struct ToolCall {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: FunctionCall,
}

#[derive(Clone, Debug, Serialize)]
struct FunctionCall {
    name: String,
    arguments: String,
}

/// Log probabilities of an answer's tokens.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ChatLogprobs {
    /// One entry per token.
    pub content: Vec<Value>,
    refusal: Option<Value>,
}

impl AssistantMessage {
    /// Adds a piece of the answer; `new_id` names a call that begins.
    pub fn add(&mut self, part: Part, new_id: impl FnOnce() -> String) {
        match part {
            Part::Content(text) => self.content.get_or_insert_default().push_str(&text),
            Part::Reasoning(text) => {
                let reasoning = self.reasoning_content.get_or_insert_default();
                reasoning.push_str(&text);
            }
            Part::CallStart { name, .. } => self.tool_calls.push(ToolCall {
                id: new_id(),
                kind: "function",
                function: FunctionCall {
                    name,
                    arguments: String::new(),
                },
            }),
            Part::ArgumentsDelta { index, text } => {
                if let Some(call) = self.tool_calls.get_mut(index) {
                    call.function.arguments.push_str(&text);
                }
            }
        }
    }

    /// The answer is complete: no text and no call is an empty text, and white space around calls
    /// is not text.
    pub fn complete(&mut self) {
        let blank = self
            .content
            .as_deref()
            .is_none_or(|text| text.trim().is_empty());
        if self.tool_calls.is_empty() {
            self.content.get_or_insert_default();
        } else if blank {
            self.content = None;
        }
    }
}

/// A piece of an answer as a stream's `delta`; `new_id` names a call that begins.
pub fn delta(part: &Part, new_id: impl FnOnce() -> String) -> Value {
    match part {
        Part::Content(text) => json!({"content": text}),
        Part::Reasoning(text) => json!({"reasoning_content": text}),
        Part::CallStart { index, name } => json!({"tool_calls": [{
            "index": index,
            "id": new_id(),
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }]}),
        Part::ArgumentsDelta { index, text } => json!({"tool_calls": [{
            "index": index,
            "function": {"arguments": text},
        }]}),
    }
}

/// A token's entry in `logprobs.content`.
pub fn logprob_entry(tokenizer: &Tokenizer, piece: &TokenPiece) -> Value {
    let entry = |token: u32, logprob: f32| {
        json!({
            "token": tokenizer.token_text(token),
            "logprob": finite(logprob),
            "bytes": tokenizer.token_bytes(token),
        })
    };
    let mut content = entry(piece.token, piece.logprobs.chosen);
    let top = piece
        .logprobs
        .top
        .iter()
        .map(|&(token, logprob)| entry(token.0, logprob));
    content["top_logprobs"] = Value::Array(top.collect());
    content
}

/// JSON has no infinities; OpenAI writes -9999 for a token of no probability.
pub fn finite(logprob: f32) -> f32 {
    if logprob.is_finite() {
        logprob
    } else {
        -9_999.0
    }
}
