//! Messages and tools, in OpenAI's shape; what has Anthropic's is translated.
//!
//! What a chat template reads is checked for its type; other fields of a message are the template's
//! business and pass through, since models define their own.

use serde_json::{Map, Value};

use super::anthropic;
use super::fields::{Fields, wrong_type};
use super::notes::{Mark, Notes, take_mark};
use super::transcript::Transcript;
use crate::budget::place::Place;
use crate::wire::error::ApiError;

const ROLES: [&str; 6] = [
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "function",
];

/// Takes `messages`: 1 to `max` of them, in OpenAI's shape or with Anthropic's blocks.
///
/// # Errors
/// The first wrong message, by its index.
pub(super) fn messages(fields: &mut Fields, max: usize) -> Result<Transcript, ApiError> {
    let mut transcript = Transcript::default();
    for (index, message) in array(fields, max)?.into_iter().enumerate() {
        transcript.push(index, message)?;
    }
    Ok(transcript)
}

/// Takes `messages` unread: 1 to `max` of them.
///
/// # Errors
/// When it is no such array.
pub(super) fn array(fields: &mut Fields, max: usize) -> Result<Vec<Value>, ApiError> {
    let messages = fields
        .array("messages")?
        .ok_or_else(|| fields.missing("messages"))?;
    if messages.is_empty() {
        let message = "`messages` is empty: a conversation has at least one message.";
        return Err(ApiError::field("messages", message));
    }
    if messages.len() > max {
        let message = format!("`messages` has {} messages, at most {max}.", messages.len());
        return Err(ApiError::field("messages", message));
    }
    Ok(messages)
}

/// The role of a message.
///
/// # Errors
/// When it has none that is known.
pub(super) fn check_role(path: &str, message: &Map<String, Value>) -> Result<String, ApiError> {
    let path = format!("{path}.role");
    let role = match message.get("role") {
        Some(Value::String(role)) => role,
        Some(other) => return Err(wrong_type(&path, "a string", other)),
        None => {
            let message = format!("Missing required parameter: `{path}`.");
            return Err(ApiError::field(path, message));
        }
    };
    if !ROLES.contains(&role.as_str()) {
        let roles = ROLES.join(", ");
        let message = format!("Invalid value for `{path}`: it must be one of {roles}.");
        return Err(ApiError::field(path, message));
    }
    Ok(role.clone())
}

/// Checks content that is not in parts.
///
/// # Errors
/// When it is no text.
pub(super) fn check_text(
    path: &str,
    content: Option<&Value>,
    may_be_absent: bool,
) -> Result<(), ApiError> {
    match content {
        Some(Value::String(_)) => Ok(()),
        None | Some(Value::Null) if may_be_absent => Ok(()),
        None | Some(Value::Null) => Err(ApiError::field(
            path,
            format!("Missing required parameter: `{path}`."),
        )),
        Some(other) => Err(wrong_type(path, "a string or an array of parts", other)),
    }
}

/// Checks the calls of a message.
///
/// # Errors
/// The first wrong one.
pub(super) fn check_tool_calls(path: &str, calls: &Value) -> Result<(), ApiError> {
    let Value::Array(calls) = calls else {
        return Err(wrong_type(path, "an array", calls));
    };
    for (index, call) in calls.iter().enumerate() {
        let path = format!("{path}[{index}].function");
        let function = call.get("function").and_then(Value::as_object);
        let Some(function) = function else {
            return Err(ApiError::field(
                &path,
                format!("`{path}` must be an object."),
            ));
        };
        if !function.get("name").is_some_and(Value::is_string) {
            let path = format!("{path}.name");
            return Err(ApiError::field(
                &path,
                format!("`{path}` must be a string."),
            ));
        }
    }
    Ok(())
}

/// Which tools the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tools {
    /// Their definitions, for the chat template. Empty when there are none.
    pub definitions: Vec<Value>,
    /// Whether `tool_choice` lets the model call any.
    pub allowed: bool,
}

impl Tools {
    /// Tools that the model is told of if it may call them, as in vLLM.
    pub fn new(definitions: Vec<Value>, allowed: bool) -> Self {
        let definitions = if allowed { definitions } else { Vec::new() };
        Self {
            definitions,
            allowed,
        }
    }

    /// Whether calls are looked for in the answer.
    pub fn are_callable(&self) -> bool {
        !self.definitions.is_empty()
    }

    /// All tools of the request, with their numbers in it.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Value)> {
        self.definitions.iter().enumerate()
    }
}

/// Takes `tools` and `tool_choice` (`auto` or `none`).
///
/// # Errors
/// The first wrong tool, or a choice that the server cannot enforce.
pub(super) fn tools(fields: &mut Fields, notes: &mut Notes) -> Result<Tools, ApiError> {
    let definitions = definitions(fields, notes)?;
    let choice = fields.value("tool_choice");
    let enabled = match &choice {
        None => true,
        Some(Value::String(choice)) if choice == "auto" => true,
        Some(Value::String(choice)) if choice == "none" => false,
        Some(_) => {
            let message = "`tool_choice`: only `auto` and `none` are supported; a call cannot be \
                           forced.";
            return Err(ApiError::unsupported("tool_choice", message));
        }
    };
    if choice.is_some_and(|choice| choice == "auto") && definitions.is_empty() {
        let message = "`tool_choice` is only allowed when `tools` are specified.";
        return Err(ApiError::field("tool_choice", message));
    }
    Ok(Tools::new(definitions, enabled))
}

/// Takes `tools`, in OpenAI's shape or in Anthropic's.
///
/// # Errors
/// The first wrong tool.
pub(super) fn definitions(fields: &mut Fields, notes: &mut Notes) -> Result<Vec<Value>, ApiError> {
    let tools = fields.array("tools")?.unwrap_or_default();
    let mut definitions = Vec::with_capacity(tools.len());
    for (index, mut tool) in tools.into_iter().enumerate() {
        let path = format!("tools[{index}]");
        if let Some(fields) = tool.as_object_mut()
            && take_mark(fields, &path)?
        {
            notes.marks.push(Mark::Place(Place::Tool(index)));
        }
        if is_anthropic(&tool) {
            tool = anthropic::tool(&path, tool)?;
            check_name(&format!("{path}.name"), &tool["function"]["name"])?;
        } else {
            check_tool(&path, &tool)?;
        }
        definitions.push(tool);
    }
    Ok(definitions)
}

fn is_anthropic(tool: &Value) -> bool {
    let has = |name: &str| tool.get(name).is_some();
    tool["type"] != "function" && !has("function") && (has("input_schema") || has("name"))
}

fn check_tool(path: &str, tool: &Value) -> Result<(), ApiError> {
    let kind = tool.get("type").and_then(Value::as_str);
    if kind.is_some_and(|kind| kind != "function") {
        let message = format!("`{path}`: only tools of type `function` are supported.");
        return Err(ApiError::unsupported(path, message));
    }
    let path = format!("{path}.function");
    let Some(function) = tool.get("function").and_then(Value::as_object) else {
        return Err(ApiError::field(
            &path,
            format!("`{path}` must be an object."),
        ));
    };
    check_function(&path, function)
}

fn check_function(path: &str, function: &Map<String, Value>) -> Result<(), ApiError> {
    let name = function.get("name").unwrap_or(&Value::Null);
    check_name(&format!("{path}.name"), name)?;
    match function.get("parameters") {
        None | Some(Value::Null | Value::Object(_)) => {}
        Some(other) => {
            return Err(wrong_type(
                &format!("{path}.parameters"),
                "an object",
                other,
            ));
        }
    }
    if function.get("strict") == Some(&Value::Bool(true)) {
        let path = format!("{path}.strict");
        let message = format!("`{path}`: arguments cannot be constrained to a schema.");
        return Err(ApiError::unsupported(path, message));
    }
    Ok(())
}

fn check_name(path: &str, name: &Value) -> Result<(), ApiError> {
    let name = name.as_str().unwrap_or_default();
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(valid) {
        let message = format!("`{path}` must be 1 to 128 letters, digits, `_`, `-` or `.`.");
        return Err(ApiError::field(path, message));
    }
    Ok(())
}
