//! Errors in the shapes of other APIs than OpenAI's.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderName, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::request_id::X_REQUEST_ID;
use crate::wire::error::ApiError;
use crate::wire::message;

/// What Anthropic's clients call `x-request-id`.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Middleware: errors of the routes inside have Anthropic's shape, whichever layer they come from.
/// The name of the request stands where its clients look for it.
pub(super) async fn anthropic(request: Request, next: Next) -> Response {
    let id = request.headers().get(X_REQUEST_ID).cloned();
    let name = id
        .as_ref()
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let body = |error: &ApiError| {
        let mut body = message::error_body(error);
        body["request_id"] = json!(name);
        body
    };
    let mut response = with_errors(next.run(request).await, body);
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
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
