//! What `POST /v1/context/count` answers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::context_report::{DeferredTool, Warning};

/// `context.count`: the tokens of a prompt, and whose they are.
///
/// `tokens` is `template_overhead` and the sum over `zones`; it is also `template_overhead` and the
/// sum over `system`, `messages`, `tools` and `documents`.
#[derive(Clone, Debug, Serialize)]
pub struct ContextCount {
    /// `context.count`
    pub object: &'static str,
    /// The model's name.
    pub model: String,
    /// Tokens of the prompt.
    pub tokens: usize,
    /// Tokens by zone.
    pub zones: BTreeMap<String, usize>,
    /// Tokens of a system prompt that stands beside the messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<usize>,
    /// Tokens by message, in order.
    pub messages: Vec<MessageCount>,
    /// Tokens by tool, in order.
    pub tools: Vec<ToolCount>,
    /// Tokens by document of the template's list, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentCount>,
    /// Tools that are not in the prompt, with the tokens that they would add; in none of the sums.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deferred_tools: Vec<DeferredTool>,
    /// Tokens that belong to none of them: what the chat template writes around them.
    pub template_overhead: usize,
    /// Tokens from the beginning that are cached now.
    pub cached_tokens: usize,
    /// Whether all these were told apart exactly; `tokens` is exact either way.
    pub is_exact: bool,
    /// What the client should know.
    pub warnings: Vec<Warning>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MessageCount {
    /// Its number, from 0.
    pub index: usize,
    /// Who speaks.
    pub role: String,
    /// Its tokens: text, reasoning, calls.
    pub tokens: usize,
}

/// One tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToolCount {
    /// Its name.
    pub name: String,
    /// Tokens of its definition.
    pub tokens: usize,
    /// The last turn in which it was called; a turn begins with a user message, and the first one
    /// is 1. `None` if it never was: what such a tool costs, it has not been worth yet.
    pub last_used_turn: Option<usize>,
}

/// One document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DocumentCount {
    /// Its number, from 0.
    pub index: usize,
    /// Its tokens.
    pub tokens: usize,
}
