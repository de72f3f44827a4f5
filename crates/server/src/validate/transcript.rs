//! The messages of a request on their way to the chat template.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::anthropic::{Block, block};
use super::budget::Target;
use super::fields::wrong_type;
use super::messages::{check_role, check_text, check_tool_calls};
use super::notes::{Mark, MarkPlace, Noted, Notes};
use crate::budget::place::Place;
use crate::wire::error::ApiError;

/// Checked messages in OpenAI's shape, and what was noted of them. A message in Anthropic's shape
/// may become several.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    pub(super) messages: Vec<Value>,
    pub(super) notes: Notes,
    /// The field that the messages stand in.
    field: Option<&'static str>,
    /// Ids of the calls so far.
    calls: BTreeSet<String>,
}

/// Parts that stay in their message.
#[derive(Default)]
struct Kept {
    parts: Vec<(Value, Noted, bool)>,
    calls: Vec<(Value, Noted)>,
    reasoning: Vec<String>,
    /// Whether a part was not a text of OpenAI's shape.
    is_translated: bool,
    num_redacted: usize,
}

impl Transcript {
    /// Of messages that stand in another field than `messages`.
    pub(super) fn of(field: &'static str) -> Self {
        Self {
            field: Some(field),
            ..Self::default()
        }
    }

    /// Adds a message of an earlier request, which was checked then.
    pub(super) fn push_earlier(&mut self, message: Value) {
        self.add(None, message);
    }

    /// Adds the system prompt of a request that has it outside of its messages.
    ///
    /// # Errors
    /// The first wrong block.
    pub(super) fn push_system(&mut self, content: Value) -> Result<(), ApiError> {
        let mut message = Map::new();
        message.insert("role".to_owned(), Value::from("system"));
        match content {
            Value::Array(parts) => self.read_parts(None, "system", "system", message, parts),
            text => {
                message.insert("content".to_owned(), text);
                self.add(None, Value::Object(message));
                Ok(())
            }
        }
    }

    /// Adds the message that has the number `index` in the request.
    ///
    /// # Errors
    /// What is wrong with it, by its path.
    pub(super) fn push(&mut self, index: usize, message: Value) -> Result<(), ApiError> {
        let path = format!("{}[{index}]", self.field.unwrap_or("messages"));
        let Value::Object(mut message) = message else {
            return Err(wrong_type(&path, "an object", &message));
        };
        let role = check_role(&path, &message)?;
        self.notes.roles.push(role.clone());
        let calls = message.get("tool_calls").filter(|calls| !calls.is_null());
        if let Some(calls) = calls {
            check_tool_calls(&format!("{path}.tool_calls"), calls)?;
            let ids = calls.as_array().into_iter().flatten();
            let ids = ids.filter_map(|call| call["id"].as_str());
            self.calls.extend(ids.map(str::to_owned));
        }
        let has_calls = calls.is_some();
        let noted = Noted::take(&mut message, &path, Target::Message(index))?;
        self.notes.annotations.extend(noted.annotation);
        let content_path = format!("{path}.content");
        // Its place among the fields stays: some templates print them all.
        match message.get_mut("content").map(Value::take) {
            Some(Value::Array(parts)) => {
                self.read_parts(Some(index), &content_path, &role, message, parts)?;
            }
            content => {
                let may_be_absent = role == "assistant" || has_calls;
                check_text(&content_path, content.as_ref(), may_be_absent)?;
                if let Some(content) = content {
                    message.insert("content".to_owned(), content);
                }
                self.add(Some(index), Value::Object(message));
            }
        }
        if let Some(ttl) = noted.mark {
            let place = MarkPlace::Message(self.messages.len() - 1);
            self.notes.marks.push(Mark { place, ttl });
        }
        Ok(())
    }

    /// Adds a message whose content has parts, behind the results of tools among them.
    fn read_parts(
        &mut self,
        origin: Option<usize>,
        path: &str,
        role: &str,
        message: Map<String, Value>,
        parts: Vec<Value>,
    ) -> Result<(), ApiError> {
        let mut kept = Kept::default();
        let is_empty = parts.is_empty();
        for (number, part) in parts.into_iter().enumerate() {
            let path = format!("{path}[{number}]");
            let (block, noted) = block(&path, role, part)?;
            kept.is_translated |= !matches!(block, Block::Text(_));
            match block {
                Block::Result(result) => {
                    self.add_result(origin, &path, result, noted, kept.parts.is_empty())?;
                }
                Block::Text(part) => {
                    check_part_note(&path, role, &noted)?;
                    kept.parts.push((part, noted, false));
                }
                Block::Document(part) => kept.parts.push((part, noted, true)),
                Block::Call(call) => {
                    self.calls.extend(call["id"].as_str().map(str::to_owned));
                    kept.calls.push((call, noted));
                }
                Block::Reasoning(text) => kept.reasoning.push(text),
                Block::Redacted => kept.num_redacted += 1,
            }
        }
        self.notes.num_redacted += kept.num_redacted;
        let is_only_results = kept.is_empty() && !is_empty;
        if is_only_results {
            return Ok(());
        }
        self.add_kept(origin, path, role, message, kept)
    }

    fn add_result(
        &mut self,
        origin: Option<usize>,
        path: &str,
        result: Value,
        noted: Noted,
        is_first: bool,
    ) -> Result<(), ApiError> {
        if !is_first {
            let message = format!("`{path}`: results of tools stand before all other blocks.");
            return Err(ApiError::field(path, message));
        }
        let id = result["tool_call_id"].as_str().unwrap_or_default();
        if !self.calls.contains(id) {
            let path = format!("{path}.tool_use_id");
            let message = format!("`{path}`: no `tool_use` before it has the id {id:?}.");
            return Err(ApiError::field(path, message));
        }
        noted.put(Place::Message(self.messages.len()), &mut self.notes);
        self.add(origin, result);
        Ok(())
    }

    fn add_kept(
        &mut self,
        origin: Option<usize>,
        path: &str,
        role: &str,
        mut message: Map<String, Value>,
        kept: Kept,
    ) -> Result<(), ApiError> {
        let number = self.messages.len();
        for (name, is_double) in [
            ("tool_calls", !kept.calls.is_empty()),
            ("reasoning_content", !kept.reasoning.is_empty()),
        ] {
            let is_there = message.get(name).is_some_and(|value| !value.is_null());
            if is_double && is_there {
                let path = path.replace("content", name);
                let text = format!("`{path}`: `content` says the same in blocks; say it once.");
                return Err(ApiError::field(path, text));
            }
        }
        let is_result = matches!(role, "tool" | "function");
        // A block's text alone is a plain text, as most templates expect it.
        let is_single = kept.is_translated && kept.parts.len() == 1;
        let mut parts = Vec::with_capacity(kept.parts.len());
        for (at, (part, noted, is_document)) in kept.parts.into_iter().enumerate() {
            let place = match is_single || is_result {
                true => Place::Message(number),
                false => Place::Part(number, at),
            };
            if is_document {
                self.notes.documents.insert(place);
            }
            noted.put(place, &mut self.notes);
            parts.push(part);
        }
        let content = match (parts.as_mut_slice(), kept.calls.is_empty()) {
            ([part], _) if is_single => part["text"].take(),
            ([], false) => Value::Null,
            ([], true) if kept.is_translated => Value::from(""),
            _ => Value::Array(parts),
        };
        message.insert("content".to_owned(), content);
        if !kept.reasoning.is_empty() {
            let reasoning = kept.reasoning.join("\n\n");
            message.insert("reasoning_content".to_owned(), Value::from(reasoning));
        }
        if !kept.calls.is_empty() {
            let mut calls = Vec::with_capacity(kept.calls.len());
            for (at, (call, noted)) in kept.calls.into_iter().enumerate() {
                noted.put(Place::Call(number, at), &mut self.notes);
                calls.push(call);
            }
            message.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        self.add(origin, Value::Object(message));
        Ok(())
    }

    fn add(&mut self, origin: Option<usize>, message: Value) {
        self.messages.push(message);
        self.notes.origins.push(origin);
    }
}

impl Kept {
    fn is_empty(&self) -> bool {
        self.parts.is_empty()
            && self.calls.is_empty()
            && self.reasoning.is_empty()
            && self.num_redacted == 0
    }
}

/// A tool's result is edited as a whole, whatever its parts.
fn check_part_note(path: &str, role: &str, noted: &Noted) -> Result<(), ApiError> {
    if noted.annotation.is_some() && matches!(role, "tool" | "function") {
        let path = format!("{path}.context");
        let message = format!("`{path}`: say it of the message; a tool's result has one note.");
        return Err(ApiError::field(path, message));
    }
    Ok(())
}
