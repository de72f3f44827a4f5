//! Requests of which there are spans.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use crate::traces::{RequestTrace, Traces};

/// Middleware: a request goes on with its [`RequestTrace`].
pub(super) async fn follow(
    State(traces): State<Traces>,
    mut request: Request,
    next: Next,
) -> Response {
    let trace = traces.begin(&request);
    request.extensions_mut().insert(trace.clone());
    let response = next.run(request).await;
    trace.answers(response.status());
    response
}

/// One that follows nothing where spans are not wanted.
impl<S: Sync> FromRequestParts<S> for RequestTrace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.remove().unwrap_or_default())
    }
}
