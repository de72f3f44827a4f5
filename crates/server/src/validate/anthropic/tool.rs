//! Tools in Anthropic's shape.

use serde_json::{Value, json};

use crate::validate::fields::Fields;
use crate::wire::error::ApiError;

/// The tool in OpenAI's shape: `input_schema` is `parameters`.
///
/// # Errors
/// When a field is malformed, or asks for what the server cannot do.
pub(in crate::validate) fn tool(path: &str, tool: Value) -> Result<Value, ApiError> {
    let mut fields = Fields::from_value(path.to_owned(), tool)?;
    let kind = fields.string("type")?;
    if kind.as_deref().is_some_and(|kind| kind != "custom") {
        let path = fields.path("type");
        let message = format!("`{path}`: tools of the vendor are not supported, only `custom`.");
        return Err(ApiError::unsupported(path, message));
    }
    let name = fields
        .string("name")?
        .ok_or_else(|| fields.missing("name"))?;
    let description = fields.string("description")?;
    let schema = fields.object("input_schema")?;
    let strict = fields.boolean("strict")?;
    let schema = schema.ok_or_else(|| fields.missing("input_schema"))?;
    // Arguments are always streamed as they come.
    fields.finish(
        &["eager_input_streaming"],
        &[(
            "input_examples",
            "examples of calls are not told to the model.",
        )],
    )?;
    let mut function = json!({"name": name});
    if let Some(description) = description {
        function["description"] = Value::from(description);
    }
    function["parameters"] = Value::Object(schema);
    if let Some(strict) = strict {
        function["strict"] = Value::Bool(strict);
    }
    Ok(json!({"type": "function", "function": function}))
}
