//! Conversations: messages and tools, in OpenAI's shape.
//!
//! What a chat template reads is checked for its type; other fields of a message are the template's
//! business and pass through, since models define their own.

use serde_json::{Map, Value};

use super::fields::{Fields, wrong_type};
use crate::wire::error::ApiError;

const ROLES: [&str; 6] = [
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "function",
];

/// Takes `messages`: 1 to `max` of them.
///
/// # Errors
/// The first wrong message, by its index.
pub fn messages(fields: &mut Fields, max: usize) -> Result<Vec<Value>, ApiError> {
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
    for (index, message) in messages.iter().enumerate() {
        check_message(&format!("messages[{index}]"), message)?;
    }
    Ok(messages)
}

fn check_message(path: &str, message: &Value) -> Result<(), ApiError> {
    let Value::Object(map) = message else {
        return Err(wrong_type(path, "an object", message));
    };
    let role_path = format!("{path}.role");
    let role = match map.get("role") {
        Some(Value::String(role)) => role,
        Some(other) => return Err(wrong_type(&role_path, "a string", other)),
        None => {
            let message = format!("Missing required parameter: `{role_path}`.");
            return Err(ApiError::field(role_path, message));
        }
    };
    if !ROLES.contains(&role.as_str()) {
        let roles = ROLES.join(", ");
        let message = format!("Invalid value for `{role_path}`: it must be one of {roles}.");
        return Err(ApiError::field(role_path, message));
    }
    let calls = map.get("tool_calls").is_some_and(|calls| !calls.is_null());
    check_content(
        &format!("{path}.content"),
        map.get("content"),
        role == "assistant",
        calls,
    )?;
    match map.get("tool_calls") {
        None | Some(Value::Null) => Ok(()),
        Some(calls) => check_tool_calls(&format!("{path}.tool_calls"), calls),
    }
}

fn check_content(
    path: &str,
    content: Option<&Value>,
    assistant: bool,
    calls: bool,
) -> Result<(), ApiError> {
    match content {
        Some(Value::String(_)) => Ok(()),
        None | Some(Value::Null) if assistant || calls => Ok(()),
        None | Some(Value::Null) => Err(ApiError::field(
            path,
            format!("Missing required parameter: `{path}`."),
        )),
        Some(Value::Array(parts)) => parts
            .iter()
            .enumerate()
            .try_for_each(|(index, part)| check_part(&format!("{path}[{index}]"), part)),
        Some(other) => Err(wrong_type(path, "a string or an array of parts", other)),
    }
}

fn check_part(path: &str, part: &Value) -> Result<(), ApiError> {
    let kind = part.get("type").and_then(Value::as_str);
    match kind {
        Some("text" | "refusal") => {
            let field = kind.unwrap_or_default();
            match part.get(field) {
                Some(Value::String(_)) => Ok(()),
                _ => {
                    let path = format!("{path}.{field}");
                    Err(ApiError::field(
                        &path,
                        format!("`{path}` must be a string."),
                    ))
                }
            }
        }
        Some(other) => {
            let message = format!(
                "`{path}`: content of type `{other}` is not supported; \
                                   this server's models read text."
            );
            Err(ApiError::unsupported(path, message))
        }
        None => Err(ApiError::field(
            path,
            format!("`{path}` must be an object with a `type`."),
        )),
    }
}

fn check_tool_calls(path: &str, calls: &Value) -> Result<(), ApiError> {
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
    /// Whether calls are looked for in the answer.
    pub enabled: bool,
}

/// Takes `tools` and `tool_choice` (`auto` or `none`).
///
/// # Errors
/// The first wrong tool, or a choice that the server cannot enforce.
pub fn tools(fields: &mut Fields) -> Result<Tools, ApiError> {
    let definitions = fields.array("tools")?.unwrap_or_default();
    for (index, tool) in definitions.iter().enumerate() {
        check_tool(&format!("tools[{index}]"), tool)?;
    }
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
    // As in vLLM: without a call to make, the model is not told of the tools.
    let definitions = if enabled { definitions } else { Vec::new() };
    Ok(Tools {
        enabled: enabled && !definitions.is_empty(),
        definitions,
    })
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
    let name = function
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(valid) {
        let path = format!("{path}.name");
        let message = format!("`{path}` must be 1 to 128 letters, digits, `_`, `-` or `.`.");
        return Err(ApiError::field(path, message));
    }
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
