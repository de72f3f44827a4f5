//! Tool calls of Qwen3-Coder.

use serde_json::{Value, json};
use text::{AnswerParser, AnswerPart, ToolCallFormat};

use super::answer::{
    Case, answer, calls_in, check, check_complete, check_content, check_damaged, parse,
};

fn known() -> Vec<Value> {
    let parameters = json!({
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "count": {"type": "integer"},
            "share": {"type": "number"},
            "on": {"type": "boolean"},
            "list": {"type": "array", "items": {"type": "string"}},
            "map": {"type": "object"},
            "maybe": {"type": ["string", "null"]},
            "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "kind": {"enum": ["a", "b"]},
            "level": {"enum": [1, 2, "max"]},
            "place": {"$ref": "#/$defs/place"},
            "any": {"description": "whatever"},
        },
        "$defs": {"place": {"type": "object"}, "loop": {"$ref": "#/$defs/loop"}},
    });
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    vec![tool("f"), tool("g"), json!({"name": "bare"})]
}

/// A call of `f` with one parameter, as the template writes it.
fn call_with(key: &str, value: &str) -> String {
    format!(
        "<tool_call>\n<function=f>\n<parameter={key}>\n{value}\n</parameter>\n</function>\n</tool_call>"
    )
}

fn well_formed() -> Vec<Case> {
    let text = ("f", r#"{"text": "Oslo"}"#);
    vec![
        ("Just text.", answer("Just text.", &[])),
        (
            "<tool_call>\n<function=f>\n<parameter=text>\nOslo\n</parameter>\n</function>\n</tool_call>",
            answer("", &[text]),
        ),
        (
            "<tool_call><function=f><parameter=text>Oslo</parameter></function></tool_call>",
            answer("", &[text]),
        ),
        (
            "<tool_call>\n<function=f>\n</function>\n</tool_call>\n<tool_call>\n<function=g>\n<parameter=count>\n5\n</parameter>\n<parameter=on>\nTrue\n</parameter>\n</function>\n</tool_call>\n",
            answer("", &[("f", "{}"), ("g", r#"{"count": 5, "on": true}"#)]),
        ),
        // The line break before a call is the format's; everything else of the text stays.
        (
            "I look.\n\n<tool_call>\n<function=f>\n<parameter=text>\nOslo\n</parameter>\n</function>\n</tool_call>Done.",
            answer("I look.\nDone.", &[text]),
        ),
        // Line breaks, quotes, braces and tags inside a value, and none at all.
        (
            "<tool_call>\n<function=f>\n<parameter=text>\n\n{\"a\": \"\\n\"}\n\t<b></parameter> x</function> 漢😀</tool_call>\n\n</parameter>\n<parameter=maybe>\n\n</parameter>\n</function>\n</tool_call>",
            answer(
                "",
                &[(
                    "f",
                    r#"{"text": "\n{\"a\": \"\\n\"}\n\t<b></parameter> x</function> 漢😀</tool_call>\n", "maybe": ""}"#,
                )],
            ),
        ),
        (
            "<tool_call>\n<function=f>\n<parameter=text>\n</parameter>\n</parameter>\n</function>\n</tool_call>",
            answer("", &[("f", r#"{"text": "</parameter>"}"#)]),
        ),
        // What models forget: the outer tag, tags at the end.
        (
            "Now\n<function=f>\n<parameter=text>\nOslo\n</parameter>\n</function>\n</tool_call>",
            answer("Now", &[text]),
        ),
        (
            "<tool_call>\n<function=f>\n<parameter=text>\nOslo\n</function>\n</tool_call>\n",
            answer("", &[text]),
        ),
        (
            "<tool_call>\n<function=f>\n<parameter=text>\nOslo\n</parameter>\n</tool_call>",
            answer("", &[text]),
        ),
        (
            "<tool_call>\n<function=f>\n<parameter=text>\nOslo\n</parameter>\n</function>\n<function=g>\n</function>",
            answer("", &[text, ("g", "{}")]),
        ),
        (
            "<tool_call>\n<function=f>\n<parameter=text>\nOslo\n</function>",
            answer("", &[text]),
        ),
        // A tool and a parameter that are not known.
        (
            "<tool_call>\n<function=other>\n<parameter=n>\n5\n</parameter>\n</function>\n</tool_call>",
            answer("", &[("other", r#"{"n": "5"}"#)]),
        ),
    ]
}

fn broken_off() -> Vec<Case> {
    vec![
        ("<tool_call>\n<function=f>\n", answer("", &[("f", "{")])),
        (
            "<tool_call>\n<function=f>\n<parameter=te",
            answer("<parameter=te", &[("f", "{")]),
        ),
        (
            "<tool_call>\n<function=f>\n<parameter=text>\nOs\"lo",
            answer("", &[("f", r#"{"text": "Os\"lo"#)]),
        ),
        (
            "<tool_call>\n<function=f>\n<parameter=text>\nOslo\n</param",
            answer("", &[("f", r#"{"text": "Oslo\n</param"#)]),
        ),
        (
            "<tool_call>\n<function=f>\n<parameter=text>\nOslo\n</parameter>\n",
            answer("", &[("f", r#"{"text": "Oslo""#)]),
        ),
        (
            "<tool_call>\n<function=f>\n<parameter=count>\n12",
            answer("", &[("f", r#"{"count": 12"#)]),
        ),
        (
            "<tool_call>\n<function=f>\ntext</function>\n</tool_call>",
            answer("text</function>\n", &[("f", "{")]),
        ),
    ]
}

const NOT_CALLS: [&str; 11] = [
    "<tool_call>",
    "\n<tool_call>\n",
    "<tool_call>\n<function=",
    "<tool_call>\n<function=>",
    "<tool_call>\n<function=f",
    "<tool_call>\n<function=f g>\n</function>",
    "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>",
    "<tool_call>text</tool_call>",
    "<tool_call>\n<functions=f>",
    "<function=unknown>\n</function>",
    "</function></tool_call>",
];

#[test]
fn answers_mean_what_they_say() {
    let known = known();
    let format = calls_in(ToolCallFormat::Qwen3Coder, &known);
    check_complete(&format, &well_formed());
    check(&format, &broken_off());
    check_content(&format, &NOT_CALLS);
}

#[test]
fn values_have_the_types_of_the_schema() {
    let known = known();
    let format = calls_in(ToolCallFormat::Qwen3Coder, &known);
    let cases = [
        ("text", "5", json!("5")),
        ("text", "null", json!("null")),
        ("text", "{\"a\": 1}", json!("{\"a\": 1}")),
        ("count", "5", json!(5)),
        ("count", " -3 ", json!(-3)),
        ("count", "five", json!("five")),
        ("count", "true", json!("true")),
        ("share", "2.50", json!(2.5)),
        ("share", "1e3", json!(1000.0)),
        ("on", "true", json!(true)),
        ("on", "False", json!(false)),
        ("on", "yes", json!("yes")),
        ("list", "[\"a\", \"b\"]", json!(["a", "b"])),
        ("list", "['a', \"b\", None]", json!(["a", "b", null])),
        ("list", "a, b", json!("a, b")),
        ("map", "{\"a\": {\"b\": [1]}}", json!({"a": {"b": [1]}})),
        (
            "map",
            "{'a': True, 'b': \"it's\"}",
            json!({"a": true, "b": "it's"}),
        ),
        ("map", "{'a': unknown}", json!("{'a': unknown}")),
        ("map", "[1]", json!("[1]")),
        ("maybe", "null", json!(null)),
        ("maybe", "None", json!(null)),
        ("maybe", "\"quoted\"", json!("\"quoted\"")),
        ("either", "7", json!(7)),
        ("either", "null", json!(null)),
        ("kind", "a", json!("a")),
        ("kind", "1", json!("1")),
        ("level", "1", json!(1)),
        ("level", "max", json!("max")),
        ("place", "{\"x\": 1}", json!({"x": 1})),
        ("any", "7", json!(7)),
        ("any", "seven", json!("seven")),
        ("unknown", "7", json!("7")),
    ];
    for (key, text, expected) in cases {
        let answer = parse(&format, [call_with(key, text).as_str()]);
        let (_, arguments) = &answer.calls[0];
        let value: Value = serde_json::from_str(arguments).unwrap();
        assert_eq!(value, json!({key: expected}), "{key}: {text}");
    }
}

#[test]
fn schemas_that_cannot_be_read_allow_anything() {
    for schema in [
        json!({"$ref": "#/$defs/loop"}),
        json!({"$ref": "elsewhere"}),
        json!({"type": "file"}),
        json!({"type": 5}),
        json!(true),
        json!({"allOf": [{"type": "integer"}, {"type": "string"}]}),
    ] {
        let parameters = json!({
            "properties": {"x": schema},
            "$defs": {"loop": {"anyOf": [{"$ref": "#/$defs/loop"}, {"type": "integer"}]}},
        });
        let tools = [json!({"name": "f", "parameters": parameters})];
        let format = calls_in(ToolCallFormat::Qwen3Coder, &tools);
        for (text, json) in [("7", "{\"x\": 7}"), ("a", "{\"x\": \"a\"}")] {
            let parsed = parse(&format, [call_with("x", text).as_str()]);
            assert_eq!(parsed, answer("", &[("f", json)]), "{schema}");
        }
    }
}

#[test]
fn strings_stream_as_they_come() {
    let known = known();
    let mut parser = AnswerParser::new(&calls_in(ToolCallFormat::Qwen3Coder, &known));
    let delta = |text: &str| AnswerPart::ArgumentsDelta {
        index: 0,
        text: text.to_owned(),
    };
    let start = AnswerPart::CallStart {
        index: 0,
        name: "f".into(),
    };
    assert_eq!(
        parser.push("<tool_call>\n<function=f>"),
        [start, delta("{")]
    );
    assert_eq!(parser.push("\n<parameter=text>"), [delta("\"text\": \"")]);
    assert_eq!(parser.push("\none\n"), [delta("one")]);
    assert_eq!(parser.push("two\n</p"), [delta("\\ntwo")]);
    assert_eq!(parser.push("arameter>\n<parameter="), [delta("\"")]);
    assert_eq!(parser.push("count>\n1"), [delta(", \"count\": ")]);
    assert_eq!(parser.push("2\n</parameter>\n</"), []);
    assert_eq!(parser.push("function>\n"), [delta("12}")]);
}

#[test]
fn damaged_answers_lose_nothing() {
    let known = known();
    let format = calls_in(ToolCallFormat::Qwen3Coder, &known);
    let cases = [well_formed(), broken_off()].concat();
    let texts: Vec<&str> = cases.iter().map(|(text, _)| *text).collect();
    let words = [
        "<tool_call>",
        "</tool_call>",
        "<function=f>",
        "<function=",
        "</function>",
        "<parameter=text>",
        "<parameter=count>",
        "</parameter>",
        "\n",
        "5",
        "x",
        "<",
        ">",
        "\"",
    ];
    check_damaged(&format, &texts, &words, true);
}
