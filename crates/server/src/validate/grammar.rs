//! What form an answer is asked to have: `response_format` as in OpenAI's API, `structured_outputs`
//! as in vLLM's.

use serde_json::Value;
use text::Grammar;

use super::fields::{Fields, wrong_type};
use crate::wire::error::ApiError;

/// A grammar for the answer, and the field that asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct AskedGrammar {
    /// What the answer has to be.
    pub grammar: Grammar,
    /// Path of the field, for what is said of it.
    pub field: String,
}

/// Takes `response_format` and `structured_outputs`.
///
/// # Errors
/// The first wrong field, or both fields at once.
pub(super) fn asked(fields: &mut Fields) -> Result<Option<AskedGrammar>, ApiError> {
    let format = response_format(fields)?;
    let structured = structured_outputs(fields)?;
    match (format, structured) {
        (Some(_), Some(_)) => {
            let message = "`structured_outputs` and `response_format` both ask for a form of the \
                           answer: it can have one.";
            Err(ApiError::field("structured_outputs", message))
        }
        (format, structured) => Ok(format.or(structured)),
    }
}

fn response_format(fields: &mut Fields) -> Result<Option<AskedGrammar>, ApiError> {
    let Some(format) = fields.object("response_format")? else {
        return Ok(None);
    };
    let mut format = Fields::from_value("response_format".to_owned(), Value::Object(format))?;
    let kind = format
        .string("type")?
        .ok_or_else(|| format.missing("type"))?;
    let asked = match kind.as_str() {
        "text" => None,
        // llama.cpp's servers take a schema beside this type.
        "json_object" => match format.value("schema") {
            None => Some(json_object("response_format")),
            Some(schema) => Some(of_schema("response_format.schema", schema)?),
        },
        "json_schema" => Some(json_schema(&mut format)?),
        other => {
            let message = format!(
                "`response_format.type`: `{other}` is not supported; `text`, `json_object` and \
                 `json_schema` are."
            );
            return Err(ApiError::unsupported("response_format.type", message));
        }
    };
    format.finish(&[], &[])?;
    Ok(asked)
}

/// OpenAI's `json_schema`. The schema is kept to whether `strict` says so or not, as in vLLM.
fn json_schema(format: &mut Fields) -> Result<AskedGrammar, ApiError> {
    let inner = format.object("json_schema")?;
    let inner = inner.ok_or_else(|| format.missing("json_schema"))?;
    let mut inner = Fields::from_value(format.path("json_schema"), Value::Object(inner))?;
    inner.string("name")?.ok_or_else(|| inner.missing("name"))?;
    inner.boolean("strict")?;
    inner.string("description")?;
    let schema = inner
        .value("schema")
        .ok_or_else(|| inner.missing("schema"))?;
    let asked = of_schema(&inner.path("schema"), schema)?;
    inner.finish(&[], &[])?;
    Ok(asked)
}

fn structured_outputs(fields: &mut Fields) -> Result<Option<AskedGrammar>, ApiError> {
    let Some(outputs) = fields.object("structured_outputs")? else {
        return Ok(None);
    };
    let mut outputs = Fields::from_value("structured_outputs".to_owned(), Value::Object(outputs))?;
    let mut found = Vec::new();
    if let Some(schema) = outputs.value("json") {
        found.push(of_schema(&outputs.path("json"), schema)?);
    }
    if outputs.boolean("json_object")? == Some(true) {
        found.push(grammar(&outputs.path("json_object"), Grammar::JsonObject));
    }
    if let Some(pattern) = outputs.string("regex")? {
        found.push(grammar(&outputs.path("regex"), Grammar::Regex(pattern)));
    }
    if let Some(texts) = outputs.array("choice")? {
        let path = outputs.path("choice");
        let texts = texts
            .into_iter()
            .enumerate()
            .map(|(index, text)| match text {
                Value::String(text) => Ok(text),
                other => Err(wrong_type(&format!("{path}[{index}]"), "a string", &other)),
            });
        let texts = texts.collect::<Result<_, _>>()?;
        found.push(grammar(&path, Grammar::Choice(texts)));
    }
    if let Some(lark) = outputs.string("grammar")? {
        found.push(grammar(&outputs.path("grammar"), Grammar::Lark(lark)));
    }
    let unsupported = [
        ("structural_tag", "write it as a `grammar`, in Lark."),
        (
            "whitespace_pattern",
            "put `\"x-guidance\": {\"whitespace_pattern\": ..}` into the schema.",
        ),
        (
            "disable_any_whitespace",
            "put `\"x-guidance\": {\"whitespace_flexible\": false}` into the schema.",
        ),
    ];
    // There is no other library to fall back to.
    outputs.finish(&["disable_fallback"], &unsupported)?;
    match found.len() {
        1 => Ok(found.pop()),
        count => {
            let message = format!(
                "`structured_outputs` must have one of `json`, `json_object`, `regex`, `choice` and \
                 `grammar`; it has {count}."
            );
            Err(ApiError::field("structured_outputs", message))
        }
    }
}

/// Any JSON object.
pub(super) fn json_object(field: &str) -> AskedGrammar {
    grammar(field, Grammar::JsonObject)
}

/// A schema, or its JSON text.
pub(super) fn of_schema(path: &str, schema: Value) -> Result<AskedGrammar, ApiError> {
    let schema = match schema {
        Value::String(text) => serde_json::from_str(&text).map_err(|error| {
            ApiError::field(
                path,
                format!("`{path}` is a text that is no JSON: {error}."),
            )
        })?,
        other => other,
    };
    match schema {
        Value::Object(_) | Value::Bool(_) => Ok(grammar(path, Grammar::JsonSchema(schema))),
        other => Err(wrong_type(path, "a JSON schema", &other)),
    }
}

fn grammar(field: &str, grammar: Grammar) -> AskedGrammar {
    AskedGrammar {
        grammar,
        field: field.to_owned(),
    }
}

#[cfg(test)]
mod tests;
