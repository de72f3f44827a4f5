//! What a chunk of a streamed completion says, in any server's dialect.

use serde::Deserialize;
use serde_json::Value;

use super::tool_calls::{CallPiece, ToolCalls};

/// The body of one event, of `/v1/completions` or of `/v1/chat/completions`.
#[derive(Debug, Deserialize)]
pub(crate) struct StreamChunk {
    /// The server's name for the answer; a text, where it follows OpenAI.
    pub(crate) id: Option<Value>,
    choices: Option<Vec<Choice>>,
    usage: Option<WireUsage>,
    timings: Option<Timings>,
    /// An error in the middle of the stream; servers disagree about its shape.
    pub(crate) error: Option<Value>,
    /// The report of the context budgeter, on one chunk of a stream or on several.
    pub(crate) context_budget: Option<Value>,
}

/// Counts of one answer, in tokens, where the server reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) cached_tokens: Option<u64>,
    pub(crate) completion_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    text: Option<String>,
    delta: Option<Delta>,
    finish_reason: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Delta {
    content: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    tool_calls: Option<Vec<CallPiece>>,
}

#[derive(Debug, Deserialize)]
struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptTokensDetails>,
}

#[derive(Debug, Deserialize)]
struct PromptTokensDetails {
    cached_tokens: Option<u64>,
}

/// llama.cpp's own counts: `cache_n` prompt tokens were found in the cache, `prompt_n` computed.
#[derive(Debug, Deserialize)]
struct Timings {
    cache_n: Option<u64>,
}

impl StreamChunk {
    /// Whether a token was computed for this chunk.
    ///
    /// The role that opens a chat stream is not one: many servers send it before they compute. A
    /// finish reason is one: the first token may end the answer, or be an incomplete character.
    pub(crate) fn has_token(&self) -> bool {
        let finished = |choice: &Choice| {
            let reason = choice.finish_reason.as_ref();
            reason.is_some_and(|reason| !reason.is_null())
        };
        self.has_content() || self.choices.iter().flatten().any(finished)
    }

    /// Whether the chunk adds to the answer. The last one may only say why it ended.
    pub(crate) fn has_content(&self) -> bool {
        self.choices.iter().flatten().any(|choice| {
            filled(&choice.text) || choice.delta.as_ref().is_some_and(Delta::has_token)
        })
    }

    /// Appends the text that this chunk adds to the answer.
    pub(crate) fn add_text_to(&self, text: &mut String) {
        for choice in self.choices.iter().flatten() {
            let said = choice
                .delta
                .as_ref()
                .and_then(|delta| delta.content.as_ref());
            text.extend(choice.text.as_deref().or(said.map(String::as_str)));
        }
    }

    /// Appends the thoughts that this chunk adds to the answer.
    pub(crate) fn add_reasoning_to(&self, reasoning: &mut String) {
        for delta in self.deltas() {
            let thought = delta.reasoning_content.as_ref();
            reasoning.extend(thought.or(delta.reasoning.as_ref()).map(String::as_str));
        }
    }

    /// Adds the pieces of tool calls in this chunk.
    pub(crate) fn add_calls_to(&self, calls: &mut ToolCalls) {
        for delta in self.deltas() {
            for piece in delta.tool_calls.iter().flatten() {
                calls.add(piece);
            }
        }
    }

    fn deltas(&self) -> impl Iterator<Item = &Delta> {
        let choices = self.choices.iter().flatten();
        choices.filter_map(|choice| choice.delta.as_ref())
    }

    /// Fills in what this chunk reports.
    pub(crate) fn add_to(&self, usage: &mut Usage) {
        let cache_n = self.timings.as_ref().and_then(|timings| timings.cache_n);
        usage.cached_tokens = usage.cached_tokens.or(cache_n);
        let Some(wire) = &self.usage else { return };
        let cached = wire
            .prompt_tokens_details
            .as_ref()
            .and_then(|details| details.cached_tokens);
        // Some servers send running counts with every chunk: the last ones stand.
        usage.cached_tokens = cached.or(usage.cached_tokens);
        usage.prompt_tokens = wire.prompt_tokens.or(usage.prompt_tokens);
        usage.completion_tokens = wire.completion_tokens.or(usage.completion_tokens);
    }
}

impl Delta {
    fn has_token(&self) -> bool {
        filled(&self.content)
            || filled(&self.reasoning_content)
            || filled(&self.reasoning)
            || self
                .tool_calls
                .as_ref()
                .is_some_and(|calls| !calls.is_empty())
    }
}

fn filled(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
