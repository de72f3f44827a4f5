//! `POST /v1/load_lora_adapter` and `POST /v1/unload_lora_adapter`.

use std::path::PathBuf;

use super::fields::Fields;
use crate::wire::error::ApiError;

/// An adapter to load.
#[derive(Debug, PartialEq, Eq)]
pub struct AskedAdapter {
    /// What requests are to call it.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
}

/// Reads a body.
///
/// # Errors
/// The first wrong field.
pub fn load(body: &[u8]) -> Result<AskedAdapter, ApiError> {
    let mut fields = Fields::from_body(body)?;
    let asked = AskedAdapter {
        name: text(&mut fields, "lora_name")?,
        path: text(&mut fields, "lora_path")?.into(),
    };
    fields.finish(&[], &[])?;
    Ok(asked)
}

/// Reads a body: the name of an adapter.
///
/// # Errors
/// The first wrong field.
pub fn unload(body: &[u8]) -> Result<String, ApiError> {
    let mut fields = Fields::from_body(body)?;
    let name = text(&mut fields, "lora_name")?;
    fields.finish(&[], &[])?;
    Ok(name)
}

/// A string that must be there and not be empty.
fn text(fields: &mut Fields, name: &'static str) -> Result<String, ApiError> {
    match fields.string(name)? {
        None => Err(fields.missing(name)),
        Some(text) if text.is_empty() => {
            let message = format!("`{name}` is empty.");
            Err(ApiError::field(name, message))
        }
        Some(text) => Ok(text),
    }
}
