//! The bodies of Ollama's `POST /api/chat` and `POST /api/generate`, as chats.
//!
//! Source: <https://github.com/ollama/ollama/blob/main/docs/api.md>.

mod messages;
mod options;

use serde_json::{Map, Value, json};

use super::chat::{self, ChatRequest};
use super::fields::{Fields, wrong_type};
use super::grammar::{self, AskedGrammar};
use crate::config::serve::RequestLimits;
use crate::model::ServedModel;
use crate::wire::error::ApiError;

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum OllamaRequest {
    /// An answer.
    Chat(Box<ChatRequest>),
    /// Nothing but that the model is loaded, which it always is.
    Load {
        /// The name that it was asked for by.
        model: String,
    },
}

/// Fields that change no answer here: the model is always loaded, and logs are the server's.
const HARMLESS: [&str; 2] = ["keep_alive", "verbose"];

/// Fields that are about the answer.
const ABOUT_ANSWERS: [&str; 7] = [
    "think",
    "format",
    "stream",
    "logprobs",
    "top_logprobs",
    "options",
    "context_budget",
];

/// Reads a body of `/api/chat`.
///
/// # Errors
/// The first wrong field.
pub fn chat(
    body: &[u8],
    model: &ServedModel,
    limits: &RequestLimits,
) -> Result<OllamaRequest, ApiError> {
    let mut fields = Fields::from_body(body)?;
    let messages = fields.array("messages")?.unwrap_or_default();
    if messages.is_empty() {
        return load(fields, model, &["tools"]);
    }
    let messages = messages::to_chat(messages)?;
    let tools = fields.array("tools")?;
    request(fields, messages, tools, model, limits)
}

/// Reads a body of `/api/generate`.
///
/// # Errors
/// The first wrong field.
pub fn generate(
    body: &[u8],
    model: &ServedModel,
    limits: &RequestLimits,
) -> Result<OllamaRequest, ApiError> {
    let mut fields = Fields::from_body(body)?;
    for (name, reason) in [
        ("suffix", "filling in the middle is not supported."),
        ("template", "templates of clients are not run."),
        ("context", "send the conversation to `/api/chat`."),
        ("images", "this server's models read text."),
    ] {
        let asks = |value: &Value| !matches!(value, Value::Array(items) if items.is_empty());
        if fields
            .value(name)
            .is_some_and(|value| asks(&value) && value != "")
        {
            let message = format!("`{name}`: {reason}");
            return Err(ApiError::unsupported(name, message));
        }
    }
    if fields.boolean("raw")? == Some(true) {
        let message = "`raw`: use `/v1/completions` for a prompt without a template.";
        return Err(ApiError::unsupported("raw", message));
    }
    let prompt = fields.string("prompt")?.unwrap_or_default();
    if prompt.is_empty() {
        return load(fields, model, &["system"]);
    }
    let system = fields.string("system")?.filter(|system| !system.is_empty());
    let system = system.map(|text| json!({"role": "system", "content": text}));
    let user = json!({"role": "user", "content": prompt});
    let messages = system.into_iter().chain([user]).collect();
    request(fields, messages, None, model, limits)
}

/// Takes the name of the model or an adapter from a body that may name it in two ways.
///
/// # Errors
/// 404 when the server has another.
pub fn name(fields: &mut Fields, model: &ServedModel) -> Result<String, ApiError> {
    let named = fields.string("model")?;
    let named = named.or(fields.string("name")?);
    let named = named.ok_or_else(|| fields.missing("model"))?;
    let short = named.strip_suffix(":latest").unwrap_or(&named);
    let known = model.generating_names();
    let mut asked = [named.as_str(), short].into_iter();
    match asked.find(|name| known.iter().any(|known| known == name)) {
        Some(name) => Ok(name.to_owned()),
        None => Err(ApiError::model_not_found(&named, &known)),
    }
}

/// A chat, read by its own rules: the fields that Ollama calls otherwise keep their names in errors.
/// Nothing is said, so that what is about the answer says nothing; `own` are such fields of one
/// endpoint.
fn load(mut fields: Fields, model: &ServedModel, own: &[&str]) -> Result<OllamaRequest, ApiError> {
    let model = name(&mut fields, model)?;
    fields.finish(&[&HARMLESS[..], &ABOUT_ANSWERS, own].concat(), &[])?;
    Ok(OllamaRequest::Load { model })
}

fn request(
    mut fields: Fields,
    messages: Vec<Value>,
    tools: Option<Vec<Value>>,
    model: &ServedModel,
    limits: &RequestLimits,
) -> Result<OllamaRequest, ApiError> {
    let name = name(&mut fields, model)?;
    let mut kwargs = Map::new();
    think(&mut fields, &mut kwargs)?;
    let format = format(&mut fields)?;
    let stream = fields.boolean("stream")?.unwrap_or(true);
    if fields.boolean("logprobs")? == Some(true) {
        let message = "`logprobs`: log probabilities are told by `/v1/chat/completions`.";
        return Err(ApiError::unsupported("logprobs", message));
    }
    let options = fields.object("options")?.unwrap_or_default();
    let budget = fields.value("context_budget");
    fields.finish(&[&HARMLESS[..], &["top_logprobs"]].concat(), &[])?;

    let mut chat = Map::new();
    chat.insert("model".to_owned(), name.into());
    chat.insert("messages".to_owned(), Value::Array(messages));
    chat.insert("stream".to_owned(), Value::Bool(stream));
    for (name, value) in [
        ("tools", tools.map(Value::Array)),
        ("context_budget", budget),
    ] {
        if let Some(value) = value {
            chat.insert(name.to_owned(), value);
        }
    }
    if !kwargs.is_empty() {
        chat.insert("chat_template_kwargs".to_owned(), Value::Object(kwargs));
    }
    let chat = options::to_chat(options, chat)?;
    let mut request = chat::from_fields(chat, model, limits)?;
    request.generation.grammar = format;
    Ok(OllamaRequest::Chat(Box::new(request)))
}

/// Takes `think`: the switch of chat templates, or how hard.
fn think(fields: &mut Fields, kwargs: &mut Map<String, Value>) -> Result<(), ApiError> {
    let switch = match fields.value("think") {
        None => return Ok(()),
        Some(Value::Bool(switch)) => switch,
        Some(Value::String(level)) if ["low", "medium", "high"].contains(&level.as_str()) => {
            kwargs.insert("reasoning_effort".to_owned(), level.into());
            true
        }
        Some(other) => {
            return Err(wrong_type(
                "think",
                "a boolean, low, medium or high",
                &other,
            ));
        }
    };
    for name in ["enable_thinking", "thinking"] {
        kwargs.insert(name.to_owned(), Value::Bool(switch));
    }
    Ok(())
}

/// Takes `format`: `json`, or a schema.
fn format(fields: &mut Fields) -> Result<Option<AskedGrammar>, ApiError> {
    match fields.value("format") {
        None => Ok(None),
        Some(Value::String(name)) if name.is_empty() => Ok(None),
        Some(Value::String(name)) if name == "json" => Ok(Some(grammar::json_object("format"))),
        Some(schema @ Value::Object(_)) => grammar::of_schema("format", schema).map(Some),
        Some(other) => Err(wrong_type("format", "`json` or a JSON schema", &other)),
    }
}
