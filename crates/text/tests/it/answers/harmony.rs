//! Reasoning and tool calls of gpt-oss.

use serde_json::Value;
use text::{AnswerFormat, AnswerParser, ReasoningFormat, ToolCallFormat};

use super::answer::{
    Answer, Case, answer, check, check_complete, check_content, check_damaged, parse, tools,
};

fn known() -> Vec<Value> {
    tools(&["get_weather"])
}

fn format(tools: &[Value]) -> AnswerFormat<'_> {
    AnswerFormat {
        reasoning: Some(ReasoningFormat::OpenAiGptOss),
        tool_calls: Some(ToolCallFormat::OpenAi),
        tools,
        ..AnswerFormat::default()
    }
}

fn all(reasoning: &str, content: &str, calls: &[(&str, &str)]) -> Answer {
    Answer {
        reasoning: reasoning.into(),
        ..answer(content, calls)
    }
}

fn well_formed() -> Vec<Case> {
    let oslo = ("get_weather", r#"{"city": "Oslo"}"#);
    vec![
        (
            "<|channel|>analysis<|message|>Simple: 2 + 2.<|end|><|start|>assistant<|channel|>final<|message|>2 + 2 = 4.<|return|>",
            all("Simple: 2 + 2.", "2 + 2 = 4.", &[]),
        ),
        // Without the token that stops, as servers hand it on; with line breaks between.
        (
            "<|channel|>analysis<|message|>Hm.<|end|>\n<|start|>assistant<|channel|>final<|message|>\n4 漢😀\n",
            all("Hm.", "\n4 漢😀\n", &[]),
        ),
        (
            "<|channel|>analysis<|message|>Call.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Oslo\"}<|call|>",
            all("Call.", "", &[oslo]),
        ),
        // The recipient before the channel, the type without its token, no namespace.
        (
            " to=functions.get_weather<|channel|>commentary json<|message|>{\"city\": \"Oslo\"}<|call|>",
            all("", "", &[oslo]),
        ),
        (
            "<|start|>assistant to=functions.get_weather<|channel|>analysis code<|message|>{\"city\": \"Oslo\"}",
            all("", "", &[oslo]),
        ),
        (
            "<|channel|>commentary to=get_weather<|constrain|>json<|message|>{\"city\": \"Oslo\"}",
            all("", "", &[oslo]),
        ),
        // A preamble, calls one after the other, braces and tags in strings, no arguments.
        (
            "<|channel|>commentary<|message|>Plan:\n1. f<|end|><|start|>assistant<|channel|>commentary to=functions.f<|constrain|>json<|message|>{\"a\": \"}{ \\\" <|x|>\", \"b\": [{}]}<|call|><|start|>assistant<|channel|>commentary to=functions.g<|message|><|call|>",
            all(
                "",
                "Plan:\n1. f",
                &[("f", r#"{"a": "}{ \" <|x|>", "b": [{}]}"#), ("g", "{}")],
            ),
        ),
        // Messages of one kind are joined.
        (
            "<|channel|>analysis<|message|>One.<|end|><|start|>assistant<|channel|>analysis<|message|>Two.<|end|><|start|>assistant<|channel|>commentary<|message|>So.<|end|><|start|>assistant<|channel|>final<|message|>Done.<|return|>",
            all("One.\nTwo.", "So.\nDone.", &[]),
        ),
        (
            "<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>analysis<|message|>Two.<|end|>",
            all("Two.", "", &[]),
        ),
        // A message that begins another without having ended, and one without channel.
        (
            "<|channel|>analysis<|message|>Hm.<|start|>assistant<|channel|>final<|message|>4<|return|>",
            all("Hm.", "4", &[]),
        ),
        ("<|message|>4<|return|>", all("", "4", &[])),
        // Built-in tools that nobody has offered: what the model thinks, or says.
        (
            "<|channel|>analysis to=python code<|message|>print(1)<|call|>",
            all("print(1)", "", &[]),
        ),
        // No message at all.
        ("Hello.", all("", "Hello.", &[])),
        (
            "Hello.<|end|><|start|>assistant<|channel|>final<|message|>Again.",
            all("", "Hello.\nAgain.", &[]),
        ),
        (
            "Hello.<|channel|>final<|message|>Again.",
            all("", "Hello.\nAgain.", &[]),
        ),
    ]
}

fn broken_off() -> Vec<Case> {
    vec![
        (
            "<|channel|>analysis<|message|>So the",
            all("So the", "", &[]),
        ),
        (
            "<|channel|>analysis<|message|>So the<|en",
            all("So the<|en", "", &[]),
        ),
        (
            "<|channel|>commentary to=functions.f<|message|>{\"a\": [1",
            all("", "", &[("f", "{\"a\": [1")]),
        ),
        (
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|chan",
            all("Hm.", "<|start|>assistant<|chan", &[]),
        ),
    ]
}

const NOT_MESSAGES: [&str; 11] = [
    "",
    " \n",
    "<|channel|>",
    "<|channel|>analysis",
    "<|channel|>analysis of the text",
    "<|channel|>analysis to=<|message|>",
    "<|channel|><|message|>",
    "<|start|>user<|message|>",
    "<|start|>assistant says",
    "to=f and so on",
    "<|constrain|>",
];

#[test]
fn answers_mean_what_they_say() {
    let known = known();
    check_complete(&format(&known), &well_formed());
    check(&format(&known), &broken_off());
    check_content(&format(&known), &NOT_MESSAGES);
}

#[test]
fn a_header_that_goes_on_is_text() {
    let text = format!("<|channel|>{}<|message|>x", "a".repeat(300));
    check_content(&format(&[]), &[&text]);
}

#[test]
fn what_is_not_asked_for_stays_as_the_model_wrote_it() {
    let call = "<|channel|>commentary to=functions.f<|message|>{}<|call|>";
    let thinking = "<|channel|>analysis<|message|>Hm.<|end|>";
    let last = "<|start|>assistant<|channel|>final<|message|>4<|return|>";
    let only_reasoning = AnswerFormat {
        tool_calls: None,
        ..format(&[])
    };
    let text = format!("{thinking}<|start|>assistant{call}");
    let expected = all("Hm.", &format!("<|start|>assistant{call}"), &[]);
    assert_eq!(parse(&only_reasoning, [text.as_str()]), expected);

    let only_calls = AnswerFormat {
        reasoning: None,
        ..format(&[])
    };
    let text = format!("{thinking}<|start|>assistant{call}");
    assert_eq!(
        parse(&only_calls, [text.as_str()]),
        answer(thinking, &[("f", "{}")])
    );
    let text = format!("{thinking}{last}");
    assert_eq!(
        parse(&only_calls, [text.as_str()]),
        answer(&format!("{thinking}\n4"), &[])
    );
}

#[test]
fn the_parser_knows_when_the_model_thinks() {
    let mut parser = AnswerParser::new(&format(&[]));
    let mut states = Vec::new();
    for delta in [
        "<|channel|>analysis",
        "<|message|>",
        "Hm.",
        "<|end|>",
        "<|start|>assistant<|channel|>final<|message|>4",
    ] {
        parser.push(delta);
        states.push(parser.is_inside_reasoning());
    }
    assert_eq!(states, [false, true, true, false, false]);

    let harmony = ReasoningFormat::OpenAiGptOss;
    assert!(!harmony.is_open_after("<|start|>assistant"));
    assert!(harmony.is_open_after("<|start|>assistant<|channel|>analysis<|message|>"));
    let open = AnswerFormat {
        reasoning_open: true,
        ..format(&[])
    };
    assert!(AnswerParser::new(&open).is_inside_reasoning());
    let text = format!("Hm.{}4", harmony.reasoning_end());
    assert_eq!(parse(&open, [text.as_str()]), all("Hm.", "4", &[]));
}

#[test]
fn damaged_answers_do_not_depend_on_cuts() {
    let known = known();
    let cases = [well_formed(), broken_off()].concat();
    let texts: Vec<&str> = cases.iter().map(|(text, _)| *text).collect();
    let words = [
        "<|start|>",
        "assistant",
        "<|channel|>",
        "analysis",
        "final",
        "commentary",
        " to=functions.f ",
        "<|constrain|>json",
        "<|message|>",
        "<|end|>",
        "<|call|>",
        "<|return|>",
        "{}",
        "text",
        "<",
        " ",
    ];
    check_damaged(&format(&known), &texts, &words, false);
}
