//! One way to write tool definitions, whatever the order in which a client's maps iterate.
//!
//! Tools stand at the head of the prompt: a key that moves makes the whole prompt uncached. What a
//! schema means is kept, and so is the order that models saw in training where it is customary.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Keys of a tool, a function and a schema that have a customary order; others follow by name.
const CUSTOMARY_ORDER: [&str; 17] = [
    "type",
    "function",
    "name",
    "title",
    "description",
    "parameters",
    "input_schema",
    "strict",
    "format",
    "enum",
    "const",
    "default",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "$defs",
];

/// What a JSON object is, which decides how its keys are ordered and what its values are.
#[derive(Clone, Copy)]
enum Role {
    /// A tool, a function or a schema: keys in the customary order.
    Definition,
    /// Named schemas: keys are the client's own names.
    Schemas,
    /// Data, such as a default value: sorted by key throughout.
    Data,
}

/// The tools in their canonical form and order.
///
/// - Tools are ordered by name, then type, then content; the shapes of OpenAI (`function.name`) and
///   of Anthropic (`name`) are understood.
/// - Keys of tools and schemas come in the customary order (`type`, `name`, `description`,
///   `parameters`, ..), all others by name behind them.
/// - The entries of `properties` come in the order of the schema's `required` array, which is what
///   the author's order is known by even after a map has shuffled them; optional ones follow by
///   name.
/// - Arrays keep their order, since it may have a meaning (`required`, `enum`, `anyOf`).
///
/// Shuffled keys or tools give the same bytes; nothing is added, left out or rewritten. Schemas of
/// *answers* are not for this function: models write fields in the order of the schema.
pub fn canonical_tools(tools: &[Value]) -> Vec<Value> {
    let mut named: Vec<(String, Value)> = tools
        .iter()
        .map(|tool| canonical(tool, Role::Definition))
        .map(|tool| (tool.to_string(), tool))
        .collect();
    named.sort_by(|(text, tool), (other_text, other)| {
        (name(tool), kind(tool), text).cmp(&(name(other), kind(other), other_text))
    });
    named.into_iter().map(|(_, tool)| tool).collect()
}

/// JSON with the keys of all objects sorted, without white space.
pub fn canonical_json(value: &Value) -> String {
    canonical(value, Role::Data).to_string()
}

/// The arguments of a call, which models write as text: canonical if they are JSON, else unchanged.
pub fn canonical_arguments(arguments: &str) -> Cow<'_, str> {
    match serde_json::from_str::<Value>(arguments) {
        Ok(value) => Cow::Owned(canonical_json(&value)),
        Err(_) => Cow::Borrowed(arguments),
    }
}

fn canonical(value: &Value, role: Role) -> Value {
    match value {
        Value::Object(object) => match role {
            Role::Definition => definition(object),
            Role::Schemas => by_name(object, Role::Definition),
            Role::Data => by_name(object, Role::Data),
        },
        Value::Array(items) => items.iter().map(|item| canonical(item, role)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn definition(object: &Map<String, Value>) -> Value {
    let rank = |key: &str| {
        let customary = CUSTOMARY_ORDER.iter().position(|&known| known == key);
        customary.unwrap_or(CUSTOMARY_ORDER.len())
    };
    let mut keys: Vec<&String> = object.keys().collect();
    keys.sort_by_key(|&key| (rank(key), key));
    let canonical_value = |key: &str| match (key, &object[key]) {
        ("properties", Value::Object(properties)) => by_requirement(properties, object),
        ("$defs" | "definitions" | "dependentSchemas" | "patternProperties", schemas) => {
            canonical(schemas, Role::Schemas)
        }
        ("const" | "default" | "enum" | "example" | "examples" | "input_examples", data) => {
            canonical(data, Role::Data)
        }
        (_, value) => canonical(value, Role::Definition),
    };
    keys.into_iter()
        .map(|key| (key.clone(), canonical_value(key)))
        .collect()
}

fn by_name(object: &Map<String, Value>, role: Role) -> Value {
    let mut entries: Vec<(&String, &Value)> = object.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
        .into_iter()
        .map(|(key, value)| (key.clone(), canonical(value, role)))
        .collect()
}

/// Properties in the order in which their schema requires them, then by name.
fn by_requirement(properties: &Map<String, Value>, schema: &Map<String, Value>) -> Value {
    let required = schema.get("required").and_then(Value::as_array);
    let rank = |name: &str| {
        let position =
            required.and_then(|names| names.iter().position(|item| item.as_str() == Some(name)));
        position.unwrap_or(usize::MAX)
    };
    let mut entries: Vec<(&String, &Value)> = properties.iter().collect();
    entries.sort_by_cached_key(|(key, _)| (rank(key), (*key).clone()));
    entries
        .into_iter()
        .map(|(key, value)| (key.clone(), canonical(value, Role::Definition)))
        .collect()
}

fn name(tool: &Value) -> Option<&str> {
    let function = tool.get("function").unwrap_or(tool);
    function.get("name").and_then(Value::as_str)
}

fn kind(tool: &Value) -> Option<&str> {
    tool.get("type").and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
