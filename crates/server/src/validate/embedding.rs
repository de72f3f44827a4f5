//! `POST /v1/embeddings`.

use super::completion::{Prompt, prompts};
use super::fields::Fields;
use super::sampling::{cache_salt, check_model, priority};
use crate::model::ServedModel;
use crate::wire::error::ApiError;

/// Texts of one request at most, as in OpenAI's API.
const MAX_INPUTS: usize = 2_048;

/// Texts to embed, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingRequest {
    /// At least one.
    pub inputs: Vec<Prompt>,
    /// Whether the tokenizer adds its special tokens to inputs that are text.
    pub add_special_tokens: bool,
    /// How the numbers are written.
    pub encoding: Encoding,
    /// Class of the request; lower is earlier.
    pub priority: i32,
    /// Keeps the request's cached prefixes to requests with the same salt.
    pub cache_salt: String,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As an array.
    Float,
    /// The bytes of little-endian f32, in base64.
    Base64,
}

/// Reads and checks a body.
///
/// # Errors
/// The first wrong field.
pub fn request(body: &[u8], model: &ServedModel) -> Result<EmbeddingRequest, ApiError> {
    let mut fields = Fields::from_body(body)?;
    check_model(&mut fields, model)?;
    let input = fields.value("input");
    let input = input.ok_or_else(|| fields.missing("input"))?;
    let encoding = match fields.string("encoding_format")?.as_deref() {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(_) => {
            let message = "`encoding_format` must be `float` or `base64`.";
            return Err(ApiError::field("encoding_format", message));
        }
    };
    let request = EmbeddingRequest {
        inputs: prompts("input", MAX_INPUTS, input, model)?,
        add_special_tokens: fields.boolean("add_special_tokens")?.unwrap_or(true),
        encoding,
        priority: priority(&mut fields)?,
        cache_salt: cache_salt(&mut fields)?,
    };
    let unsupported = [
        (
            "dimensions",
            "embeddings have the size that the model gives.",
        ),
        ("truncate_prompt_tokens", "texts are never cut silently."),
    ];
    fields.finish(&["user"], &unsupported)?;
    Ok(request)
}
