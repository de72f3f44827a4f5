//! `POST /v1/embeddings`.

use axum::extract::State;
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::body::Body;
use crate::adapters::ServedAdapter;
use crate::app::App;
use crate::auth::Caller;
use crate::embedding::{Embedded, EmbeddingCall};
use crate::encoder::ServedEncoder;
use crate::prompt;
use crate::validate::completion::Prompt;
use crate::validate::embedding::{self, Embedder, EmbeddingRequest, Encoding};
use crate::wire::error::ApiError;

/// Texts of one request that the engine has at a time: enough to fill its steps, and not its queue.
const AT_A_TIME: usize = 16;

/// What became of a request's texts.
#[derive(Default)]
struct Embeddings {
    /// Of each text, in order.
    vectors: Vec<Vec<f32>>,
    prompt_tokens: usize,
    cached_tokens: usize,
}

/// Embeds texts.
///
/// # Errors
/// Whatever is wrong with the request, or the server's refusal.
pub(super) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let mut request = body
        .read(&app, |bytes, app| embedding::request(bytes, app.model()))
        .await?;
    let inputs = std::mem::take(&mut request.inputs);
    let (embeddings, model) = match &request.embedder {
        Embedder::Encoder(encoder) => {
            let embeddings = with_encoder(&app, encoder, &request, inputs).await?;
            (embeddings, encoder.name())
        }
        Embedder::Model(adapter) => {
            let adapter = adapter.as_deref();
            let cache_salt = caller.cache_salt(&request.cache_salt);
            let embeddings = with_model(&app, adapter, &request, cache_salt, inputs).await?;
            (embeddings, app.model().name_with(adapter))
        }
    };
    let vectors = embeddings.vectors.iter().enumerate();
    let data = vectors.map(|(index, vector)| {
        let embedding = written(vector, request.encoding);
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    Ok(Json(json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": model,
        "usage": {
            "prompt_tokens": embeddings.prompt_tokens,
            "total_tokens": embeddings.prompt_tokens,
            "prompt_tokens_details": {"cached_tokens": embeddings.cached_tokens},
        },
    })))
}

/// By the served model, in the engine's steps.
async fn with_model(
    app: &App,
    adapter: Option<&ServedAdapter>,
    request: &EmbeddingRequest,
    cache_salt: Vec<u8>,
    inputs: Vec<Prompt>,
) -> Result<Embeddings, ApiError> {
    let (mut calls, mut embeddings) = (Vec::new(), Embeddings::default());
    for (index, input) in inputs.into_iter().enumerate() {
        let tokens = match input {
            Prompt::Tokens(tokens) => tokens,
            Prompt::Text(text) => {
                let tokens = prompt::of_text(app, text, request.add_special_tokens).await;
                tokens.map_err(|error| error.with_param(param(index)))?
            }
        };
        check_length(app, index, tokens.len())?;
        embeddings.prompt_tokens += tokens.len();
        calls.push(EmbeddingCall {
            tokens,
            priority: request.priority,
            cache_salt: cache_salt.clone(),
            adapter: adapter.map(|adapter| adapter.handle.clone()),
        });
    }
    let embedding = calls.into_iter().map(|call| call.embed(app.engine()));
    let embedded: Vec<Embedded> = stream::iter(embedding)
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    for text in embedded {
        embeddings.cached_tokens += text.cached_tokens;
        embeddings.vectors.push(text.vector);
    }
    Ok(embeddings)
}

/// By the encoder, text by text. All of them are checked before the first is computed.
async fn with_encoder(
    app: &App,
    encoder: &ServedEncoder,
    request: &EmbeddingRequest,
    inputs: Vec<Prompt>,
) -> Result<Embeddings, ApiError> {
    let place = encoder.admit()?;
    let (mut texts, mut embeddings) = (Vec::new(), Embeddings::default());
    for (index, input) in inputs.into_iter().enumerate() {
        let param = param(index);
        let tokens = match input {
            Prompt::Tokens(tokens) => tokens,
            Prompt::Text(text) => {
                let (pool, special) = (app.text_pool(), request.add_special_tokens);
                encoder.tokens(pool, param.clone(), text, special).await?
            }
        };
        encoder.check_length(&param, tokens.len())?;
        embeddings.prompt_tokens += tokens.len();
        texts.push(tokens);
    }
    for (index, tokens) in texts.into_iter().enumerate() {
        let num_tokens = tokens.len();
        let vector = encoder.embed(&place, param(index), tokens).await?;
        app.metrics().embedded(num_tokens);
        embeddings.vectors.push(vector);
    }
    Ok(embeddings)
}

/// A text has a token at least, and leaves room for the one that a request generates.
fn check_length(app: &App, index: usize, num_tokens: usize) -> Result<(), ApiError> {
    let param = param(index);
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

/// A text's path in the request.
fn param(index: usize) -> String {
    format!("input[{index}]")
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
