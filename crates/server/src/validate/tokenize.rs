//! `POST /tokenize` and `POST /detokenize`, in vLLM's shapes.

use super::chat::{self, Conversation};
use super::completion::token_ids;
use super::fields::Fields;
use super::sampling::adapter;
use crate::config::serve::RequestLimits;
use crate::model::ServedModel;
use crate::wire::error::ApiError;

/// What to turn into tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizeRequest {
    /// The input.
    pub input: TokenizeInput,
    /// Whether to answer with the tokens' text as well.
    pub return_token_strs: bool,
}

/// A text or a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenizeInput {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// Whether the tokenizer adds its special tokens.
        add_special_tokens: bool,
    },
    /// A conversation, rendered first.
    Chat(Box<Conversation>),
}

/// Reads a body of `/tokenize`: `prompt` (llama.cpp's `content` too) or `messages`.
///
/// # Errors
/// The first wrong field.
pub fn tokenize(
    body: &[u8],
    model: &ServedModel,
    limits: &RequestLimits,
) -> Result<TokenizeRequest, ApiError> {
    let mut fields = Fields::from_body(body)?;
    // An adapter has the model's tokens.
    adapter(&mut fields, model)?;
    let return_token_strs = fields.boolean("return_token_strs")?.unwrap_or(false);
    let prompt = fields.string("prompt")?;
    let content = fields.string("content")?;
    let input = match prompt.or(content) {
        Some(text) => {
            // llama.cpp's name for the same switch.
            let add = fields.boolean("add_special")?;
            let add_special_tokens = fields
                .boolean("add_special_tokens")?
                .or(add)
                .unwrap_or(true);
            TokenizeInput::Text {
                text,
                add_special_tokens,
            }
        }
        None => TokenizeInput::Chat(Box::new(chat::conversation(&mut fields, limits)?)),
    };
    fields.finish(&[], &[])?;
    Ok(TokenizeRequest {
        input,
        return_token_strs,
    })
}

/// Reads a body of `/detokenize`: `tokens`.
///
/// # Errors
/// The first wrong field.
pub fn detokenize(body: &[u8], model: &ServedModel) -> Result<Vec<u32>, ApiError> {
    let mut fields = Fields::from_body(body)?;
    // An adapter has the model's tokens.
    adapter(&mut fields, model)?;
    let tokens = fields
        .array("tokens")?
        .ok_or_else(|| fields.missing("tokens"))?;
    let tokens = token_ids("tokens", &tokens, model.vocab_size)?;
    fields.finish(&[], &[])?;
    Ok(tokens)
}
