//! What an agent has said and read so far.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::measure::client::StreamAnswer;

/// As what a text is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    User,
    Tool,
}

/// The messages of one agent: a system prompt and a task, then in each turn what the server answered
/// and the result of the tool. The prefix of a request is the one before it, word for word.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    messages: Vec<Value>,
    /// Identifiers of the calls that the last answer made.
    open_calls: Vec<String>,
    /// Of these, without the arguments that the model wrote.
    broken_calls: usize,
}

impl Conversation {
    pub(super) fn new(system: &Value) -> Self {
        Self {
            messages: vec![json!({"role": "system", "content": system})],
            open_calls: Vec::new(),
            broken_calls: 0,
        }
    }

    pub(super) fn messages(&self) -> &[Value] {
        &self.messages
    }

    /// Calls of the last answer whose arguments are not repeated, because they are no JSON object.
    pub(super) fn broken_calls(&self) -> usize {
        self.broken_calls
    }

    /// Adds the task, or a tool's result: as the result of the calls that the last answer made, where
    /// it made any, else as a message of the user, as agents without tool calling do it.
    pub(super) fn read(&mut self, text: &Value) -> Role {
        if self.open_calls.is_empty() {
            self.messages.push(json!({"role": "user", "content": text}));
            return Role::User;
        }
        // The first call gets the text; the others must have a result, too.
        for (index, call) in self.open_calls.drain(..).enumerate() {
            let content = if index == 0 { text } else { &Value::from("") };
            let result = json!({"role": "tool", "tool_call_id": call, "content": content});
            self.messages.push(result);
        }
        Role::Tool
    }

    /// Adds what the server answered.
    pub(super) fn hear(&mut self, answer: &StreamAnswer) {
        let mut message = Map::new();
        message.insert("role".to_owned(), json!("assistant"));
        let calls = &answer.tool_calls;
        // A message that calls tools may be without text, any other may not.
        let content = match answer.text.is_empty() && !calls.is_empty() {
            true => Value::Null,
            false => Value::from(answer.text.as_str()),
        };
        message.insert("content".to_owned(), content);
        if !answer.reasoning.is_empty() {
            let reasoning = Value::from(answer.reasoning.as_str());
            message.insert("reasoning_content".to_owned(), reasoning);
        }
        if !calls.is_empty() {
            message.insert("tool_calls".to_owned(), calls.to_json());
        }
        self.broken_calls = calls.broken();
        self.open_calls = calls.ids().map(str::to_owned).collect();
        self.messages.push(Value::Object(message));
    }
}

#[cfg(test)]
mod tests;
