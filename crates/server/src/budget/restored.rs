//! Texts that have left a prompt, by their handles.

use std::sync::Arc;

use memory::{Handle, Tenant};

use crate::app::App;
use crate::wire::error::ApiError;

/// The text behind a handle, byte for byte; `None` when this tenant has no such text, whether or
/// not another has. May wait for a disk.
///
/// # Errors
/// When the memory store fails.
pub fn text(app: &App, tenant: &Tenant, handle: &Handle) -> Result<Option<Arc<str>>, ApiError> {
    let stored = app.memory().restore(tenant, handle)?;
    let original = || app.budgeter().originals().restore(tenant, handle);
    Ok(stored.map(Into::into).or_else(original))
}
