//! `POST /v1/chat/completions`.

use serde_json::{Map, Value};

use super::budget;
use super::fields::Fields;
use super::messages::{self, Tools};
use super::notes::Notes;
use super::sampling::{self, Generation, HARMLESS, UNSUPPORTED};
use super::transcript::Transcript;
use crate::budget::pipeline::Wish;
use crate::config::serve::RequestLimits;
use crate::model::ServedModel;
use crate::wire::error::ApiError;

/// A conversation to continue, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// What is rendered.
    pub conversation: Conversation,
    /// How to answer.
    pub generation: Generation,
    /// What the context budgeter is asked for.
    pub wish: Wish,
}

/// What a chat template renders.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// Messages in OpenAI's shape.
    pub messages: Vec<Value>,
    /// What the client says of them; it is not rendered.
    pub notes: Notes,
    /// Tools.
    pub tools: Tools,
    /// Documents for retrieval.
    pub documents: Option<Vec<Value>>,
    /// Whether the prompt ends with the beginning of an answer.
    pub add_generation_prompt: bool,
    /// Whether the prompt ends inside the last message.
    pub continue_final_message: bool,
    /// Whether the tokenizer adds its own special tokens to the rendered text.
    pub add_special_tokens: bool,
    /// More variables for the template.
    pub template_kwargs: Option<Map<String, Value>>,
}

/// Fields of a chat that would change the answer and that the server does not have.
pub(super) const CHAT_UNSUPPORTED: [(&str, &str); 9] = [
    ("audio", "only text is supported."),
    ("functions", "use `tools`."),
    ("function_call", "use `tool_choice`."),
    ("web_search_options", "the server searches nothing."),
    ("prediction", "predicted outputs are not supported."),
    (
        "reasoning_effort",
        "use `chat_template_kwargs` if the model's template has such a switch.",
    ),
    ("chat_template", "templates of clients are not run."),
    ("echo", "a chat's prompt is not repeated."),
    ("mm_processor_kwargs", "only text is supported."),
];

/// Reads and checks a body.
///
/// # Errors
/// The first wrong field.
pub fn request(
    body: &[u8],
    model: &ServedModel,
    limits: &RequestLimits,
) -> Result<ChatRequest, ApiError> {
    from_fields(Fields::from_body(body)?, model, limits)
}

/// Checks the fields of a body; some may have been taken already.
///
/// # Errors
/// The first wrong field.
pub fn from_fields(
    mut fields: Fields,
    model: &ServedModel,
    limits: &RequestLimits,
) -> Result<ChatRequest, ApiError> {
    let logprobs = logprobs(&mut fields, limits)?;
    let conversation = conversation(&mut fields, limits)?;
    let wish = Wish {
        budget: budget::request(&mut fields)?,
        management: budget::management(&mut fields)?,
    };
    let generation = sampling::generation(&mut fields, model, logprobs, limits.max_n)?;
    check_modalities(&mut fields)?;
    let unsupported = [&UNSUPPORTED[..], &CHAT_UNSUPPORTED[..]].concat();
    fields.finish(&HARMLESS, &unsupported)?;
    Ok(ChatRequest {
        conversation,
        generation,
        wish,
    })
}

/// Takes the fields that a chat template renders.
///
/// # Errors
/// The first wrong field.
pub fn conversation(fields: &mut Fields, limits: &RequestLimits) -> Result<Conversation, ApiError> {
    let Transcript {
        messages,
        mut notes,
        ..
    } = messages::messages(fields, limits.max_messages)?;
    let tools = messages::tools(fields, &mut notes)?;
    let conversation = Conversation {
        messages,
        notes,
        tools,
        documents: fields.array("documents")?,
        add_generation_prompt: fields.boolean("add_generation_prompt")?.unwrap_or(true),
        continue_final_message: fields.boolean("continue_final_message")?.unwrap_or(false),
        add_special_tokens: fields.boolean("add_special_tokens")?.unwrap_or(false),
        template_kwargs: fields.object("chat_template_kwargs")?,
    };
    if conversation.continue_final_message && conversation.add_generation_prompt {
        let message = "`continue_final_message` needs `add_generation_prompt` to be false.";
        return Err(ApiError::field("continue_final_message", message));
    }
    Ok(conversation)
}

fn logprobs(fields: &mut Fields, limits: &RequestLimits) -> Result<Option<u32>, ApiError> {
    let wanted = fields.boolean("logprobs")?.unwrap_or(false);
    let top = fields.count("top_logprobs", 0..=limits.max_logprobs)?;
    match (wanted, top) {
        (true, top) => Ok(Some(top.unwrap_or(0) as u32)),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => {
            let message = "`top_logprobs` is only allowed when `logprobs` is true.";
            Err(ApiError::field("top_logprobs", message))
        }
    }
}

fn check_modalities(fields: &mut Fields) -> Result<(), ApiError> {
    match fields.array("modalities")? {
        Some(kinds) if kinds.iter().any(|kind| kind != "text") => Err(ApiError::unsupported(
            "modalities",
            "`modalities`: only `text` is supported.",
        )),
        _ => Ok(()),
    }
}
