//! Messages of an episode.

use serde_json::{Value, json};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// One message, in what OpenAI's shape says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) content: String,
    /// The call that an assistant's message makes.
    pub(super) call: Option<ToolCall>,
    /// The call that a tool's message answers.
    pub(super) call_id: Option<String>,
    /// A document that was retrieved, which a client could tell the server.
    pub(super) retrieved: bool,
}

/// A call of a tool with one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) name: &'static str,
    /// Name of the argument.
    pub(super) parameter: &'static str,
    pub(super) argument: String,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

impl Message {
    pub(super) fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            call: None,
            call_id: None,
            retrieved: false,
        }
    }

    /// OpenAI's shape.
    pub(super) fn to_json(&self) -> Value {
        let mut json = json!({"role": self.role.name(), "content": self.content});
        if let Some(call) = &self.call {
            let arguments = json!({call.parameter: call.argument});
            json["tool_calls"] = json!([{
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": arguments.to_string()},
            }]);
        }
        if let Some(id) = &self.call_id {
            json["tool_call_id"] = json!(id);
        }
        json
    }
}

/// Messages in OpenAI's shape.
pub(super) fn to_json<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Value {
    messages.into_iter().map(Message::to_json).collect()
}
