//! Tool calls of Llama 3.

use serde_json::Value;
use text::ToolCallFormat;

use super::answer::{
    Case, answer, calls_in, check, check_complete, check_content, check_damaged, tools,
};

fn known() -> Vec<Value> {
    tools(&["get_weather", "f", "g"])
}

fn well_formed() -> Vec<Case> {
    let oslo = ("get_weather", r#"{"city": "Oslo"}"#);
    vec![
        ("Just text.", answer("Just text.", &[])),
        ("", answer("", &[])),
        (
            r#"{"name": "get_weather", "parameters": {"city": "Oslo"}}"#,
            answer("", &[oslo]),
        ),
        (
            r#"<|python_tag|>{"name": "get_weather", "parameters": {"city": "Oslo"}}"#,
            answer("", &[oslo]),
        ),
        // As Meta's own library writes it, and with the other name of the arguments.
        (
            r#"<|python_tag|>{"type": "function", "name": "get_weather", "parameters": {"city": "Oslo"}}"#,
            answer("", &[oslo]),
        ),
        (
            r#"{"type": "function", "name": "get_weather", "arguments": {"city": "Oslo"}}"#,
            answer("", &[oslo]),
        ),
        // Several, with a semicolon, a line break, or nothing between them.
        (
            "{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"parameters\": {\"a\": [{\"b\": \"}; {\"}]}}",
            answer("", &[("f", "{}"), ("g", r#"{"a": [{"b": "}; {"}]}"#)]),
        ),
        (
            "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}\n;\n{\"name\": \"g\", \"parameters\": {}}{\"name\": \"f\", \"parameters\": {}}\n",
            answer("", &[("f", "{}"), ("g", "{}"), ("f", "{}")]),
        ),
        (
            "{\"name\": \"f\", \"parameters\": {}}\n<|python_tag|>{\"name\": \"g\", \"parameters\": {}}",
            answer("", &[("f", "{}"), ("g", "{}")]),
        ),
        // Text before, with the marker, and behind.
        (
            "Let me look.\n\n<|python_tag|>{\"name\": \"f\", \"parameters\": {\"q\": \"\\u00e9 漢😀 \\\" <|python_tag|>\"}} Done.",
            answer(
                "Let me look.\n\n Done.",
                &[("f", r#"{"q": "\u00e9 漢😀 \" <|python_tag|>"}"#)],
            ),
        ),
        (
            " \n{\"parameters\": {\"a\":1}, \"name\": \"f\"}; and more",
            answer("; and more", &[("f", "{\"a\":1}")]),
        ),
        // Behind the marker the name need not be known, and arguments may be missing.
        (
            r#"<|python_tag|>{"name": "other"}"#,
            answer("", &[("other", "{}")]),
        ),
        // A separator at the end separates nothing.
        (
            r#"{"name": "f", "parameters": {}}; "#,
            answer("", &[("f", "{}")]),
        ),
    ]
}

fn broken_off() -> Vec<Case> {
    vec![
        (
            r#"{"name": "f", "parameters": {"a": "1"#,
            answer("", &[("f", r#"{"a": "1"#)]),
        ),
        (
            r#"{"name": "f", "parameters": {"a": 1}"#,
            answer("", &[("f", r#"{"a": 1}"#)]),
        ),
        (
            r#"{"name": "f", "parameters": {}}; {"name": "g", "para"#,
            answer(r#"; {"name": "g", "para"#, &[("f", "{}")]),
        ),
        (
            r#"{"name": "f", "parameters": {}}; {"result": 1}"#,
            answer(r#"; {"result": 1}"#, &[("f", "{}")]),
        ),
        (
            r#"{"name": "f", "parameters": {}}; {"name": "h", "parameters": {}}"#,
            answer(r#"; {"name": "h", "parameters": {}}"#, &[("f", "{}")]),
        ),
    ]
}

const NOT_CALLS: [&str; 16] = [
    "\n ",
    "{",
    "{}",
    r#"{"name": "f", "parameters": "#,
    r#"{"name": "f", "parameters": [1]}"#,
    // Answers in JSON.
    r#"{"name": "f"}"#,
    r#"{"name": "f", "age": 7, "parameters": {}}"#,
    r#"{"temperature": 7, "parameters": {}, "name": "f"}"#,
    // No such tool.
    r#"{"name": "h", "parameters": {}}"#,
    r#"{"parameters": {}, "name": "h"}"#,
    // Not at the beginning.
    r#"I call {"name": "f", "parameters": {}}"#,
    r#"[{"name": "f", "parameters": {}}]"#,
    "```json\n{\"name\": \"f\", \"parameters\": {}}\n```",
    // Code and built-in tools.
    "<|python_tag|>print(1)",
    "<|python_tag|>brave_search.call(query=\"x\")",
    "<|python_tag|>",
];

#[test]
fn answers_mean_what_they_say() {
    let known = known();
    let format = calls_in(ToolCallFormat::Llama3Json, &known);
    check_complete(&format, &well_formed());
    check(&format, &broken_off());
    check_content(&format, &NOT_CALLS);
}

#[test]
fn any_name_may_be_a_tool_when_none_is_known() {
    let format = calls_in(ToolCallFormat::Llama3Json, &[]);
    let call = r#"{"name": "h", "parameters": {}}"#;
    check_complete(&format, &[(call, answer("", &[("h", "{}")]))]);
}

#[test]
fn damaged_answers_lose_nothing() {
    let known = known();
    let format = calls_in(ToolCallFormat::Llama3Json, &known);
    let cases = [well_formed(), broken_off()].concat();
    let texts: Vec<&str> = cases.iter().map(|(text, _)| *text).collect();
    let words = [
        "<|python_tag|>",
        "{",
        "}",
        "\"name\"",
        ": ",
        "\"f\"",
        ", ",
        "\"parameters\"",
        ";",
        "[",
        "\\",
        "x",
        "<",
        "{\"name\": \"f\", \"parameters\": {",
    ];
    check_damaged(&format, &texts, &words, true);
}
