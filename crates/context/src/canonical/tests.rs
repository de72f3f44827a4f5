//! Shuffled definitions against their canonical bytes.

use serde_json::json;

use super::*;

fn text(tools: &[Value]) -> String {
    canonical_tools(tools)
        .iter()
        .map(Value::to_string)
        .collect()
}

/// The value with the keys of all objects reversed or rotated; arrays as they are.
fn shuffled(value: &Value, by: usize) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<(String, Value)> = object
                .iter()
                .map(|(key, value)| (key.clone(), shuffled(value, by)))
                .collect();
            let length = entries.len().max(1);
            entries.rotate_left(by % length);
            if by % 2 == 1 {
                entries.reverse();
            }
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(|item| shuffled(item, by)).collect(),
        other => other.clone(),
    }
}

fn tools() -> Vec<Value> {
    vec![
        json!({"type": "function", "function": {
            "name": "search",
            "description": "Finds text.",
            "parameters": {
                "type": "object",
                "properties": {
                    "query": {"type": "string", "minLength": 1, "description": "What."},
                    "limit": {"type": "integer", "default": 10},
                    "type": {"type": "string", "enum": ["b", "a"]},
                    "filter": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/filter"}]},
                },
                "required": ["type", "query"],
                "additionalProperties": false,
                "$defs": {"filter": {"type": "object", "properties": {"z": {}, "a": {}}}},
            },
        }}),
        json!({"name": "edit", "input_schema": {"type": "object", "properties": {
            "path": {"type": "string", "default": {"b": 1, "a": [2, 1]}},
        }}}),
        json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3}),
        json!({"type": "custom"}),
    ]
}

#[test]
fn shuffled_keys_and_tools_give_the_same_bytes() {
    let expected = text(&tools());
    for by in 0..24 {
        let mut other: Vec<Value> = tools().iter().map(|tool| shuffled(tool, by)).collect();
        let length = other.len();
        other.rotate_left(by % length);
        if by % 3 == 0 {
            other.reverse();
        }
        assert_eq!(text(&other), expected, "{by}");
    }
}

#[test]
fn nothing_is_added_lost_or_rewritten() {
    // Equality of maps does not regard the order of their keys.
    let mut sent = tools();
    for tool in canonical_tools(&tools()) {
        let at = sent.iter().position(|other| *other == tool).unwrap();
        sent.remove(at);
    }
    assert!(sent.is_empty());
}

#[test]
fn the_canonical_form_is_the_customary_one() {
    let names: Vec<Value> = canonical_tools(&tools());
    let names: Vec<Option<&str>> = names.iter().map(name).collect();
    assert_eq!(
        names,
        [None, Some("edit"), Some("search"), Some("web_search")]
    );
    let search = canonical_tools(&tools()).remove(2).to_string();
    let expected = concat!(
        r#"{"type":"function","function":{"name":"search","description":"Finds text.","#,
        r#""parameters":{"type":"object","properties":{"#,
        r#""type":{"type":"string","enum":["b","a"]},"#,
        r#""query":{"type":"string","description":"What.","minLength":1},"#,
        r#""filter":{"anyOf":[{"type":"null"},{"$ref":"#,
        r##""#/$defs/filter"}]},"##,
        r#""limit":{"type":"integer","default":10}},"#,
        r#""required":["type","query"],"additionalProperties":false,"#,
        r#""$defs":{"filter":{"type":"object","properties":{"a":{},"z":{}}}}}}}"#,
    );
    assert_eq!(search, expected);
    let edit = canonical_tools(&tools()).remove(1).to_string();
    assert!(edit.contains(r#""default":{"a":[2,1],"b":1}"#), "{edit}");
}

#[test]
fn what_has_a_meaning_makes_a_difference() {
    let expected = text(&tools());
    let changes: [(&str, Value); 4] = [
        ("/0/function/parameters/required", json!(["query", "type"])),
        (
            "/0/function/parameters/properties/type/enum",
            json!(["a", "b"]),
        ),
        ("/0/function/description", json!("Finds text")),
        (
            "/0/function/parameters/properties/limit/default",
            json!(10.0),
        ),
    ];
    for (path, value) in changes {
        let mut changed = Value::Array(tools());
        *changed.pointer_mut(path).unwrap() = value;
        assert_ne!(text(changed.as_array().unwrap()), expected, "{path}");
    }
}

#[test]
fn tools_of_one_name_have_an_order_too() {
    let first = json!({"name": "same", "description": "a"});
    let second = json!({"name": "same", "description": "b"});
    let straight = text(&[first.clone(), second.clone()]);
    assert_eq!(text(&[second, first]), straight);
}

#[test]
fn a_property_may_be_called_like_a_keyword() {
    let schema = json!({"type": "object", "properties": {
        "properties": {"type": "string"},
        "default": {"type": "string", "description": "d"},
        "name": {"type": "string"},
    }});
    let tool = json!({"name": "t", "input_schema": schema});
    assert_eq!(
        text(&[shuffled(&tool, 1)]),
        concat!(
            r#"{"name":"t","input_schema":{"type":"object","properties":{"#,
            r#""default":{"type":"string","description":"d"},"#,
            r#""name":{"type":"string"},"properties":{"type":"string"}}}}"#,
        )
    );
}

#[test]
fn arguments_are_canonical_if_they_are_json() {
    let check = |arguments: &str, expected: &str| {
        assert_eq!(canonical_arguments(arguments), expected);
    };
    check(
        r#" {"b": [2, 1], "a": {"d": 1, "c": null}} "#,
        r#"{"a":{"c":null,"d":1},"b":[2,1]}"#,
    );
    check("", "");
    check("{\"a\": 1", "{\"a\": 1");
    check("7", "7");
}
