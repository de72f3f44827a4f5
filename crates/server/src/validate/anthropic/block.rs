//! One part of a message's content.

use serde_json::{Map, Value, json};

use super::{document, plain_text, unsupported_block, untyped};
use crate::budget::place::Place;
use crate::validate::budget::Target;
use crate::validate::fields::{Fields, wrong_type};
use crate::validate::notes::{CacheTtl, Noted};
use crate::wire::error::ApiError;

/// What a part of a message's content becomes.
#[derive(Debug)]
pub(in crate::validate) enum Block {
    /// A part of type `text`.
    Text(Value),
    /// A part of type `text` that was retrieved.
    Document(Value),
    /// An item of `tool_calls`.
    Call(Value),
    /// A message of role `tool`.
    Result(Value),
    /// Reasoning of the model.
    Reasoning(String),
    /// Reasoning that only its maker can read.
    Redacted,
}

/// Reads a part of a message of that role, and what is noted of it.
///
/// # Errors
/// When it is malformed, has no text, or does not belong to the role.
pub(in crate::validate) fn block(
    path: &str,
    role: &str,
    part: Value,
) -> Result<(Block, Noted), ApiError> {
    let Value::Object(mut part) = part else {
        return Err(untyped(path));
    };
    let kind = part.get("type").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| untyped(path))?.to_owned();
    check_role(path, role, &kind)?;
    let is_reasoning = matches!(kind.as_str(), "thinking" | "redacted_thinking");
    // Anthropic's documents have a `context` of their own, which is a text.
    let about = match part.get("context") {
        Some(Value::String(about)) if kind == "document" => Some(about.clone()),
        _ => None,
    };
    if about.is_some() {
        part.shift_remove("context");
    }
    // Where it will stand is known only when the whole message is read.
    let target = Target::Place(Place::Message(0));
    let mut noted = match is_reasoning {
        true => Noted::default(),
        false => Noted::take(&mut part, path, target)?,
    };
    let block = match kind.as_str() {
        "text" | "refusal" => Block::Text(text(path, &kind, part)?),
        _ => {
            let mut fields = Fields::from_value(path.to_owned(), Value::Object(part))?;
            fields.value("type");
            let (block, mark) = read(&kind, &mut fields, about.as_deref())?;
            // It is edited as a whole, so a mark inside of it stands behind all of it.
            noted.mark = noted.mark.max(mark);
            fields.finish(&[], &[])?;
            block
        }
    };
    Ok((block, noted))
}

/// What it becomes, and the mark inside of it that keeps it longest.
fn read(
    kind: &str,
    fields: &mut Fields,
    about: Option<&str>,
) -> Result<(Block, Option<CacheTtl>), ApiError> {
    let document = |(text, mark): (String, Option<CacheTtl>)| {
        let part = json!({"type": "text", "text": text});
        (Block::Document(part), mark)
    };
    match kind {
        "tool_use" => Ok((Block::Call(call(fields)?), None)),
        "tool_result" => result(fields),
        "thinking" => {
            fields.value("signature");
            Ok((Block::Reasoning(required(fields, "thinking")?), None))
        }
        "redacted_thinking" => {
            fields.value("data");
            Ok((Block::Redacted, None))
        }
        "document" => document::document(fields, about).map(document),
        "search_result" => document::search_result(fields).map(document),
        other => Err(unsupported_block(fields.name(), other)),
    }
}

fn check_role(path: &str, role: &str, kind: &str) -> Result<(), ApiError> {
    let owner = match kind {
        "tool_use" | "thinking" | "redacted_thinking" => "assistant",
        "tool_result" | "document" | "search_result" => "user",
        _ => return Ok(()),
    };
    if role == owner {
        return Ok(());
    }
    let path = format!("{path}.type");
    let message = format!("`{path}`: `{kind}` belongs to messages of role `{owner}`.");
    Err(ApiError::field(path, message))
}

/// A refusal is what the model said, too; templates know texts.
fn text(path: &str, kind: &str, mut part: Map<String, Value>) -> Result<Value, ApiError> {
    if !part.get(kind).is_some_and(Value::is_string) {
        let path = format!("{path}.{kind}");
        let found = part.get(kind).unwrap_or(&Value::Null);
        return Err(wrong_type(&path, "a string", found));
    }
    if let Some(refusal) = part.shift_remove("refusal").filter(|_| kind == "refusal") {
        return Ok(json!({"type": "text", "text": refusal}));
    }
    Ok(Value::Object(part))
}

fn call(fields: &mut Fields) -> Result<Value, ApiError> {
    let id = required(fields, "id")?;
    let name = required(fields, "name")?;
    let input = fields.object("input")?;
    let input = Value::Object(input.ok_or_else(|| fields.missing("input"))?);
    // Who called it: a client's loop has only calls of the model.
    fields.value("caller");
    Ok(json!({
        "id": id,
        "type": "function",
        "function": {"name": name, "arguments": input.to_string()},
    }))
}

fn result(fields: &mut Fields) -> Result<(Block, Option<CacheTtl>), ApiError> {
    let id = required(fields, "tool_use_id")?;
    let path = fields.path("content");
    let (text, mark) = match fields.value("content") {
        None => (String::new(), None),
        Some(content) => plain_text(&path, content)?,
    };
    // OpenAI's shape has no place for it, so the model is told in the text.
    let text = match fields.boolean("is_error")? {
        Some(true) => format!("Error: {text}"),
        _ => text,
    };
    let message = json!({"role": "tool", "tool_call_id": id, "content": text});
    Ok((Block::Result(message), mark))
}

fn required(fields: &mut Fields, name: &'static str) -> Result<String, ApiError> {
    let text = fields.string(name)?;
    text.ok_or_else(|| fields.missing(name))
}
