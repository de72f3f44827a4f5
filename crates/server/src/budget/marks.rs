//! What clients write into messages for the budgeter: `cache_control` marks and `context` notes.

use serde_json::Value;

use crate::validate::budget::{Annotation, Target, annotation};
use crate::validate::chat::Conversation;
use crate::validate::fields::Fields;
use crate::wire::error::ApiError;

/// Notes that were in the messages.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// How far `cache_control` marks reach: the last tool, or the last message with one.
    pub(super) cached: Option<Marked>,
    /// What `context` objects say.
    pub(super) annotations: Vec<Annotation>,
}

/// What the client wants to keep as it is, from the beginning on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Marked {
    /// The tools.
    Tools,
    /// Everything up to this message.
    Message(usize),
}

/// Takes the notes out of a conversation: the template must not see them.
///
/// # Errors
/// When a note is not what it should be, by its path.
pub(super) fn take(conversation: &mut Conversation) -> Result<Marks, ApiError> {
    let mut marks = Marks::default();
    for (at, tool) in conversation.tools.definitions.iter_mut().enumerate() {
        if take_mark(tool, &format!("tools[{at}]"))? {
            marks.cached = Some(Marked::Tools);
        }
    }
    for (at, message) in conversation.messages.iter_mut().enumerate() {
        let path = format!("messages[{at}]");
        let mut is_marked = take_mark(message, &path)?;
        if let Some(note) = remove(message, "context") {
            let mut fields = Fields::from_value(format!("{path}.context"), note)?;
            let note = annotation(&mut fields, Target::Message(at))?;
            marks.annotations.push(note);
            fields.finish(&[], &[])?;
        }
        let parts = message["content"].as_array_mut().into_iter().flatten();
        for (number, part) in parts.enumerate() {
            let path = format!("{path}.content[{number}]");
            is_marked |= take_mark(part, &path)?;
            if remove(part, "context").is_some() {
                let path = format!("{path}.context");
                let message = format!("`{path}`: say it of the message, parts have none yet.");
                return Err(ApiError::unsupported(path, message));
            }
        }
        if is_marked {
            marks.cached = Some(Marked::Message(at));
        }
    }
    Ok(marks)
}

/// Takes out Anthropic's `{"type": "ephemeral", "ttl": "5m" | "1h"}`; whether it was there.
fn take_mark(value: &mut Value, path: &str) -> Result<bool, ApiError> {
    let Some(mark) = remove(value, "cache_control") else {
        return Ok(false);
    };
    let path = format!("{path}.cache_control");
    let is_known = mark["type"] == "ephemeral"
        && matches!(mark["ttl"].as_str(), None | Some("5m" | "1h"))
        && mark.as_object().is_some_and(|fields| {
            fields
                .keys()
                .all(|name| matches!(name.as_str(), "type" | "ttl"))
        });
    if is_known {
        return Ok(true);
    }
    let message =
        format!("`{path}` must be {{\"type\": \"ephemeral\"}}, with a `ttl` of 5m or 1h.");
    Err(ApiError::field(path, message))
}

fn remove(value: &mut Value, name: &str) -> Option<Value> {
    value
        .as_object_mut()?
        .shift_remove(name)
        .filter(|value| !value.is_null())
}
