//! `POST /tokenize` and `POST /detokenize`, in vLLM's shapes.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::body::Body;
use crate::app::App;
use crate::prompt;
use crate::validate::tokenize::{self, TokenizeInput};
use crate::wire::error::ApiError;

/// Tokens of a text or a conversation.
///
/// # Errors
/// Whatever is wrong with the request.
pub(super) async fn tokenize(State(app): State<App>, body: Body) -> Result<Json<Value>, ApiError> {
    let request = body
        .read(&app, |bytes, app| {
            tokenize::tokenize(bytes, app.model(), app.limits())
        })
        .await?;
    let tokens = match request.input {
        TokenizeInput::Text {
            text,
            add_special_tokens,
        } => prompt::of_text(&app, text, add_special_tokens).await?,
        TokenizeInput::Chat(conversation) => prompt::of_chat(&app, *conversation).await?,
    };
    let tokenizer = &app.model().tokenizer;
    let strings = request.return_token_strs.then(|| {
        tokens
            .iter()
            .map(|&token| tokenizer.token_text(token))
            .collect::<Vec<_>>()
    });
    Ok(Json(json!({
        "count": tokens.len(),
        "max_model_len": app.model().window.tokens,
        "tokens": tokens,
        "token_strs": strings,
    })))
}

/// Text of tokens, special ones included.
///
/// # Errors
/// Whatever is wrong with the request.
pub(super) async fn detokenize(
    State(app): State<App>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let tokens = body
        .read(&app, |bytes, app| tokenize::detokenize(bytes, app.model()))
        .await?;
    let tokenizer = app.model().tokenizer.clone();
    let text = app
        .text_pool()
        .run(move || {
            tokenizer
                .decode(&tokens, false)
                .map_err(|error| ApiError::field("tokens", error.to_string()))
        })
        .await?;
    Ok(Json(json!({"prompt": text})))
}
