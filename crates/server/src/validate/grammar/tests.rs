use serde_json::json;

use super::*;

fn asked_in(body: Value) -> Result<Option<AskedGrammar>, ApiError> {
    asked(&mut Fields::from_value(String::new(), body)?)
}

fn grammar_of(body: Value) -> (Grammar, String) {
    let asked = asked_in(body).unwrap().unwrap();
    (asked.grammar, asked.field)
}

#[test]
fn nothing_is_asked_for_by_text() {
    for body in [
        json!({}),
        json!({"response_format": {"type": "text"}}),
        json!({"response_format": null}),
    ] {
        assert_eq!(asked_in(body).unwrap(), None);
    }
}

#[test]
fn each_spelling_has_its_grammar_and_its_field() {
    let schema = json!({"type": "object"});
    let check = |body: Value, grammar: Grammar, field: &str| {
        assert_eq!(grammar_of(body), (grammar, field.to_owned()));
    };
    let of_schema = Grammar::JsonSchema(schema.clone());
    check(
        json!({"response_format": {"type": "json_object"}}),
        Grammar::JsonObject,
        "response_format",
    );
    check(
        json!({"response_format": {"type": "json_object", "schema": schema}}),
        of_schema.clone(),
        "response_format.schema",
    );
    let named = json!({"name": "a", "strict": true, "description": "b", "schema": schema});
    check(
        json!({"response_format": {"type": "json_schema", "json_schema": named}}),
        of_schema.clone(),
        "response_format.json_schema.schema",
    );
    for json in [schema.clone(), json!(schema.to_string())] {
        check(
            json!({"structured_outputs": {"json": json}}),
            of_schema.clone(),
            "structured_outputs.json",
        );
    }
    check(
        json!({"structured_outputs": {"json_object": true, "regex": null}}),
        Grammar::JsonObject,
        "structured_outputs.json_object",
    );
    check(
        json!({"structured_outputs": {"regex": "a+"}}),
        Grammar::Regex("a+".to_owned()),
        "structured_outputs.regex",
    );
    check(
        json!({"structured_outputs": {"choice": ["a", "b"]}}),
        Grammar::Choice(vec!["a".to_owned(), "b".to_owned()]),
        "structured_outputs.choice",
    );
    check(
        json!({"structured_outputs": {"grammar": "start: \"a\""}}),
        Grammar::Lark("start: \"a\"".to_owned()),
        "structured_outputs.grammar",
    );
}

#[test]
fn what_is_wrong_is_named() {
    let format = |format: Value| json!({"response_format": format});
    let outputs = |outputs: Value| json!({"structured_outputs": outputs});
    let json_schema = |inner: Value| format(json!({"type": "json_schema", "json_schema": inner}));
    for (body, param) in [
        (format(json!("json")), "response_format"),
        (format(json!({})), "response_format.type"),
        (format(json!({"type": 1})), "response_format.type"),
        (format(json!({"type": "grammar"})), "response_format.type"),
        (
            format(json!({"type": "text", "schema": {}})),
            "response_format.schema",
        ),
        (
            format(json!({"type": "json_schema"})),
            "response_format.json_schema",
        ),
        (
            json_schema(json!({"schema": {}})),
            "response_format.json_schema.name",
        ),
        (
            json_schema(json!({"name": "a"})),
            "response_format.json_schema.schema",
        ),
        (
            json_schema(json!({"name": "a", "schema": [1]})),
            "response_format.json_schema.schema",
        ),
        (
            json_schema(json!({"name": "a", "schema": "{"})),
            "response_format.json_schema.schema",
        ),
        (
            json_schema(json!({"name": "a", "schema": {}, "strict": "yes"})),
            "response_format.json_schema.strict",
        ),
        (
            json_schema(json!({"name": "a", "schema": {}, "more": 1})),
            "response_format.json_schema.more",
        ),
        (outputs(json!({})), "structured_outputs"),
        (
            outputs(json!({"regex": "a", "choice": ["a"]})),
            "structured_outputs",
        ),
        (
            outputs(json!({"choice": ["a", 1]})),
            "structured_outputs.choice[1]",
        ),
        (
            outputs(json!({"structural_tag": "a"})),
            "structured_outputs.structural_tag",
        ),
        (outputs(json!({"schema": {}})), "structured_outputs.schema"),
        (
            outputs(json!({"json": {}, "disable_any_whitespace": true})),
            "structured_outputs.disable_any_whitespace",
        ),
        (
            json!({"structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"}}),
            "structured_outputs",
        ),
    ] {
        let error = asked_in(body.clone()).unwrap_err();
        assert_eq!(error.body()["error"]["param"], param, "{body}");
    }
}
