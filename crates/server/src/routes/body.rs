//! The body of a request that carries JSON.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use futures::StreamExt;
use tokio::time::timeout;

use crate::app::App;
use crate::wire::error::ApiError;

/// How many times the limit of a body that is too large is read and thrown away: a client that
/// writes its whole request before it reads would otherwise see a broken connection, not the 413.
const DRAINED_LIMITS: usize = 4;

/// How long a client may send nothing in the middle of a body.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bodies up to this length are read where they arrive; it takes less than a tenth of a
/// millisecond.
const SHORT: usize = 32 << 10;

/// A body's bytes, complete and within the limit.
pub(super) struct Body(pub(super) Vec<u8>);

impl Body {
    /// What `read` makes of the bytes. Long ones are read beside the async threads: nobody else's
    /// tokens may wait while megabytes of JSON are checked.
    ///
    /// # Errors
    /// What `read` says.
    pub(super) async fn read<T: Send + 'static>(
        self,
        app: &App,
        read: impl FnOnce(&[u8], &App) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        if self.0.len() <= SHORT {
            return read(&self.0, app);
        }
        let shared = app.clone();
        app.text_pool().run(move || read(&self.0, &shared)).await
    }
}

/// A body whatever it says that it is: Ollama's users ask with `curl -d`, which calls it a form.
pub(super) struct UntypedBody(pub(super) Body);

impl FromRequest<App> for UntypedBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let body = read(request.into_body(), app.limits().max_body_bytes).await?;
        Ok(Self(Body(body)))
    }
}

impl FromRequest<App> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let other_type = content_type
            .filter(|kind| !is_json(kind.as_bytes()))
            .map(|kind| String::from_utf8_lossy(kind.as_bytes()).into_owned());
        let body = read(request.into_body(), app.limits().max_body_bytes).await?;
        let Some(kind) = other_type else {
            return Ok(Self(body));
        };
        let message = format!("The content type must be `application/json`, not `{kind}`.");
        Err(ApiError::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
    }
}

/// Reads at most `limit` bytes; what is beyond is drained, within reason, and an error.
async fn read(body: axum::body::Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut received: usize = 0;
    let mut frames = body.into_data_stream();
    let late = |_| {
        let message = "The body did not arrive in time.";
        ApiError::http(StatusCode::REQUEST_TIMEOUT, message)
    };
    while let Some(frame) = timeout(PATIENCE, frames.next()).await.map_err(late)? {
        let frame = frame
            .map_err(|error| ApiError::request(format!("The body could not be read: {error}.")))?;
        received += frame.len();
        if received <= limit {
            bytes.extend_from_slice(&frame);
        } else if received > limit.saturating_mul(DRAINED_LIMITS) {
            break;
        } else {
            bytes = Vec::new();
        }
    }
    if received <= limit {
        return Ok(bytes);
    }
    let message = format!("The body is larger than the {limit} bytes that this server takes.");
    Err(ApiError::http(StatusCode::PAYLOAD_TOO_LARGE, message))
}

/// `application/json` or `application/..+json`, with or without parameters.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence == b"application/json"
        || essence.starts_with(b"application/") && essence.ends_with(b"+json")
}
