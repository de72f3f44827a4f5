//! A name for every request, in its answer and in the logs.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

/// The header with the name.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest name that is taken over from a client.
const MAX_LEN: usize = 128;

/// Middleware: takes the client's `x-request-id` if it is short and printable, or else makes one.
pub(super) async fn identify(mut request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(X_REQUEST_ID)
        .filter(|id| is_sane(id))
        .cloned();
    let id = given.unwrap_or_else(new_id);
    let name = id.to_str().unwrap_or_default().to_owned();
    request.headers_mut().insert(X_REQUEST_ID, id.clone());
    let span = tracing::info_span!("request", id = %name, path = %request.uri().path());
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

fn is_sane(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    !bytes.is_empty() && bytes.len() <= MAX_LEN && bytes.iter().all(u8::is_ascii_graphic)
}

fn new_id() -> HeaderValue {
    let id = format!("req-{}", uuid::Uuid::new_v4().simple());
    HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("req"))
}
