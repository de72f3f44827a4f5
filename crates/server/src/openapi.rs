//! The OpenAPI 3.1 document of the routes.
//!
//! Its parts are in crates/server/openapi/, one file per noun. Each is a piece of the document, in
//! which four things stand that only the whole can say:
//!
//! - `x-properties-of` names groups of `x-field-groups`, whose fields an object has beside its own;
//! - `x-errors` has the shape of an operation's errors and their statuses, which `x-statuses`
//!   describes;
//! - a text such as `$max_n` is a figure of the server that answers;
//! - what is switched off is left out.
//!
//! Source: <https://spec.openapis.org/oas/v3.1.1.html>.

mod figures;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::app::App;
use figures::Figures;

/// A file of crates/server/openapi/.
macro_rules! part {
    ($name:literal) => {
        include_str!(concat!("../openapi/", $name, ".json"))
    };
}

/// The parts; fields of the document stand in their order.
const PARTS: [&str; 25] = [
    part!("info"),
    part!("error"),
    part!("chat"),
    part!("completions"),
    part!("responses"),
    part!("response_object"),
    part!("embeddings"),
    part!("models"),
    part!("adapters"),
    part!("messages"),
    part!("ollama"),
    part!("context"),
    part!("context_probe"),
    part!("context_report"),
    part!("memory"),
    part!("cache"),
    part!("requests"),
    part!("tokenize"),
    part!("server"),
    part!("pages"),
    part!("sampling"),
    part!("conversation"),
    part!("context_budget"),
    part!("context_zones"),
    part!("context_management"),
];

/// Routes of pages have this tag.
const PAGES: &str = "Pages";

/// What needs records of requests.
const RECORDS: &str = "/v1/requests";

/// What clients load and unload adapters by.
const ADAPTERS: &str = "_lora_adapter";

/// The whole, before a server's figures are in it.
static TEMPLATE: LazyLock<Value> = LazyLock::new(template);

/// The document of `app`, whose pages load `assets`.
pub fn document(app: &App, assets: &[&str]) -> Value {
    let mut document = TEMPLATE.clone();
    if let Some(paths) = document["paths"].as_object_mut() {
        paths.retain(|path, item| is_served(app, path, item));
    }
    if let (false, Some(tags)) = (app.has_web_ui(), document["tags"].as_array_mut()) {
        tags.retain(|tag| tag["name"] != PAGES);
    }
    Figures::of(app, assets).fill(&mut document);
    document
}

fn is_served(app: &App, path: &str, item: &Value) -> bool {
    let is_page = item["get"]["tags"][0] == PAGES;
    let is_record = path.starts_with(RECORDS);
    let is_adapter = path.ends_with(ADAPTERS);
    (app.has_web_ui() || !is_page)
        && (app.records().is_on() || !is_record)
        && (app.model().adapters.are_open() || !is_adapter)
}

fn template() -> Value {
    let mut whole = Map::new();
    for part in PARTS {
        let part: Map<String, Value> =
            serde_json::from_str(part).expect("a test reads every part as JSON");
        merge(&mut whole, part);
    }
    let groups = whole.shift_remove("x-field-groups").unwrap_or_default();
    let statuses = whole.shift_remove("x-statuses").unwrap_or_default();
    let mut whole = Value::Object(whole);
    add_fields(&mut whole, &groups);
    let paths = whole["paths"].as_object_mut().into_iter().flatten();
    for operation in paths.flat_map(|(_, item)| item.as_object_mut()).flatten() {
        add_errors(operation.1, &statuses);
    }
    whole
}

/// Objects of the same name become one.
fn merge(whole: &mut Map<String, Value>, part: Map<String, Value>) {
    for (name, value) in part {
        match (whole.get_mut(&name), value) {
            (Some(Value::Object(there)), Value::Object(more)) => merge(there, more),
            (_, value) => {
                whole.insert(name, value);
            }
        }
    }
}

/// Gives objects the fields of the groups that they name; those of their own come first, and
/// instead of a group's.
fn add_fields(value: &mut Value, groups: &Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| add_fields(item, groups)),
        Value::Object(schema) => {
            let named = schema.shift_remove("x-properties-of").unwrap_or_default();
            let fields = named.as_array().into_iter().flatten();
            let fields = fields.filter_map(|name| groups[name.as_str()?].as_object());
            for (name, field) in fields.flatten() {
                let properties = schema.entry("properties").or_insert_with(|| json!({}));
                if properties.get(name).is_none() {
                    properties[name] = field.clone();
                }
            }
            schema
                .values_mut()
                .for_each(|value| add_fields(value, groups));
        }
        _ => {}
    }
}

/// Writes out the errors of an operation.
fn add_errors(operation: &mut Value, statuses: &Value) {
    let Some(fields) = operation.as_object_mut() else {
        return;
    };
    let errors = fields.shift_remove("x-errors").unwrap_or_default();
    let schema = json!({"$ref": errors["shape"]
        .as_str()
        .map(|shape| format!("#/components/schemas/{shape}"))});
    for status in errors["statuses"].as_array().into_iter().flatten() {
        let status = status.to_string();
        let mut response = statuses[&status].clone();
        response["content"] = json!({"application/json": {"schema": schema}});
        operation["responses"][&status] = response;
    }
}

#[cfg(test)]
mod tests;
