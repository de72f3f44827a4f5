//! What a tool's schema says of its parameters, for formats that write them one by one.

use serde_json::{Map, Value};

use crate::grammar::GrammarError;

/// References that lead to references, at most.
const MAX_REFERENCES: usize = 16;

/// The parameters of a tool.
pub(super) struct Parameters<'a> {
    /// The whole schema, which references point into.
    pub(super) root: &'a Value,
    /// Those that it describes, in its order.
    pub(super) known: Vec<Parameter<'a>>,
    /// Whether it says nothing of them, so that there may be any.
    pub(super) open: bool,
}

/// One of them.
pub(super) struct Parameter<'a> {
    pub(super) name: &'a str,
    pub(super) schema: &'a Value,
    pub(super) required: bool,
}

impl<'a> Parameters<'a> {
    /// Those of a function in OpenAI's shape.
    ///
    /// # Errors
    ///
    /// `Invalid` for a schema whose parameters cannot be told one by one.
    pub(super) fn of(function: &'a Value) -> Result<Self, GrammarError> {
        let root = &function["parameters"];
        let known = match root.as_object() {
            None => Vec::new(),
            Some(schema) => {
                for key in [
                    "$ref",
                    "anyOf",
                    "oneOf",
                    "allOf",
                    "not",
                    "if",
                    "patternProperties",
                ] {
                    if schema.contains_key(key) {
                        let name = function["name"].as_str().unwrap_or_default();
                        return Err(unsupported(&format!("{key}` of the parameters of `{name}")));
                    }
                }
                members(schema)
            }
        };
        let open = known.is_empty() && root["additionalProperties"] != false;
        Ok(Self { root, known, open })
    }
}

/// The properties of an object, in the schema's order.
pub(super) fn members(schema: &Map<String, Value>) -> Vec<Parameter<'_>> {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required =
        |name: &str| required.is_some_and(|names| names.iter().any(|other| other == name));
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties = properties.into_iter().flatten();
    properties
        .map(|(name, schema)| Parameter {
            name,
            schema,
            required: is_required(name),
        })
        .collect()
}

/// What a schema is, references followed.
pub(super) fn resolved<'a>(schema: &'a Value, root: &'a Value) -> Result<&'a Value, GrammarError> {
    let mut schema = schema;
    for _ in 0..MAX_REFERENCES {
        let Some(reference) = schema.get("$ref") else {
            return Ok(schema);
        };
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let target = pointer.and_then(|pointer| root.pointer(pointer));
        schema = target.ok_or_else(|| unsupported(&format!("$ref`: `{reference}")))?;
    }
    Err(unsupported("$ref` that leads to itself, `$ref"))
}

/// `what` cannot be kept to.
pub(super) fn unsupported(what: &str) -> GrammarError {
    let reason = format!("`{what}` cannot be kept to in this model's format of calls");
    GrammarError::Invalid(reason)
}

/// A length of strings or lists as a quantifier.
pub(super) fn lengths(schema: &Value, least: &str, most: &str) -> String {
    let bound = |key: &str| schema[key].as_u64();
    match (bound(least), bound(most)) {
        (None, None) => "*".to_owned(),
        (least, most) => {
            let most = most.map(|most| most.to_string()).unwrap_or_default();
            format!("{{{},{most}}}", least.unwrap_or(0))
        }
    }
}
