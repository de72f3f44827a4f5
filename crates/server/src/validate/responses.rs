//! The body of `POST /v1/responses` and of `POST /v1/responses/input_tokens`.
//!
//! Source: <https://platform.openai.com/docs/api-reference/responses>.

mod input;
mod tools;

use serde_json::{Map, Value, json};

use super::budget;
use super::chat::{CHAT_UNSUPPORTED, ChatRequest, Conversation};
use super::fields::Fields;
use super::grammar::{self, AskedGrammar};
use super::messages;
use super::sampling::{self, Generation, HARMLESS, UNSUPPORTED};
use super::transcript::Transcript;
use crate::budget::pipeline::Wish;
use crate::config::serve::RequestLimits;
use crate::model::ServedModel;
use crate::wire::error::ApiError;

/// A response to make, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseRequest {
    /// The conversation, all earlier turns included.
    pub chat: ChatRequest,
    /// The response that this one goes on from.
    pub previous: Option<String>,
    /// Whether it is kept, so that another may go on from it.
    pub is_stored: bool,
    /// What the request adds to the conversation, in the shapes that it came in.
    pub input: Vec<Value>,
    /// The same as messages of a chat.
    pub messages: Vec<Value>,
    /// Fields that the response repeats.
    pub repeated: Map<String, Value>,
}

/// Fields that would change the answer and that the server does not have.
const OWN_UNSUPPORTED: [(&str, &str); 6] = [
    (
        "background",
        "a response is made while its client waits for it.",
    ),
    ("conversation", "use `previous_response_id`."),
    ("prompt", "the server keeps no templates of prompts."),
    ("max_tool_calls", "the server calls no tools of its own."),
    ("context_management", "use `context_budget`."),
    ("moderation", "the server moderates nothing."),
];

/// Reads and checks a body. `earlier` gives the messages up to and with a response, if it is kept.
///
/// # Errors
/// The first wrong field.
pub fn request(
    body: &[u8],
    model: &ServedModel,
    limits: &RequestLimits,
    earlier: impl FnOnce(&str) -> Option<Vec<Value>>,
) -> Result<ResponseRequest, ApiError> {
    let mut fields = Fields::from_body(body)?;
    fields.spell("max_completion_tokens", "max_output_tokens");
    fields.spell(messages::CHOSEN, "tool_choice.name");
    let mut repeated = Map::new();
    let previous = fields.string("previous_response_id")?;
    let before = match &previous {
        None => Vec::new(),
        Some(id) => earlier(id).ok_or_else(|| {
            let message = format!(
                "Previous response with id '{id}' not found: it was never stored, or it has made \
                 room for newer ones."
            );
            ApiError::not_found(
                "previous_response_id",
                "previous_response_not_found",
                message,
            )
        })?,
    };
    let read = input::input(&mut fields, &before, limits.max_messages)?;
    let instructions = fields.string("instructions")?;
    repeated.insert("instructions".to_owned(), json!(instructions));
    let mut transcript = Transcript::of("input");
    if let Some(instructions) = instructions {
        transcript.push_system(Value::from(instructions))?;
    }
    before
        .into_iter()
        .for_each(|message| transcript.push_earlier(message));
    for (index, message) in &read.messages {
        transcript.push(*index, message.clone())?;
    }
    let conversation = conversation(&mut fields, transcript, &mut repeated)?;
    let wish = Wish {
        budget: budget::request(&mut fields)?,
        management: None,
    };
    let is_stored = fields.boolean("store")?.unwrap_or(true);
    let generation = generation(&mut fields, model, &mut repeated)?;
    let unsupported = UNSUPPORTED.iter().chain(&CHAT_UNSUPPORTED);
    let unsupported: Vec<_> = unsupported.chain(&OWN_UNSUPPORTED).copied().collect();
    fields.finish(&HARMLESS, &unsupported)?;
    repeated.insert("store".to_owned(), json!(is_stored));
    repeated.insert("previous_response_id".to_owned(), json!(previous));
    Ok(ResponseRequest {
        chat: ChatRequest {
            conversation,
            generation,
            wish,
        },
        previous,
        is_stored,
        input: read.items,
        messages: read
            .messages
            .into_iter()
            .map(|(_, message)| message)
            .collect(),
        repeated,
    })
}

fn conversation(
    fields: &mut Fields,
    mut transcript: Transcript,
    repeated: &mut Map<String, Value>,
) -> Result<Conversation, ApiError> {
    tools::to_chat(fields, repeated)?;
    let tools = messages::tools(fields, &mut transcript.notes)?;
    repeated.insert("parallel_tool_calls".to_owned(), json!(tools.parallel));
    let mut kwargs = fields.object("chat_template_kwargs")?.unwrap_or_default();
    reasoning(fields, &mut kwargs, repeated)?;
    Ok(Conversation {
        messages: transcript.messages,
        notes: transcript.notes,
        tools,
        documents: None,
        add_generation_prompt: true,
        continue_final_message: false,
        add_special_tokens: false,
        template_kwargs: Some(kwargs).filter(|kwargs| !kwargs.is_empty()),
    })
}

/// Takes `reasoning`: `effort` is the template's `reasoning_effort`, and `none` its switch.
fn reasoning(
    fields: &mut Fields,
    kwargs: &mut Map<String, Value>,
    repeated: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    let asked = fields.object("reasoning")?.unwrap_or_default();
    let path = fields.path("reasoning");
    let mut asked = Fields::from_value(path, Value::Object(asked))?;
    let effort = asked.string("effort")?;
    match effort.as_deref() {
        None => {}
        Some("none") => {
            for name in ["enable_thinking", "thinking"] {
                kwargs.entry(name).or_insert(Value::Bool(false));
            }
        }
        Some(effort @ ("low" | "medium" | "high")) => {
            kwargs.entry("reasoning_effort").or_insert(effort.into());
        }
        // Templates know three.
        Some("minimal") => {
            kwargs.entry("reasoning_effort").or_insert("low".into());
        }
        Some("xhigh") => {
            kwargs.entry("reasoning_effort").or_insert("high".into());
        }
        Some(_) => {
            let path = asked.path("effort");
            let message = format!("`{path}` must be none, minimal, low, medium, high or xhigh.");
            return Err(ApiError::field(path, message));
        }
    }
    // Reasoning is told as it is: a summary would be another model's work.
    asked.finish(&["summary", "generate_summary"], &[])?;
    let told = json!({"effort": effort, "summary": null});
    repeated.insert("reasoning".to_owned(), told);
    Ok(())
}

fn generation(
    fields: &mut Fields,
    model: &ServedModel,
    repeated: &mut Map<String, Value>,
) -> Result<Generation, ApiError> {
    let form = text(fields, repeated)?;
    include(fields)?;
    if fields.count("top_logprobs", 0..=20)?.unwrap_or(0) > 0 {
        let message = "`top_logprobs`: log probabilities are told by `/v1/chat/completions`.";
        return Err(ApiError::unsupported("top_logprobs", message));
    }
    if let Some(truncation) = fields.string("truncation")?
        && truncation != "disabled"
    {
        let message = "`truncation`: nothing is cut silently; use `context_budget`.";
        return Err(ApiError::unsupported("truncation", message));
    }
    let metadata = fields.object("metadata")?.unwrap_or_default();
    repeated.insert("metadata".to_owned(), Value::Object(metadata));
    let mut generation = sampling::generation(fields, model, None, 1)?;
    if let Some(form) = form {
        if generation.grammar.is_some() {
            let message = "`text.format`: another field asks for a form of the answer, too.";
            return Err(ApiError::field("text.format", message));
        }
        generation.grammar = Some(form);
    }
    let sampling = &generation.sampling;
    for (name, value) in [
        ("temperature", json!(sampling.temperature)),
        ("top_p", json!(sampling.top_p)),
        ("max_output_tokens", json!(generation.max_tokens)),
    ] {
        repeated.insert(name.to_owned(), value);
    }
    Ok(generation)
}

/// Takes `text`: the form of the answer.
fn text(
    fields: &mut Fields,
    repeated: &mut Map<String, Value>,
) -> Result<Option<AskedGrammar>, ApiError> {
    let plain = json!({"format": {"type": "text"}});
    let Some(text) = fields.object("text")? else {
        repeated.insert("text".to_owned(), plain);
        return Ok(None);
    };
    repeated.insert("text".to_owned(), Value::Object(text.clone()));
    let mut text = Fields::from_value(fields.path("text"), Value::Object(text))?;
    let format = text.object("format")?;
    let path = text.path("format");
    // How many words the answer has is the model's.
    text.finish(&["verbosity"], &[])?;
    let Some(format) = format else {
        return Ok(None);
    };
    let mut format = Fields::from_value(path, Value::Object(format))?;
    let kind = format
        .string("type")?
        .ok_or_else(|| format.missing("type"))?;
    let asked = match kind.as_str() {
        "text" => None,
        "json_object" => Some(grammar::json_object(format.name())),
        "json_schema" => {
            let schema = format.value("schema");
            let schema = schema.ok_or_else(|| format.missing("schema"))?;
            Some(grammar::of_schema(&format.path("schema"), schema)?)
        }
        _ => {
            let path = format.path("type");
            let message = format!("`{path}` must be `text`, `json_object` or `json_schema`.");
            return Err(ApiError::field(path, message));
        }
    };
    format.finish(&["name", "strict", "description"], &[])?;
    Ok(asked)
}

/// What the response is to tell beyond what it always tells.
fn include(fields: &mut Fields) -> Result<(), ApiError> {
    for (index, wanted) in fields.array("include")?.into_iter().flatten().enumerate() {
        // Reasoning is told in the open, so that there is nothing to be encrypted.
        if wanted != "reasoning.encrypted_content" {
            let path = format!("include[{index}]");
            let message = format!("`{path}`: {wanted} is not supported.");
            return Err(ApiError::unsupported(path, message));
        }
    }
    Ok(())
}
