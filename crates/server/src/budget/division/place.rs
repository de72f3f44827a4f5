//! Where in a conversation a segment's text stands.

use serde_json::Value;

use crate::validate::chat::Conversation;

/// A piece of text in a conversation's JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::budget) enum Place {
    /// The definition of this tool.
    Tool(usize),
    /// The content of this message.
    Message(usize),
    /// This part of a message's content.
    Part(usize, usize),
    /// The reasoning of this message.
    Reasoning(usize),
    /// This call of a message.
    Call(usize, usize),
    /// This document of the template's list.
    Document(usize),
}

/// Names of a message's reasoning, in the order in which templates look for them.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

impl Place {
    /// The message that it belongs to.
    pub(in crate::budget) fn message(self) -> Option<usize> {
        match self {
            Self::Message(message)
            | Self::Part(message, _)
            | Self::Reasoning(message)
            | Self::Call(message, _) => Some(message),
            Self::Tool(_) | Self::Document(_) => None,
        }
    }

    /// The string at this place: what a text is, or the name of a tool or of a called function.
    pub(in crate::budget) fn text(self, conversation: &Conversation) -> Option<&str> {
        match self {
            Self::Tool(tool) => {
                conversation.tools.definitions.get(tool)?["function"]["name"].as_str()
            }
            Self::Message(message) => conversation.messages.get(message)?["content"].as_str(),
            Self::Part(message, part) => {
                conversation.messages.get(message)?["content"][part]["text"].as_str()
            }
            Self::Reasoning(message) => {
                let message = conversation.messages.get(message)?;
                REASONING.iter().find_map(|name| message[*name].as_str())
            }
            Self::Call(message, call) => {
                let calls = &conversation.messages.get(message)?["tool_calls"];
                calls[call]["function"]["name"].as_str()
            }
            Self::Document(document) => {
                let document = conversation.documents.as_ref()?.get(document)?;
                document["text"]
                    .as_str()
                    .or_else(|| document["content"].as_str())
            }
        }
    }

    /// The same, to be changed.
    pub(in crate::budget) fn text_mut(
        self,
        conversation: &mut Conversation,
    ) -> Option<&mut String> {
        let value = match self {
            Self::Tool(tool) => conversation
                .tools
                .definitions
                .get_mut(tool)?
                .pointer_mut("/function/name")?,
            Self::Message(message) => conversation.messages.get_mut(message)?.get_mut("content")?,
            Self::Part(message, part) => conversation
                .messages
                .get_mut(message)?
                .pointer_mut(&format!("/content/{part}/text"))?,
            Self::Reasoning(message) => {
                let message = conversation.messages.get_mut(message)?;
                let name = REASONING.iter().find(|name| message[**name].is_string())?;
                message.get_mut(*name)?
            }
            Self::Call(message, call) => conversation
                .messages
                .get_mut(message)?
                .pointer_mut(&format!("/tool_calls/{call}/function/name"))?,
            Self::Document(document) => {
                let document = conversation.documents.as_mut()?.get_mut(document)?;
                let name = if document["text"].is_string() {
                    "text"
                } else {
                    "content"
                };
                document.get_mut(name)?
            }
        };
        match value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Takes the reasoning out of a message.
    pub(in crate::budget) fn remove_reasoning(message: &mut Value) {
        if let Some(fields) = message.as_object_mut() {
            fields.retain(|name, _| !REASONING.contains(&name.as_str()));
        }
    }
}
