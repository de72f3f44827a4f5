//! Where in a conversation a segment's text stands.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::validate::chat::Conversation;

/// A piece of text in a conversation's JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The definition of this tool.
    Tool(usize),
    /// This document of the template's list.
    Document(usize),
    /// The reasoning of this message.
    Reasoning(usize),
    /// The content of this message, all parts of it.
    Message(usize),
    /// This part of a message's content.
    Part(usize, usize),
    /// This call of a message.
    Call(usize, usize),
}

/// Names of a message's reasoning, in the order in which templates look for them.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

impl Place {
    /// The message that it belongs to.
    pub fn message(self) -> Option<usize> {
        match self {
            Self::Reasoning(message)
            | Self::Message(message)
            | Self::Part(message, _)
            | Self::Call(message, _) => Some(message),
            Self::Tool(_) | Self::Document(_) => None,
        }
    }

    /// The id of the tool call that a call or a result belongs to.
    pub(in crate::budget) fn call_id(self, conversation: &Conversation) -> Option<&str> {
        let message = conversation.messages.get(self.message()?)?;
        match self {
            Self::Call(_, call) => message["tool_calls"][call]["id"].as_str(),
            _ => message["tool_call_id"].as_str(),
        }
    }

    /// Where it stands in a conversation, to be compared: tools and documents, then messages, each
    /// with its reasoning, its content and its calls.
    pub fn rank(self) -> (usize, usize, usize) {
        match self {
            Self::Tool(_) | Self::Document(_) => (0, 0, 0),
            Self::Reasoning(message) => (1 + message, 0, 0),
            Self::Message(message) => (1 + message, 1, 0),
            Self::Part(message, part) => (1 + message, 1, part),
            Self::Call(message, call) => (1 + message, 2, call),
        }
    }

    /// What a message, a part of one, reasoning or a document says. The texts of parts are joined by
    /// line breaks, as templates that take none get them.
    pub(in crate::budget) fn text(self, conversation: &Conversation) -> Option<Cow<'_, str>> {
        let message = |at: usize| conversation.messages.get(at);
        let text = match self {
            Self::Tool(_) | Self::Call(..) => return None,
            Self::Message(at) => match &message(at)?["content"] {
                Value::Array(parts) => {
                    let texts = parts.iter().filter_map(|part| part["text"].as_str());
                    return Some(Cow::Owned(texts.collect::<Vec<_>>().join("\n")));
                }
                content => content,
            },
            Self::Part(at, part) => &message(at)?["content"][part]["text"],
            Self::Reasoning(at) => &message(at)?[reasoning_field(message(at)?)?],
            Self::Document(at) => {
                let document = conversation.documents.as_ref()?.get(at)?;
                &document[document_field(document)]
            }
        };
        text.as_str().map(Cow::Borrowed)
    }

    /// Puts another text in its place; content in parts becomes a text.
    pub(in crate::budget) fn replace(self, conversation: &mut Conversation, text: &str) {
        let Some(value) = self.value_mut(conversation) else {
            return;
        };
        let field = match self {
            Self::Message(_) => Some("content"),
            Self::Part(..) => Some("text"),
            Self::Reasoning(_) => reasoning_field(value),
            Self::Document(_) => Some(document_field(value)),
            Self::Tool(_) | Self::Call(..) => None,
        };
        if let Some(field) = field.and_then(|field| value.get_mut(field)) {
            *field = Value::from(text);
        }
    }

    /// Calls `visit` with every string of it that a template is expected to write as it is.
    pub(in crate::budget) fn visit_strings(
        self,
        conversation: &mut Conversation,
        visit: &mut dyn FnMut(&mut String),
    ) {
        let Some(value) = self.value_mut(conversation) else {
            return;
        };
        match self {
            Self::Tool(_) => {
                if let Some(function) = value.get_mut("function") {
                    visit_field(function, "name", visit);
                    visit_descriptions(function, visit);
                }
            }
            Self::Document(_) => {
                let fields = value.as_object_mut().into_iter().flatten();
                let texts = fields.filter_map(|(_, field)| string_mut(field));
                texts.for_each(visit);
            }
            Self::Reasoning(_) => {
                if let Some(name) = reasoning_field(value) {
                    visit_field(value, name, visit);
                }
            }
            Self::Message(_) => match value.get_mut("content") {
                Some(Value::Array(parts)) => parts
                    .iter_mut()
                    .for_each(|part| visit_field(part, "text", visit)),
                _ => visit_field(value, "content", visit),
            },
            Self::Part(..) => visit_field(value, "text", visit),
            Self::Call(..) => {
                if let Some(function) = value.get_mut("function") {
                    visit_field(function, "name", visit);
                    if let Some(arguments) = function.get_mut("arguments") {
                        visit_arguments(arguments, visit);
                    }
                }
            }
        }
    }

    /// Takes the reasoning out of a message.
    pub(in crate::budget) fn remove_reasoning(message: &mut Value) {
        if let Some(fields) = message.as_object_mut() {
            fields.retain(|name, _| !REASONING.contains(&name.as_str()));
        }
    }

    /// The object that it is, or that it is a field of.
    fn value_mut(self, conversation: &mut Conversation) -> Option<&mut Value> {
        match self {
            Self::Tool(tool) => conversation.tools.definitions.get_mut(tool),
            Self::Document(document) => conversation.documents.as_mut()?.get_mut(document),
            Self::Reasoning(message) | Self::Message(message) => {
                conversation.messages.get_mut(message)
            }
            Self::Part(message, part) => {
                let message = conversation.messages.get_mut(message)?;
                message.get_mut("content")?.get_mut(part)
            }
            Self::Call(message, call) => {
                let message = conversation.messages.get_mut(message)?;
                message.get_mut("tool_calls")?.get_mut(call)
            }
        }
    }
}

fn reasoning_field(message: &Value) -> Option<&'static str> {
    REASONING
        .into_iter()
        .find(|name| message[*name].is_string())
}

fn document_field(document: &Value) -> &'static str {
    if document["text"].is_string() {
        "text"
    } else {
        "content"
    }
}

fn string_mut(value: &mut Value) -> Option<&mut String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn visit_field(object: &mut Value, name: &str, visit: &mut dyn FnMut(&mut String)) {
    if let Some(text) = object.get_mut(name).and_then(string_mut) {
        visit(text);
    }
}

/// Descriptions of a schema, but not its types and names, by which templates decide.
fn visit_descriptions(schema: &mut Value, visit: &mut dyn FnMut(&mut String)) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "description" => visit(text),
                    inner => visit_descriptions(inner, visit),
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| visit_descriptions(item, visit)),
        _ => {}
    }
}

/// Strings of a call's arguments; templates get the object that a text of JSON spells.
fn visit_arguments(arguments: &mut Value, visit: &mut dyn FnMut(&mut String)) {
    let Value::String(text) = arguments else {
        return visit_all(arguments, visit);
    };
    match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(object) => {
            let mut object = Value::Object(object);
            visit_all(&mut object, visit);
            *text = object.to_string();
        }
        Err(_) => visit(text),
    }
}

fn visit_all(value: &mut Value, visit: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter_mut().for_each(|item| visit_all(item, visit)),
        Value::Object(fields) => fields
            .iter_mut()
            .for_each(|(_, field)| visit_all(field, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
