//! What clients write into messages for the budgeter: `cache_control` marks and `context` notes.

use serde_json::Value;

use crate::validate::budget::{Annotation, Target, annotation};
use crate::validate::chat::Conversation;
use crate::validate::fields::Fields;
use crate::wire::error::ApiError;

/// Notes that were in the messages.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Messages with a `cache_control` mark, their own or one of a part of theirs.
    pub(super) cache_control: Vec<usize>,
    /// What `context` objects say.
    pub(super) annotations: Vec<Annotation>,
}

/// Takes the notes out of a conversation: the template must not see them.
///
/// # Errors
/// When a `context` is not what it should be, by its path.
pub(super) fn take(conversation: &mut Conversation) -> Result<Marks, ApiError> {
    let mut marks = Marks::default();
    for tool in &mut conversation.tools.definitions {
        remove(tool, "cache_control");
    }
    for (at, message) in conversation.messages.iter_mut().enumerate() {
        let mut is_marked = remove(message, "cache_control").is_some();
        if let Some(note) = remove(message, "context") {
            let path = format!("messages[{at}].context");
            let mut fields = Fields::from_value(path, note)?;
            marks
                .annotations
                .push(annotation(&mut fields, Target::Message(at))?);
            fields.finish(&["id"], &[])?;
        }
        for part in message["content"].as_array_mut().into_iter().flatten() {
            is_marked |= remove(part, "cache_control").is_some();
        }
        if is_marked {
            marks.cache_control.push(at);
        }
    }
    Ok(marks)
}

fn remove(value: &mut Value, name: &str) -> Option<Value> {
    value
        .as_object_mut()?
        .shift_remove(name)
        .filter(|value| !value.is_null())
}
