//! Tool calls of Granite 3.

use text::{AnswerFormat, ToolCallFormat};

use super::answer::{Case, answer, calls_in, check, check_complete, check_content, check_damaged};

fn format() -> AnswerFormat<'static> {
    calls_in(ToolCallFormat::Granite, &[])
}

fn well_formed() -> Vec<Case> {
    let oslo = ("get_weather", r#"{"city": "Oslo"}"#);
    vec![
        ("Just text.", answer("Just text.", &[])),
        (
            r#"<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Oslo"}}]"#,
            answer("", &[oslo]),
        ),
        (
            r#"<tool_call>[{"name": "get_weather", "arguments": {"city": "Oslo"}}]"#,
            answer("", &[oslo]),
        ),
        (
            "I look.\n<|tool_call|> [{\"arguments\": {\"a\": \"]<|tool_call|>\\\\\"}, \"name\": \"f\"},\n {\"name\": \"g\", \"arguments\": {\"漢\": [\"😀\", {}]}}]\n",
            answer(
                "I look.\n",
                &[
                    ("f", r#"{"a": "]<|tool_call|>\\"}"#),
                    ("g", r#"{"漢": ["😀", {}]}"#),
                ],
            ),
        ),
        (
            "<|tool_call|>{\"name\": \"f\", \"arguments\": {}} and text",
            answer(" and text", &[("f", "{}")]),
        ),
    ]
}

fn broken_off() -> Vec<Case> {
    vec![
        (
            r#"<|tool_call|>[{"name": "f", "arguments": {"a": [1"#,
            answer("", &[("f", "{\"a\": [1")]),
        ),
        (
            r#"<|tool_call|>[{"name": "f", "arguments": {}}, {"name"#,
            answer(", {\"name", &[("f", "{}")]),
        ),
        // A list without end, and another behind it.
        (
            "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}\n<|tool_call|>[{\"name\": \"g\", \"arguments\": {}}]",
            answer("", &[("f", "{}"), ("g", "{}")]),
        ),
    ]
}

const NOT_CALLS: [&str; 9] = [
    "<|tool_call|>",
    "<|tool_call|>[]",
    "<|tool_call|>\n[",
    "<tool_call>[{\"name\": 1}]",
    "<|tool_call|>[{\"name\": \"f\", \"arguments\": 1}]",
    "<|tool_call|>[\"f\"]",
    "<|tool_cal",
    "<|tool_call|>f()",
    "[{\"name\": \"f\", \"arguments\": {}}]",
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
        "<|tool_call|>",
        "<tool_call>",
        "[",
        "]",
        "{",
        "}",
        "\"name\": \"f\"",
        ", ",
        "\"arguments\": {",
        "<",
        "\n",
    ];
    check_damaged(&format(), &texts, &words, true);
}
