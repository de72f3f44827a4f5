//! Errors in the shapes of other APIs than OpenAI's.

use axum::Json;
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::wire::error::ApiError;
use crate::wire::message;

/// Middleware: errors of the routes inside have Anthropic's shape, whichever layer they come from.
pub(super) async fn anthropic(request: Request, next: Next) -> Response {
    with_errors(next.run(request).await, message::error_body)
}

/// The same with Ollama's.
pub(super) async fn ollama(request: Request, next: Next) -> Response {
    let body = |error: &ApiError| json!({"error": error.message()});
    with_errors(next.run(request).await, body)
}

fn with_errors(response: Response, body: impl FnOnce(&ApiError) -> Value) -> Response {
    let Some(error) = response.extensions().get::<ApiError>() else {
        return response;
    };
    let body = Json(body(error)).into_response().into_body();
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, body)
}
