//! Tools of the Responses API: a function's fields stand beside its `type`.

use serde_json::{Map, Value, json};

use crate::validate::fields::Fields;
use crate::wire::error::ApiError;

/// Makes `tools` and `tool_choice` what a chat has.
///
/// # Errors
/// A tool that is no function.
pub(super) fn to_chat(
    fields: &mut Fields,
    repeated: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    let tools = fields.array("tools")?.unwrap_or_default();
    let choice = fields.value("tool_choice");
    repeated.insert("tools".to_owned(), Value::Array(tools.clone()));
    let told = choice.clone().unwrap_or_else(|| json!("auto"));
    repeated.insert("tool_choice".to_owned(), told);
    let tools = tools.into_iter().enumerate().map(|(index, tool)| {
        let path = format!("tools[{index}]");
        function(&path, tool)
    });
    let tools = tools.collect::<Result<Vec<_>, _>>()?;
    let has_tools = !tools.is_empty();
    fields.put("tools", Value::Array(tools));
    match choice {
        // Clients repeat what a response without tools has told them.
        Some(Value::String(choice)) if choice == "auto" && !has_tools => {}
        Some(Value::Object(mut choice)) => {
            if let Some(name) = choice.shift_remove("name") {
                choice.insert("function".to_owned(), json!({"name": name}));
            }
            fields.put("tool_choice", Value::Object(choice));
        }
        Some(choice) => fields.put("tool_choice", choice),
        None => {}
    }
    Ok(())
}

fn function(path: &str, tool: Value) -> Result<Value, ApiError> {
    let mut fields = Fields::from_value(path.to_owned(), tool)?;
    let kind = fields
        .string("type")?
        .ok_or_else(|| fields.missing("type"))?;
    if kind != "function" {
        let path = fields.path("type");
        let message =
            format!("`{path}`: only tools of type `function` are supported, not `{kind}`.");
        return Err(ApiError::unsupported(path, message));
    }
    let name = fields
        .string("name")?
        .ok_or_else(|| fields.missing("name"))?;
    let mut function = json!({"name": name});
    for name in ["description", "parameters", "strict"] {
        if let Some(value) = fields.value(name) {
            function[name] = value;
        }
    }
    let mut tool = json!({"type": "function", "function": function});
    if let Some(deferral) = fields.value("defer_loading") {
        tool["defer_loading"] = deferral;
    }
    fields.finish(&[], &[])?;
    Ok(tool)
}
