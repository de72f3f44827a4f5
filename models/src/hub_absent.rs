//! In the place of the hub, in a program that was built without it.

use std::path::PathBuf;

use crate::config::ConfigError;
use crate::model::OpenError;
use crate::source::HubRequest;

/// What a hub can fail with: nothing, where there is none.
#[derive(Debug, thiserror::Error)]
pub enum HubError {}

/// # Errors
/// Always: nothing can be fetched.
pub(crate) fn fetch_encoder(
    request: &HubRequest,
    _check_config: fn(&[u8]) -> Result<(), ConfigError>,
) -> Result<PathBuf, OpenError> {
    fetch(request)
}

/// # Errors
/// Always: nothing can be fetched.
pub(crate) fn fetch(request: &HubRequest) -> Result<PathBuf, OpenError> {
    let what = format!("{} is not a folder; fetching it", request.repo);
    Err(OpenError::NotBuilt {
        what,
        feature: "hub",
    })
}
