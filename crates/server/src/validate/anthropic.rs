//! Conversations in Anthropic's shape: content blocks and tools become OpenAI's messages and tools,
//! which is what chat templates know.
//!
//! | block | becomes |
//! |---|---|
//! | `text` | a part, as it is |
//! | `tool_use` | a call in `tool_calls` |
//! | `tool_result` | a message of role `tool`, before what else the user says |
//! | `thinking` | `reasoning_content` |
//! | `redacted_thinking` | nothing: only its maker can read it |
//! | `document`, `search_result` | a text of zone `retrieval`, its title and source in front |
//!
//! Source: <https://docs.anthropic.com/en/api/messages>.

mod billing;
mod block;
mod document;
mod request;
mod tool;

use serde_json::Value;

use super::chat::Conversation;
use super::fields::{Fields, wrong_type};
use super::messages::{self, ToolChoice, Tools};
use super::notes::{CacheTtl, Mark, MarkPlace, mark_ttl, take_mark};
use super::transcript::Transcript;
use crate::config::serve::RequestLimits;
use crate::wire::error::ApiError;

pub(super) use block::{Block, block};
pub(super) use tool::tool;

pub use request::{count, request};

/// Takes the fields of Anthropic's Messages API that a chat template renders: `system`, `messages`,
/// `tools`, `tool_choice` and the `cache_control` beside them, which marks the last message. A last
/// message of the assistant is continued.
///
/// # Errors
/// The first wrong field.
pub fn conversation(fields: &mut Fields, limits: &RequestLimits) -> Result<Conversation, ApiError> {
    let mut transcript = Transcript::default();
    if let Some(mut system) = fields.value("system") {
        let is_text = system.is_string() || system.is_array();
        if !is_text {
            return Err(wrong_type(
                "system",
                "a string or an array of blocks",
                &system,
            ));
        }
        transcript.notes.num_billing_lines = billing::leave_out(&mut system);
        if system != Value::Array(Vec::new()) && system != "" {
            transcript.push_system(system)?;
        }
    }
    let sent = messages::array(fields, limits.max_messages)?;
    for (index, message) in sent.into_iter().enumerate() {
        let path = format!("messages[{index}].role");
        match message["role"].as_str() {
            Some("user" | "assistant") => transcript.push(index, message)?,
            Some(_) => {
                let message = format!("`{path}` must be user or assistant.");
                return Err(ApiError::field(path, message));
            }
            None => return Err(wrong_type(&path, "a string", &message["role"])),
        }
    }
    let tools = tools(fields, &mut transcript)?;
    let path = fields.path("cache_control");
    if let Some(mark) = fields.value("cache_control") {
        let ttl = mark_ttl(&mark, path)?;
        let last = transcript.messages.len() - 1;
        let place = MarkPlace::Message(last);
        transcript.notes.marks.push(Mark { place, ttl });
    }
    let is_prefilled = transcript
        .messages
        .last()
        .is_some_and(|last| last["role"] == "assistant");
    Ok(Conversation {
        messages: transcript.messages,
        notes: transcript.notes,
        tools,
        documents: None,
        add_generation_prompt: !is_prefilled,
        continue_final_message: is_prefilled,
        add_special_tokens: false,
        template_kwargs: None,
    })
}

fn tools(fields: &mut Fields, transcript: &mut Transcript) -> Result<Tools, ApiError> {
    let mut tools = messages::definitions(fields, &mut transcript.notes)?;
    let path = fields.path("tool_choice");
    let Some(choice) = fields.value("tool_choice") else {
        return Ok(tools);
    };
    let mut choice = Fields::from_value(path, choice)?;
    let kind = choice
        .string("type")?
        .ok_or_else(|| choice.missing("type"))?;
    let is_single = choice.boolean("disable_parallel_tool_use")?;
    tools.parallel = is_single != Some(true);
    let name = choice.string("name")?;
    let path = choice.path("type");
    let name_path = choice.path("name");
    let missing_name = choice.missing("name");
    choice.finish(&[], &[])?;
    match kind.as_str() {
        "auto" => Ok(tools),
        "none" => Ok(tools.allowed(false)),
        "any" => tools.forced(&path, ToolChoice::Required),
        "tool" => tools.forced(&name_path, ToolChoice::Named(name.ok_or(missing_name)?)),
        _ => {
            let message = format!("`{path}` must be `auto`, `any`, `tool` or `none`.");
            Err(ApiError::field(path, message))
        }
    }
}

/// A text, or the texts of blocks, each in a line of its own; and whether one is marked.
///
/// # Errors
/// A block that is no text, or that has a note: the whole has one.
fn plain_text(path: &str, content: Value) -> Result<(String, Option<CacheTtl>), ApiError> {
    let blocks = match content {
        Value::String(text) => return Ok((text, None)),
        Value::Array(blocks) => blocks,
        other => return Err(wrong_type(path, "a string or an array of blocks", &other)),
    };
    let mut mark = None;
    let mut texts = Vec::with_capacity(blocks.len());
    for (number, mut block) in blocks.into_iter().enumerate() {
        let path = format!("{path}[{number}]");
        let Some(kind) = block["type"].as_str() else {
            return Err(untyped(&path));
        };
        if kind != "text" {
            return Err(unsupported_block(&path, kind));
        }
        if block.get("context").is_some_and(|note| !note.is_null()) {
            let path = format!("{path}.context");
            let message = format!("`{path}`: say it of the block that this one stands in.");
            return Err(ApiError::field(path, message));
        }
        if let Some(fields) = block.as_object_mut() {
            mark = mark.max(take_mark(fields, &path)?);
        }
        match block["text"].take() {
            Value::String(text) => texts.push(text),
            other => return Err(wrong_type(&format!("{path}.text"), "a string", &other)),
        }
    }
    Ok((texts.join("\n"), mark))
}

fn unsupported_block(path: &str, kind: &str) -> ApiError {
    let message = format!(
        "`{path}`: content of type `{kind}` is not supported; this server's models read text."
    );
    ApiError::unsupported(path, message)
}

fn untyped(path: &str) -> ApiError {
    let message = format!("`{path}` must be an object with a `type`.");
    ApiError::field(path, message)
}

#[cfg(test)]
mod tests;
