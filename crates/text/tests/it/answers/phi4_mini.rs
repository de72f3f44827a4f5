//! Tool calls of Phi-4-mini.

use text::{AnswerFormat, ToolCallFormat};

use super::answer::{Case, answer, calls_in, check, check_complete, check_content, check_damaged};

fn format() -> AnswerFormat<'static> {
    calls_in(ToolCallFormat::Phi4MiniJson, &[])
}

fn well_formed() -> Vec<Case> {
    let oslo = ("get_weather", r#"{"city": "Oslo"}"#);
    vec![
        (
            "Just text about functools.",
            answer("Just text about functools.", &[]),
        ),
        (
            r#"functools[{"name": "get_weather", "arguments": {"city": "Oslo"}}]"#,
            answer("", &[oslo]),
        ),
        (
            r#"<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Oslo"}}]<|/tool_call|>"#,
            answer("", &[oslo]),
        ),
        (
            r#"<|tool_call|>{"name": "get_weather", "parameters": {"city": "Oslo"}}<|/tool_call|>"#,
            answer("", &[oslo]),
        ),
        (
            "Now: functools[{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"g\", \"arguments\": {\"a\": \"[]<|/tool_call|> 漢😀\\\"\"}}]\n",
            answer(
                "Now: ",
                &[("f", "{}"), ("g", r#"{"a": "[]<|/tool_call|> 漢😀\""}"#)],
            ),
        ),
        (
            "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}]<|/tool_call|>\n<|tool_call|>[{\"name\": \"g\", \"arguments\": {}}] <|/tool_call|> Done.",
            answer(" Done.", &[("f", "{}"), ("g", "{}")]),
        ),
    ]
}

fn broken_off() -> Vec<Case> {
    vec![
        // The end marker ends a list and arguments that have no end.
        (
            "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}<|/tool_call|> Done.",
            answer(" Done.", &[("f", "{}")]),
        ),
        (
            "<|tool_call|>[{\"name\": \"f\", \"arguments\": {\"a\": [1<|/tool_call|>Done.",
            answer("Done.", &[("f", "{\"a\": [1")]),
        ),
        (
            "<|tool_call|>[{\"name\": \"f\", \"arguments\": {\"a\": \"x\n<|/tool_call|>Done.",
            answer("Done.", &[("f", "{\"a\": \"x\n")]),
        ),
        (
            "functools[{\"name\": \"f\", \"arguments\": {\"a\": 1}",
            answer("", &[("f", "{\"a\": 1}")]),
        ),
    ]
}

const NOT_CALLS: [&str; 7] = [
    "functools",
    "from functools import reduce",
    "functools[0]",
    "functools[{\"arguments\": {}}]",
    "functools{\"name\": \"f\"}",
    "<|tool_call|>f(1)<|/tool_call|>",
    "<|tool_call|>[{\"name\": \"f\", \"arguments\": \"x\"}]<|/tool_call|>",
];

#[test]
fn answers_mean_what_they_say() {
    check_complete(&format(), &well_formed());
    check(&format(), &broken_off());
    check_content(&format(), &NOT_CALLS);
}

#[test]
fn damaged_answers_lose_nothing() {
    let cases = [well_formed(), broken_off()].concat();
    let texts: Vec<&str> = cases.iter().map(|(text, _)| *text).collect();
    let words = [
        "functools",
        "<|tool_call|>",
        "<|/tool_call|>",
        "[",
        "]",
        "{",
        "}",
        "\"name\": \"f\"",
        ", ",
        "\"arguments\": {",
        "<|",
        "\n",
    ];
    check_damaged(&format(), &texts, &words, true);
}
