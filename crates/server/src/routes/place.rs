//! What stands in a route's path.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::wire::error::ApiError;

/// The parts of a path that a route leaves open. What is no UTF-8 is refused in the API's own words.
pub(super) struct Place<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Place<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(place)) => Ok(Self(place)),
            Err(error) => {
                let message = format!("The path cannot be read: {}.", error.body_text());
                Err(ApiError::request(message))
            }
        }
    }
}
