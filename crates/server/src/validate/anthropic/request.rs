//! The body of `POST /v1/messages` and of `POST /v1/messages/count_tokens`.

use serde_json::{Map, Value};

use super::conversation;
use crate::budget::pipeline::Wish;
use crate::config::serve::RequestLimits;
use crate::model::ServedModel;
use crate::validate::budget;
use crate::validate::chat::{CHAT_UNSUPPORTED, ChatRequest, Conversation};
use crate::validate::fields::Fields;
use crate::validate::grammar;
use crate::validate::sampling::{self, HARMLESS, UNSUPPORTED};
use crate::wire::error::ApiError;
use crate::wire::message::THREAD;

/// Fields of the API that would change the answer and that the server does not have.
const OWN_UNSUPPORTED: [(&str, &str); 5] = [
    (
        THREAD,
        "the server keeps no conversations; send the whole of it.",
    ),
    ("container", "the server runs no code."),
    ("mcp_servers", "the server calls no other servers."),
    ("fallbacks", "the server has one model."),
    ("speed", "there is one speed."),
];

/// Fields of the API that change no answer here.
const OWN_HARMLESS: [&str; 2] = ["inference_geo", "betas"];

/// Reads and checks a body of `/v1/messages`. Beside the API's own fields those that
/// `/v1/chat/completions` has beyond OpenAI's API are taken.
///
/// # Errors
/// The first wrong field.
pub fn request(
    body: &[u8],
    model: &ServedModel,
    limits: &RequestLimits,
) -> Result<ChatRequest, ApiError> {
    let mut fields = Fields::from_body(body)?;
    fields.spell("stop", "stop_sequences");
    let mut conversation = conversation(&mut fields, limits)?;
    let wish = Wish {
        budget: budget::request(&mut fields)?,
        management: budget::management(&mut fields)?,
    };
    let mut kwargs = fields.object("chat_template_kwargs")?.unwrap_or_default();
    let budget_tokens = thinking(&mut fields, &mut kwargs)?;
    let form = output_config(&mut fields, &mut kwargs)?;
    conversation.template_kwargs = Some(kwargs).filter(|kwargs| !kwargs.is_empty());
    let mut generation = sampling::generation(&mut fields, model, None, 1)?;
    generation.thinking_budget = budget_tokens.or(generation.thinking_budget);
    if let Some(form) = form {
        if generation.grammar.is_some() {
            let message =
                "`output_config.format`: another field asks for a form of the answer, too.";
            return Err(ApiError::field("output_config.format", message));
        }
        generation.grammar = Some(form);
    }
    diagnostics(&mut fields)?;
    finish(fields)?;
    Ok(ChatRequest {
        conversation,
        generation,
        wish,
    })
}

/// Reads and checks a body of `/v1/messages/count_tokens`: that of a message; what is about the
/// answer has no effect.
///
/// # Errors
/// The first wrong field.
pub fn count(
    body: &[u8],
    model: &ServedModel,
    limits: &RequestLimits,
) -> Result<Conversation, ApiError> {
    Ok(request(body, model, limits)?.conversation)
}

fn finish(fields: Fields) -> Result<(), ApiError> {
    // A conversation has it in another shape.
    let unsupported = UNSUPPORTED.iter().chain(&CHAT_UNSUPPORTED);
    let unsupported: Vec<_> = unsupported.chain(&OWN_UNSUPPORTED).copied().collect();
    fields.finish(&[&HARMLESS[..], &OWN_HARMLESS].concat(), &unsupported)
}

/// Takes `thinking`: the switch that chat templates have for it, and the tokens that it may take.
fn thinking(
    fields: &mut Fields,
    kwargs: &mut Map<String, Value>,
) -> Result<Option<usize>, ApiError> {
    let Some(thinking) = fields.object("thinking")? else {
        return Ok(None);
    };
    let mut thinking = Fields::from_value(fields.path("thinking"), Value::Object(thinking))?;
    let kind = thinking
        .string("type")?
        .ok_or_else(|| thinking.missing("type"))?;
    let budget = thinking.count("budget_tokens", 1..=usize::MAX)?;
    // Whether it is shown in full or in summary: a summary would be another model's.
    thinking.value("display");
    let switch = match kind.as_str() {
        "enabled" if budget.is_none() => return Err(thinking.missing("budget_tokens")),
        "enabled" => Some(true),
        "disabled" => Some(false),
        // As the model sees fit, which is what its template does unasked.
        "adaptive" => None,
        _ => {
            let path = thinking.path("type");
            let message = format!("`{path}` must be `enabled`, `disabled` or `adaptive`.");
            return Err(ApiError::field(path, message));
        }
    };
    thinking.finish(&[], &[])?;
    if let Some(switch) = switch {
        // Qwen's and Granite's names.
        for name in ["enable_thinking", "thinking"] {
            kwargs.entry(name).or_insert(Value::Bool(switch));
        }
    }
    Ok(budget)
}

/// Takes `diagnostics`, which asks why less was cached than of an earlier message.
fn diagnostics(fields: &mut Fields) -> Result<(), ApiError> {
    let Some(asked) = fields.object("diagnostics")? else {
        return Ok(());
    };
    let asked = Fields::from_value(fields.path("diagnostics"), Value::Object(asked))?;
    let reason = "use `explain_cache`, which needs no earlier message.";
    asked.finish(&[], &[("previous_message_id", reason)])
}

/// Takes `output_config`: `effort` is the template's `reasoning_effort`, and `format` a schema that
/// the answer keeps to. `output_format` is its older name.
fn output_config(
    fields: &mut Fields,
    kwargs: &mut Map<String, Value>,
) -> Result<Option<grammar::AskedGrammar>, ApiError> {
    let older = format(fields, "output_format")?;
    let Some(config) = fields.object("output_config")? else {
        return Ok(older);
    };
    let mut config = Fields::from_value(fields.path("output_config"), Value::Object(config))?;
    if let Some(effort) = config.string("effort")? {
        let known = match effort.as_str() {
            "low" | "medium" | "high" => effort,
            // Templates know three.
            "xhigh" | "max" => "high".to_owned(),
            _ => {
                let path = config.path("effort");
                let message = format!("`{path}` must be low, medium, high, xhigh or max.");
                return Err(ApiError::field(path, message));
            }
        };
        kwargs
            .entry("reasoning_effort")
            .or_insert(Value::from(known));
    }
    let newer = format(&mut config, "format")?;
    config.finish(&[], &[])?;
    Ok(newer.or(older))
}

fn format(
    fields: &mut Fields,
    name: &'static str,
) -> Result<Option<grammar::AskedGrammar>, ApiError> {
    let Some(format) = fields.object(name)? else {
        return Ok(None);
    };
    let mut format = Fields::from_value(fields.path(name), Value::Object(format))?;
    let kind = format
        .string("type")?
        .ok_or_else(|| format.missing("type"))?;
    if kind != "json_schema" {
        let path = format.path("type");
        let message = format!("`{path}` must be `json_schema`.");
        return Err(ApiError::field(path, message));
    }
    let schema = format
        .value("schema")
        .ok_or_else(|| format.missing("schema"))?;
    let asked = grammar::of_schema(&format.path("schema"), schema)?;
    format.finish(&["name", "strict"], &[])?;
    Ok(Some(asked))
}
