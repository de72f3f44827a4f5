//! `POST /v1/embeddings`.

use axum::extract::State;
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::body::Body;
use crate::app::App;
use crate::auth::Caller;
use crate::embedding::{Embedded, EmbeddingCall};
use crate::prompt;
use crate::validate::completion::Prompt;
use crate::validate::embedding::{self, Encoding};
use crate::wire::error::ApiError;

/// Texts of one request that the engine has at a time: enough to fill its steps, and not its queue.
const AT_A_TIME: usize = 16;

/// Embeds texts.
///
/// # Errors
/// Whatever is wrong with the request, or the server's refusal.
pub(super) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let request = body
        .read(&app, |bytes, app| embedding::request(bytes, app.model()))
        .await?;
    let cache_salt = caller.cache_salt(&request.cache_salt);
    let (mut inputs, mut prompt_tokens) = (Vec::new(), 0);
    for (index, input) in request.inputs.into_iter().enumerate() {
        let tokens = match input {
            Prompt::Tokens(tokens) => tokens,
            Prompt::Text(text) => {
                let tokens = prompt::of_text(&app, text, request.add_special_tokens).await;
                tokens.map_err(|error| error.with_param(format!("input[{index}]")))?
            }
        };
        check_length(&app, index, tokens.len())?;
        prompt_tokens += tokens.len();
        inputs.push(EmbeddingCall {
            tokens,
            priority: request.priority,
            cache_salt: cache_salt.clone(),
        });
    }
    let embedding = inputs.into_iter().map(|call| call.embed(app.engine()));
    let embedded: Vec<Embedded> = stream::iter(embedding)
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    let cached: usize = embedded.iter().map(|it| it.cached_tokens).sum();
    let data = embedded.iter().enumerate().map(|(index, embedded)| {
        let embedding = written(&embedded.vector, request.encoding);
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    Ok(Json(json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": app.model().name(),
        "usage": {
            "prompt_tokens": prompt_tokens,
            "total_tokens": prompt_tokens,
            "prompt_tokens_details": {"cached_tokens": cached},
        },
    })))
}

/// A text has a token at least, and leaves room for the one that a request generates.
fn check_length(app: &App, index: usize, num_tokens: usize) -> Result<(), ApiError> {
    let param = format!("input[{index}]");
    if num_tokens == 0 {
        let message = format!("`{param}` has no tokens.");
        return Err(ApiError::field(param, message));
    }
    let fits = app.model().window.output_tokens(num_tokens, Some(1), None);
    match fits {
        Ok(_) => Ok(()),
        Err(exceeded) => Err(ApiError::context_length(exceeded).with_param(param)),
    }
}

fn written(vector: &[f32], encoding: Encoding) -> Value {
    match encoding {
        Encoding::Float => json!(vector),
        Encoding::Base64 => {
            let bytes: Vec<u8> = vector
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            STANDARD.encode(bytes).into()
        }
    }
}
