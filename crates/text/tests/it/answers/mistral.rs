//! Tool calls of Mistral, in the lists of older tokenizers and the pairs of newer ones.

use text::{AnswerFormat, ToolCallFormat};

use super::answer::{Case, answer, calls_in, check, check_complete, check_content, check_damaged};

fn format() -> AnswerFormat<'static> {
    calls_in(ToolCallFormat::Mistral, &[])
}

fn well_formed() -> Vec<Case> {
    let oslo = ("get_weather", r#"{"city": "Oslo"}"#);
    vec![
        (
            "Just text. [1] [TOOL]",
            answer("Just text. [1] [TOOL]", &[]),
        ),
        (
            r#"[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Oslo"}, "id": "9Ae3bDc2F"}]"#,
            answer("", &[oslo]),
        ),
        (
            r#"[TOOL_CALLS][{"name":"a","arguments":{}},{"arguments": {"x": "]}, {"}, "name": "b"} , {"name": "c"}]"#,
            answer("", &[("a", "{}"), ("b", r#"{"x": "]}, {"}"#), ("c", "{}")]),
        ),
        (
            r#"[TOOL_CALLS]get_weather[ARGS]{"city": "Oslo"}"#,
            answer("", &[oslo]),
        ),
        (
            "[TOOL_CALLS]get_weather[CALL_ID]9Ae3bDc2F[ARGS]{\"city\": \"Oslo\"}",
            answer("", &[oslo]),
        ),
        (
            "Let me look. [TOOL_CALLS]a[ARGS]{}[TOOL_CALLS]b.c-d_1[ARGS] \n{\"x\": {\"y\": [\"[TOOL_CALLS]z[ARGS]{}\", \"\\\"}\", \"漢😀\"]}}\n",
            answer(
                "Let me look. ",
                &[
                    ("a", "{}"),
                    (
                        "b.c-d_1",
                        r#"{"x": {"y": ["[TOOL_CALLS]z[ARGS]{}", "\"}", "漢😀"]}}"#,
                    ),
                ],
            ),
        ),
        // Without the tokens that a decoder has dropped, and an object without a list.
        (
            r#"[TOOL_CALLS]get_weather{"city": "Oslo"}"#,
            answer("", &[oslo]),
        ),
        (
            r#"[TOOL_CALLS]{"name": "get_weather", "arguments": {"city": "Oslo"}}"#,
            answer("", &[oslo]),
        ),
        (
            r#"[TOOL_CALLS]a[ARGS]{} Done."#,
            answer(" Done.", &[("a", "{}")]),
        ),
        (
            r#"[TOOL_CALLS] [{"name": "a", "arguments": {}}] Done."#,
            answer(" Done.", &[("a", "{}")]),
        ),
    ]
}

fn broken_off() -> Vec<Case> {
    vec![
        (
            r#"[TOOL_CALLS] [{"name": "a", "arguments": {}}"#,
            answer("", &[("a", "{}")]),
        ),
        (
            r#"[TOOL_CALLS] [{"name": "a", "arguments": {}}, "#,
            answer("", &[("a", "{}")]),
        ),
        (
            r#"[TOOL_CALLS] [{"name": "a", "arguments": {"x": 1"#,
            answer("", &[("a", "{\"x\": 1")]),
        ),
        (
            r#"[TOOL_CALLS] [{"name": "a", "arguments": {}}, {"nam"#,
            answer(", {\"nam", &[("a", "{}")]),
        ),
        (
            r#"[TOOL_CALLS] [{"name": "a", "arguments": {}}, 5]"#,
            answer(", 5]", &[("a", "{}")]),
        ),
        (
            r#"[TOOL_CALLS]a[ARGS]{"x": "[ARGS"#,
            answer("", &[("a", "{\"x\": \"[ARGS")]),
        ),
    ]
}

const NOT_CALLS: [&str; 14] = [
    "[TOOL_CALLS",
    "[TOOL_CALLS]",
    "[TOOL_CALLS] [",
    "[TOOL_CALLS] []",
    "[TOOL_CALLS] [{}]",
    "[TOOL_CALLS] [[{\"name\": \"a\"}]]",
    "[TOOL_CALLS] is a token",
    "[TOOL_CALLS]a[ARGS]",
    "[TOOL_CALLS]a[ARGS]text",
    "[TOOL_CALLS]a[ARGX]{}",
    "[TOOL_CALLS]a[CALL_ID]b[CALL_ID]c[ARGS]{}",
    "[TOOL_CALLS]a[CALL_ID]b",
    "[TOOL_CALLS][ARGS]{}",
    "[TOOL_CALLS]a b[ARGS]{}",
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
        "[TOOL_CALLS]",
        "[ARGS]",
        "[CALL_ID]",
        "[",
        "]",
        "{",
        "}",
        "\"name\": \"f\"",
        ", ",
        "\"arguments\": {",
        "\\",
        "x",
        " ",
    ];
    check_damaged(&format(), &texts, &words, true);
}
