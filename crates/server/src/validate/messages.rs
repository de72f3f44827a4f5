//! Messages and tools, in OpenAI's shape; what has Anthropic's is translated.
//!
//! What a chat template reads is checked for its type; other fields of a message are the template's
//! business and pass through, since models define their own.

use serde_json::{Map, Value};

use super::anthropic;
use super::fields::{Fields, wrong_type};
use super::notes::{Mark, MarkPlace, Notes, take_mark};
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
    /// Definitions of those that the model is told of, for the chat template.
    pub definitions: Vec<Value>,
    /// Those that it is not told of, and the number of each in the request (`defer_loading`).
    pub deferred: Vec<(usize, Value)>,
    /// Whether the model may or must call any.
    pub choice: ToolChoice,
    /// Whether it may call several at once.
    pub parallel: bool,
}

/// Where a chat names the tool that is to be called.
pub(super) const CHOSEN: &str = "tool_choice.function.name";

/// Whether a model may or must call tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it sees fit.
    Auto,
    /// It calls none, and is told of none.
    None,
    /// It calls one at least.
    Required,
    /// It calls the tool of this name.
    Named(String),
}

impl Tools {
    /// Tools that the model is told of if it may call them, as in vLLM.
    pub fn new(definitions: Vec<Value>, allowed: bool) -> Self {
        let tools = Self {
            definitions,
            deferred: Vec::new(),
            choice: ToolChoice::Auto,
            parallel: true,
        };
        tools.allowed(allowed)
    }

    /// Whether calls are looked for in the answer.
    pub fn are_callable(&self) -> bool {
        !self.definitions.is_empty()
    }

    /// All tools of the request, with their numbers in it.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Value)> {
        let is_deferred = |number: &usize| self.deferred.iter().any(|(at, _)| at == number);
        let told = (0..).filter(move |number| !is_deferred(number));
        let deferred = self.deferred.iter().map(|(number, tool)| (*number, tool));
        told.zip(&self.definitions).chain(deferred)
    }

    /// The same tools, or none of them.
    pub(super) fn allowed(self, allowed: bool) -> Self {
        if allowed {
            return self;
        }
        Self {
            definitions: Vec::new(),
            deferred: Vec::new(),
            choice: ToolChoice::None,
            parallel: self.parallel,
        }
    }

    /// The same tools, of which the model has to call one, or the one of a name.
    ///
    /// # Errors
    /// When there is none, or none of that name that it is told of.
    pub(super) fn forced(mut self, path: &str, choice: ToolChoice) -> Result<Self, ApiError> {
        let name = |tool: &Value| tool["function"]["name"].as_str().map(str::to_owned);
        let is_told = |wanted: &String| {
            let mut names = self.definitions.iter().filter_map(name);
            names.any(|name| name == *wanted)
        };
        let message = match &choice {
            _ if self.definitions.is_empty() => {
                format!("`{path}` is only allowed when `tools` are specified.")
            }
            ToolChoice::Named(wanted) if !is_told(wanted) => {
                format!("`{path}`: `{wanted}` is none of the tools that the model is told of.")
            }
            _ => {
                self.choice = choice;
                return Ok(self);
            }
        };
        Err(ApiError::field(path, message))
    }
}

/// Takes `tools`, `tool_choice` and `parallel_tool_calls`.
///
/// # Errors
/// The first wrong tool, or a choice that makes no sense.
pub(super) fn tools(fields: &mut Fields, notes: &mut Notes) -> Result<Tools, ApiError> {
    let mut tools = definitions(fields, notes)?;
    tools.parallel = fields.boolean("parallel_tool_calls")?.unwrap_or(true);
    let path = "tool_choice";
    let Some(choice) = fields.value(path) else {
        return Ok(tools);
    };
    if let Value::Object(_) = choice {
        let path = fields.path(CHOSEN);
        return tools.forced(&path, ToolChoice::Named(named(choice)?));
    }
    match choice.as_str() {
        Some("auto") if tools.definitions.is_empty() => {
            let message = "`tool_choice` is only allowed when `tools` are specified.";
            Err(ApiError::field(path, message))
        }
        Some("auto") => Ok(tools),
        Some("none") => Ok(tools.allowed(false)),
        Some("required") => tools.forced(path, ToolChoice::Required),
        _ => {
            let message = "`tool_choice` must be `auto`, `none`, `required`, or \
                           `{\"type\": \"function\", \"function\": {\"name\": ..}}`.";
            Err(ApiError::field(path, message))
        }
    }
}

/// The name of the function that an object chooses.
fn named(choice: Value) -> Result<String, ApiError> {
    let mut choice = Fields::from_value("tool_choice".to_owned(), choice)?;
    let kind = choice.string("type")?;
    if kind.as_deref() != Some("function") {
        let message = "`tool_choice.type` must be `function`.";
        return Err(ApiError::field("tool_choice.type", message));
    }
    let function = choice.object("function")?;
    let function = function.ok_or_else(|| choice.missing("function"))?;
    let path = choice.path("function");
    choice.finish(&[], &[])?;
    let mut function = Fields::from_value(path, Value::Object(function))?;
    let name = function
        .string("name")?
        .ok_or_else(|| function.missing("name"))?;
    function.finish(&[], &[])?;
    Ok(name)
}

/// Takes `tools`, in OpenAI's shape or in Anthropic's.
///
/// # Errors
/// The first wrong tool.
pub(super) fn definitions(fields: &mut Fields, notes: &mut Notes) -> Result<Tools, ApiError> {
    let listed = fields.array("tools")?.unwrap_or_default();
    let mut tools = Tools::new(Vec::with_capacity(listed.len()), true);
    for (index, mut tool) in listed.into_iter().enumerate() {
        let path = format!("tools[{index}]");
        let (mut mark, mut is_deferred) = (None, false);
        if let Some(fields) = tool.as_object_mut() {
            mark = take_mark(fields, &path)?;
            is_deferred = take_deferral(fields, &path)?;
        }
        if mark.is_some() && is_deferred {
            let path = format!("{path}.cache_control");
            let message = format!("`{path}`: a tool with `defer_loading` is not in the prompt.");
            return Err(ApiError::field(path, message));
        }
        if let Some(ttl) = mark {
            let place = MarkPlace::Place(Place::Tool(index));
            notes.marks.push(Mark { place, ttl });
        }
        if is_anthropic(&tool) {
            tool = anthropic::tool(&path, tool)?;
            check_name(&format!("{path}.name"), &tool["function"]["name"])?;
        } else {
            check_tool(&path, &tool)?;
        }
        if is_deferred {
            tools.deferred.push((index, tool));
        } else {
            tools.definitions.push(tool);
        }
    }
    if tools.definitions.is_empty() && !tools.deferred.is_empty() {
        let message = "`tools`: all of them have `defer_loading`, so that nothing would ever lead \
                       the model to one.";
        return Err(ApiError::field("tools", message));
    }
    Ok(tools)
}

/// Takes Anthropic's `defer_loading`, which stands beside `type` and `function` in OpenAI's shape.
fn take_deferral(fields: &mut Map<String, Value>, path: &str) -> Result<bool, ApiError> {
    let is_inside = |function: &Value| function.get("defer_loading").is_some();
    if fields.get("function").is_some_and(is_inside) {
        let inner = format!("{path}.function.defer_loading");
        let message = format!("`{inner}`: it belongs to the tool, as `{path}.defer_loading`.");
        return Err(ApiError::field(inner, message));
    }
    match fields.shift_remove("defer_loading") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(is_deferred)) => Ok(is_deferred),
        Some(other) => {
            let path = format!("{path}.defer_loading");
            Err(wrong_type(&path, "a boolean", &other))
        }
    }
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
    match function.get("strict") {
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        Some(other) => Err(wrong_type(&format!("{path}.strict"), "a boolean", other)),
    }
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
