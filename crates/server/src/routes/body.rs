//! The body of a request that carries JSON.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};

use crate::wire::error::ApiError;

/// A body's bytes, complete and within the limit.
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        if let Some(kind) = content_type.filter(|kind| !is_json(kind.as_bytes())) {
            let kind = String::from_utf8_lossy(kind.as_bytes()).into_owned();
            let message = format!("The content type must be `application/json`, not `{kind}`.");
            return Err(ApiError::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(rejection) => Err(refused(&rejection)),
        }
    }
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

fn refused(rejection: &BytesRejection) -> ApiError {
    let status = rejection.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::http(status, "The body is larger than this server takes.");
    }
    ApiError::http(
        status,
        format!("The body could not be read: {}.", rejection.body_text()),
    )
}
