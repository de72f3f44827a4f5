//! `POST /v1/embeddings`.

use std::sync::Arc;

use super::completion::{Prompt, prompts};
use super::fields::Fields;
use super::sampling::{adapter_named, cache_salt, priority};
use crate::adapters::ServedAdapter;
use crate::encoder::ServedEncoder;
use crate::model::ServedModel;
use crate::wire::error::ApiError;

/// Texts of one request at most, as in OpenAI's API.
const MAX_INPUTS: usize = 2_048;

/// Texts to embed, checked.
pub struct EmbeddingRequest {
    /// What embeds them.
    pub embedder: Embedder,
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

/// What embeds texts.
pub enum Embedder {
    /// The encoder beside the model.
    Encoder(ServedEncoder),
    /// The model, with an adapter if one is named.
    Model(Option<Arc<ServedAdapter>>),
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
    let embedder = embedder(&mut fields, model)?;
    let vocab_size = match &embedder {
        Embedder::Encoder(encoder) => encoder.vocab_size(),
        Embedder::Model(_) => model.vocab_size,
    };
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
        embedder,
        inputs: prompts("input", MAX_INPUTS, input, vocab_size)?,
        add_special_tokens: fields.boolean("add_special_tokens")?.unwrap_or(true),
        encoding,
        priority: priority(&mut fields)?,
        cache_salt: cache_salt(&mut fields)?,
    };
    if request.priority != 0 && matches!(request.embedder, Embedder::Encoder(_)) {
        let message = "`priority`: texts of the embedding model are computed in turn.";
        return Err(ApiError::unsupported("priority", message));
    }
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

/// The one that the request names; without a name, the encoder where there is one.
fn embedder(fields: &mut Fields, model: &ServedModel) -> Result<Embedder, ApiError> {
    let name = fields.string("model")?.filter(|name| !name.is_empty());
    let encoder = model.encoder.as_ref().filter(|encoder| {
        let name = name.as_deref();
        name.is_none_or(|name| name == encoder.name())
    });
    match encoder {
        Some(encoder) => Ok(Embedder::Encoder(encoder.clone())),
        None => adapter_named(name.as_deref(), model).map(Embedder::Model),
    }
}
