//! `GET /health`, `/ready`, `/version`, `/metrics`.

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::clock;
use crate::wire::error::ApiError;

/// The process works: if its engine had failed, the process would have ended.
pub(super) async fn health() -> StatusCode {
    StatusCode::OK
}

/// Requests are taken.
pub(super) async fn ready(State(app): State<App>) -> Response {
    if app.is_accepting() {
        StatusCode::OK.into_response()
    } else {
        let message = "The server is shutting down.";
        ApiError::http(StatusCode::SERVICE_UNAVAILABLE, message).into_response()
    }
}

/// The program's version.
pub(super) async fn version() -> Json<Value> {
    Json(json!({"version": env!("CARGO_PKG_VERSION")}))
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics. Scrapers that do not name OpenMetrics are told that it is Prometheus' older format:
/// they read the same text.
///
/// # Errors
/// When the text cannot be written.
pub(super) async fn metrics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
    let text = app
        .metrics()
        .encode()
        .map_err(|error| ApiError::internal(error.to_string()))?;
    let kind = if open { OPEN_METRICS } else { PLAIN };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// Middleware: counts answers by route and status.
pub(super) async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let start = clock::now();
    let method = request.method().to_string();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status();
    let seconds = (clock::now() - start).as_secs_f64();
    app.metrics()
        .http_request(&route, &method, status.as_u16(), seconds);
    match status {
        StatusCode::TOO_MANY_REQUESTS => app.metrics().refused("queue_full"),
        StatusCode::SERVICE_UNAVAILABLE => app.metrics().refused("shutting_down"),
        _ => {}
    }
    response
}
