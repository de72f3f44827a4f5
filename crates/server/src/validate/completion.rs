//! `POST /v1/completions`.

use serde_json::Value;

use super::fields::{Fields, integer, wrong_type};
use super::sampling::{self, Generation, HARMLESS, UNSUPPORTED};
use crate::config::serve::RequestLimits;
use crate::model::ServedModel;
use crate::wire::error::ApiError;

/// Prompts of one request at most.
const MAX_PROMPTS: usize = 256;

/// Output tokens when the request does not say, as in OpenAI's API.
pub const DEFAULT_MAX_TOKENS: usize = 16;

/// Prompts to continue, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct CompletionRequest {
    /// At least one.
    pub prompts: Vec<Prompt>,
    /// Whether the tokenizer adds its special tokens to prompts that are text.
    pub add_special_tokens: bool,
    /// Whether answers begin with their prompts.
    pub echo: bool,
    /// How to continue.
    pub generation: Generation,
}

/// A prompt as it came.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// Text.
    Text(String),
    /// Token ids.
    Tokens(Vec<u32>),
}

/// Reads and checks a body.
///
/// # Errors
/// The first wrong field.
pub fn request(
    body: &[u8],
    model: &ServedModel,
    limits: &RequestLimits,
) -> Result<CompletionRequest, ApiError> {
    let mut fields = Fields::from_body(body)?;
    let logprobs = logprobs(&mut fields, limits)?;
    let prompt = fields
        .value("prompt")
        .ok_or_else(|| fields.missing("prompt"))?;
    let prompts = prompts("prompt", MAX_PROMPTS, prompt, model.vocab_size)?;
    let echo = fields.boolean("echo")?.unwrap_or(false);
    if echo && logprobs.is_some() {
        let message = "`echo`: log probabilities of a prompt are not told; leave out `logprobs`.";
        return Err(ApiError::unsupported("echo", message));
    }
    let add_special_tokens = fields.boolean("add_special_tokens")?.unwrap_or(true);
    let generation = sampling::generation(&mut fields, model, logprobs, limits.max_n)?;
    if generation.include_context_budget {
        let field = "stream_options.include_context_budget";
        let message = format!("`{field}`: a completion has no context budget.");
        return Err(ApiError::unsupported(field, message));
    }
    if generation.thinking_budget.is_some() {
        let field = "thinking_token_budget";
        let message = format!("`{field}`: a completion has no reasoning apart from its text.");
        return Err(ApiError::unsupported(field, message));
    }
    let best_of = fields.count("best_of", 1..=usize::MAX)?;
    if best_of.is_some_and(|best_of| best_of != generation.n) {
        let message = "`best_of`: answers are not ranked; ask for `n` and choose.";
        return Err(ApiError::unsupported("best_of", message));
    }
    let own = [
        ("suffix", "filling in the middle is not supported."),
        ("prompt_embeds", "prompts are text or token ids."),
    ];
    fields.finish(&HARMLESS, &[&UNSUPPORTED[..], &own[..]].concat())?;
    Ok(CompletionRequest {
        prompts,
        add_special_tokens,
        echo,
        generation,
    })
}

fn logprobs(fields: &mut Fields, limits: &RequestLimits) -> Result<Option<u32>, ApiError> {
    Ok(fields
        .count("logprobs", 0..=limits.max_logprobs)?
        .map(|top| top as u32))
}

/// A string, token ids, a list of strings, or a list of lists of token ids; `max` of them at most.
///
/// # Errors
/// When it is something else, by its path.
pub(super) fn prompts(
    path: &str,
    max: usize,
    value: Value,
    vocab_size: usize,
) -> Result<Vec<Prompt>, ApiError> {
    let prompts = match value {
        Value::String(text) => vec![Prompt::Text(text)],
        Value::Array(items) if items.first().is_some_and(Value::is_number) => {
            vec![Prompt::Tokens(token_ids(path, &items, vocab_size)?)]
        }
        Value::Array(items) if items.is_empty() => {
            return Err(ApiError::field(path, format!("`{path}` is empty.")));
        }
        Value::Array(items) if items.len() > max => {
            let message = format!("`{path}` has {} prompts, at most {max}.", items.len());
            return Err(ApiError::field(path, message));
        }
        Value::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| match item {
                Value::String(text) => Ok(Prompt::Text(text)),
                Value::Array(ids) => {
                    token_ids(&format!("{path}[{index}]"), &ids, vocab_size).map(Prompt::Tokens)
                }
                other => {
                    let path = format!("{path}[{index}]");
                    Err(wrong_type(
                        &path,
                        "a string or an array of token ids",
                        &other,
                    ))
                }
            })
            .collect::<Result<_, _>>()?,
        other => {
            let expected = "a string, token ids, or an array of them";
            return Err(wrong_type(path, expected, &other));
        }
    };
    Ok(prompts)
}

/// Token ids of a model that has `vocab_size` of them.
///
/// # Errors
/// The first that is none, by its index.
pub fn token_ids(path: &str, values: &[Value], vocab_size: usize) -> Result<Vec<u32>, ApiError> {
    values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let path = format!("{path}[{index}]");
            let id = integer(&path, value, 0..=i64::from(u32::MAX))? as u32;
            if (id as usize) < vocab_size {
                Ok(id)
            } else {
                let message =
                    format!("`{path}`: {id} is not a token id; the model has {vocab_size}.");
                Err(ApiError::field(path, message))
            }
        })
        .collect()
}
