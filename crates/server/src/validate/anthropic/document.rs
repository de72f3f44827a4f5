//! `document` and `search_result` blocks.

use serde_json::Value;

use super::plain_text;
use crate::validate::fields::Fields;
use crate::validate::notes::CacheTtl;
use crate::wire::error::ApiError;

/// The text of a document, its title and what it is about in lines in front; and whether a block of it is
/// marked.
///
/// # Errors
/// When it is malformed, or no text.
pub(super) fn document(
    fields: &mut Fields,
    about: Option<&str>,
) -> Result<(String, Option<CacheTtl>), ApiError> {
    let head = [
        ("Title", fields.string("title")?),
        ("Context", about.map(str::to_owned)),
    ];
    refuse_citations(fields)?;
    let path = fields.path("source");
    let source = fields
        .value("source")
        .ok_or_else(|| fields.missing("source"))?;
    let mut source = Fields::from_value(path.clone(), source)?;
    let kind = source
        .string("type")?
        .ok_or_else(|| source.missing("type"))?;
    let (text, mark) = match kind.as_str() {
        "text" => {
            if let Some(media) = source.string("media_type")?
                && media != "text/plain"
            {
                let path = source.path("media_type");
                let message = format!("`{path}`: only text/plain is supported.");
                return Err(ApiError::unsupported(path, message));
            }
            let data = source.string("data")?;
            (data.ok_or_else(|| source.missing("data"))?, None)
        }
        "content" => {
            let path = source.path("content");
            let content = source.value("content");
            plain_text(&path, content.ok_or_else(|| source.missing("content"))?)?
        }
        _ => {
            let message = format!("`{path}`: only documents of text are supported.");
            return Err(ApiError::unsupported(path, message));
        }
    };
    source.finish(&[], &[])?;
    Ok((headed(head, &text), mark))
}

/// The text of a search result, its title and source in lines in front; and whether a block of it is
/// marked.
///
/// # Errors
/// When it is malformed.
pub(super) fn search_result(fields: &mut Fields) -> Result<(String, Option<CacheTtl>), ApiError> {
    let head = [
        ("Title", fields.string("title")?),
        ("Source", fields.string("source")?),
    ];
    refuse_citations(fields)?;
    let path = fields.path("content");
    let content = fields
        .value("content")
        .ok_or_else(|| fields.missing("content"))?;
    let (text, mark) = plain_text(&path, content)?;
    Ok((headed(head, &text), mark))
}

fn headed(head: [(&str, Option<String>); 2], text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (name, value) in head {
        lines.extend(value.map(|value| format!("{name}: {value}")));
    }
    lines.push(text.to_owned());
    lines.join("\n")
}

fn refuse_citations(fields: &mut Fields) -> Result<(), ApiError> {
    let path = fields.path("citations.enabled");
    match fields.value("citations") {
        Some(Value::Object(citations)) if citations.get("enabled") == Some(&Value::Bool(true)) => {
            let message = format!("`{path}`: answers are given without citations.");
            Err(ApiError::unsupported(path, message))
        }
        _ => Ok(()),
    }
}
