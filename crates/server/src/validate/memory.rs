//! `/v1/context/memory` and `/v1/context/restore`.

use memory::{Command, Handle, MemoryPath, Namespace};
use serde_json::Value;

use super::fields::{Fields, integer, wrong_type};
use crate::wire::error::ApiError;

/// Most files that a search answers with.
const MAX_FOUND: usize = 1_000;

/// Files that a search answers with unless it says otherwise.
const FOUND: usize = 10;

/// Reads the body of a restore: `{"handle": "ctx://.."}`.
///
/// # Errors
/// The first wrong field.
pub fn handle(body: &[u8]) -> Result<Handle, ApiError> {
    let mut fields = Fields::from_body(body)?;
    let text = fields
        .string("handle")?
        .ok_or_else(|| fields.missing("handle"))?;
    fields.finish(&[], &[])?;
    text.parse().map_err(|_| {
        let message = "`handle` must be `ctx://` and 13 letters in lower case.";
        ApiError::field("handle", message)
    })
}

/// Reads the namespace of a route.
///
/// # Errors
/// When it is no name.
pub fn namespace(name: &str) -> Result<Namespace, ApiError> {
    name.parse()
        .map_err(|error| ApiError::field("namespace", format!("`namespace`: {error}.")))
}

/// Reads the path of a file, below `/memories`.
///
/// # Errors
/// When it would leave `/memories`, or is no path at all.
pub fn path(text: &str) -> Result<MemoryPath, ApiError> {
    MemoryPath::below_root(text)
        .map_err(|error| ApiError::field("path", format!("`path`: {error}.")))
}

/// Reads the body of a file: `{"text": ".."}`.
///
/// # Errors
/// The first wrong field.
pub fn text(body: &[u8]) -> Result<String, ApiError> {
    let mut fields = Fields::from_body(body)?;
    let text = fields
        .string("text")?
        .ok_or_else(|| fields.missing("text"))?;
    fields.finish(&[], &[])?;
    Ok(text)
}

/// Reads the body of a search: the words, and how many files to answer with.
///
/// # Errors
/// The first wrong field.
pub fn search(body: &[u8]) -> Result<(String, usize), ApiError> {
    let mut fields = Fields::from_body(body)?;
    let query = fields
        .string("query")?
        .ok_or_else(|| fields.missing("query"))?;
    let limit = fields.count("limit", 1..=MAX_FOUND)?.unwrap_or(FOUND);
    fields.finish(&[], &[])?;
    Ok((query, limit))
}

/// Reads a call of Anthropic's memory tool (`memory_20250818`): its input as the model wrote it.
///
/// # Errors
/// The first wrong field.
pub fn command(body: &[u8]) -> Result<Command, ApiError> {
    let mut fields = Fields::from_body(body)?;
    let name = required(&mut fields, "command")?;
    let command = match name.as_str() {
        "view" => Command::View {
            path: required(&mut fields, "path")?,
            view_range: view_range(&mut fields)?,
        },
        "create" => Command::Create {
            path: required(&mut fields, "path")?,
            file_text: required(&mut fields, "file_text")?,
        },
        "str_replace" => Command::StrReplace {
            path: required(&mut fields, "path")?,
            old_str: required(&mut fields, "old_str")?,
            new_str: fields.string("new_str")?.unwrap_or_default(),
        },
        "insert" => Command::Insert {
            path: required(&mut fields, "path")?,
            insert_line: match fields.integer("insert_line", i64::MIN..=i64::MAX)? {
                Some(line) => line,
                None => return Err(fields.missing("insert_line")),
            },
            insert_text: required(&mut fields, "insert_text")?,
        },
        "delete" => Command::Delete {
            path: required(&mut fields, "path")?,
        },
        "rename" => Command::Rename {
            old_path: required(&mut fields, "old_path")?,
            new_path: required(&mut fields, "new_path")?,
        },
        other => {
            let message = format!(
                "`command`: `{other}` is not one of view, create, str_replace, insert, delete, \
                 rename."
            );
            return Err(ApiError::field("command", message));
        }
    };
    fields.finish(&[], &[])?;
    Ok(command)
}

fn required(fields: &mut Fields, name: &'static str) -> Result<String, ApiError> {
    match fields.string(name)? {
        Some(text) => Ok(text),
        None => Err(fields.missing(name)),
    }
}

fn view_range(fields: &mut Fields) -> Result<Option<(i64, i64)>, ApiError> {
    let Some(value) = fields.value("view_range") else {
        return Ok(None);
    };
    let Value::Array(lines) = &value else {
        return Err(wrong_type("view_range", "an array", &value));
    };
    let [first, last] = lines.as_slice() else {
        let message = "`view_range` must be [first line, last line].";
        return Err(ApiError::field("view_range", message));
    };
    let line =
        |index: usize, value| integer(&format!("view_range[{index}]"), value, i64::MIN..=i64::MAX);
    Ok(Some((line(0, first)?, line(1, last)?)))
}
