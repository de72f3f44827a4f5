//! Arguments between tags, as Qwen3-Coder writes them: see [`crate::tool_call`]'s parser.

use serde_json::Value;

use super::parameters::{Parameter, Parameters, lengths, resolved, unsupported};
use crate::grammar::GrammarError;
use crate::grammar::lark::{Lark, literal, regex};
use crate::tool_call::ValueTypes;

const VALUE_END: &str = "\n</parameter>\n";

/// What of a schema of strings can be kept to.
const KEPT: [&str; 5] = ["const", "enum", "pattern", "minLength", "maxLength"];
/// What asks for nothing.
const ANNOTATIONS: [&str; 8] = [
    "type",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "$comment",
    "nullable",
];

/// The parameters of function `index`, in the schema's order.
///
/// # Errors
///
/// `Invalid` for what cannot be kept to.
pub(super) fn write(
    function: &Value,
    index: usize,
    lark: &mut Lark<'_>,
) -> Result<String, GrammarError> {
    let parameters = Parameters::of(function)?;
    lark.rule_once(
        &format!("text_value[suffix={}]", literal(VALUE_END)),
        "/(?s:.*)/",
    );
    if parameters.open {
        return Ok("(\"<parameter=\" /[^<>\\n]{1,64}/ \">\\n\" text_value)*".to_owned());
    }
    let mut body = Vec::new();
    for (number, parameter) in parameters.known.iter().enumerate() {
        let rule = format!("parameter_{index}_{number}");
        let value = value(&parameters, parameter, &rule, lark)?;
        let begin = literal(&format!("<parameter={}>\n", parameter.name));
        lark.rule(&rule, &format!("{begin} {value}"));
        body.push(match parameter.required {
            true => rule,
            false => format!("{rule}?"),
        });
    }
    Ok(body.join(" "))
}

/// A value and the tag behind it.
fn value(
    parameters: &Parameters<'_>,
    parameter: &Parameter<'_>,
    rule: &str,
    lark: &mut Lark<'_>,
) -> Result<String, GrammarError> {
    let types = ValueTypes::of_parameter(Some(parameters.root), parameter.name);
    let end = literal(VALUE_END);
    if !types.may_be_string() {
        return Ok(format!(
            "{} {end}",
            lark.json(&with_definitions(parameter.schema, parameters.root))
        ));
    }
    // Whatever is no JSON of another type is a string.
    if !types.is_string() {
        return Ok("text_value".to_owned());
    }
    let schema = resolved(parameter.schema, parameters.root)?;
    let keys = schema
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.keys());
    let mut asked = keys
        .filter(|key| !ANNOTATIONS.contains(&key.as_str()))
        .peekable();
    if asked.peek().is_none() {
        return Ok("text_value".to_owned());
    }
    if let Some(key) = asked.find(|key| !KEPT.contains(&key.as_str())) {
        return Err(unsupported(&format!(
            "{key}` of the parameter `{}",
            parameter.name
        )));
    }
    let constant = schema.get("const").map(std::slice::from_ref);
    let listed = schema
        .get("enum")
        .and_then(Value::as_array)
        .map(Vec::as_slice);
    if let Some(texts) = constant.or(listed) {
        let texts = texts.iter().filter_map(Value::as_str).map(literal);
        let texts: Vec<String> = texts.collect();
        return Ok(format!("({}) {end}", texts.join(" | ")));
    }
    let mut terminal = format!("/(?s:.{})/", lengths(schema, "minLength", "maxLength"));
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        terminal.push_str(&format!(" & {}", regex(&anywhere(pattern))));
    }
    terminal.push_str(" & ~/(?s:.*<\\/parameter>.*)/");
    let name = rule.to_uppercase();
    lark.rule(&name, &terminal);
    Ok(format!("{name} {end}"))
}

/// A pattern of JSON Schema, which may match anywhere, as one of the whole text.
fn anywhere(pattern: &str) -> String {
    let (begins, rest) = match pattern.strip_prefix('^') {
        Some(rest) => ("", rest),
        None => ("(?s:.*)", pattern),
    };
    let escaped = rest.ends_with("\\$");
    match rest.strip_suffix('$').filter(|_| !escaped) {
        Some(rest) => format!("{begins}({rest})"),
        None => format!("{begins}({rest})(?s:.*)"),
    }
}

/// A schema with what its references point to.
fn with_definitions(schema: &Value, root: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(fields) = schema.as_object_mut() {
        for key in ["$defs", "definitions"] {
            if let (Some(definitions), false) = (root.get(key), fields.contains_key(key)) {
                fields.insert(key.to_owned(), definitions.clone());
            }
        }
    }
    schema
}
