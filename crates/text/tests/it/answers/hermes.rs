//! Tool calls of the Hermes family.

use serde_json::{Value, json};
use text::{AnswerFormat, AnswerParser, AnswerPart, ToolCallFormat};

use super::answer::{self, Answer, Case, answer, check, check_complete, check_content};
use crate::golden;
use crate::random::Random;

const FORMAT: AnswerFormat<'static> = AnswerFormat {
    reasoning: None,
    reasoning_open: false,
    tool_calls: Some(ToolCallFormat::Hermes),
    tools: &[],
};

fn parse<'a>(deltas: impl IntoIterator<Item = &'a str>) -> Answer {
    answer::parse(&FORMAT, deltas)
}

/// Answers of models, and what they mean.
fn cases() -> Vec<Case> {
    [well_formed(), broken_off()].concat()
}

fn well_formed() -> Vec<Case> {
    let oslo = ("get_weather", r#"{"city": "Oslo"}"#);
    vec![
        ("Just text.", answer("Just text.", &[])),
        ("", answer("", &[])),
        (
            "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>",
            answer("", &[oslo]),
        ),
        // The line break before a call is the format's; everything else of the text stays.
        (
            "Let me look.\n\n<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\": \"Oslo\"}}</tool_call>",
            answer("Let me look.\n", &[oslo]),
        ),
        // Several calls, white space between and behind them.
        (
            "<tool_call>\n{\"name\": \"a\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"b\", \"arguments\": {\"x\": [1, {\"y\": \"}\"}]}}\n</tool_call>\n\n",
            answer("", &[("a", "{}"), ("b", r#"{"x": [1, {"y": "}"}]}"#)]),
        ),
        (
            "<tool_call>\n{\"name\": \"a\", \"arguments\": {}}\n</tool_call> \nDone.",
            answer(" \nDone.", &[("a", "{}")]),
        ),
        // Arguments are passed on byte for byte: spacing, escapes, tags and braces in strings.
        (
            "<tool_call>{\"name\": \"w\\u0065b\", \"arguments\": {  \"q\" :\"</tool_call> \\\" } 漢😀 \\\\\" }  }</tool_call>",
            answer("", &[("web", r#"{  "q" :"</tool_call> \" } 漢😀 \\" }"#)]),
        ),
        // Arguments before the name, as a string, as null, absent; further keys.
        (
            "<tool_call>\n{\"arguments\": {\"city\": \"Oslo\"}, \"name\": \"get_weather\"}\n</tool_call>",
            answer("", &[oslo]),
        ),
        (
            "<tool_call>{\"name\": \"get_weather\", \"arguments\": \"{\\\"city\\\": \\\"Oslo\\\"}\"}</tool_call>",
            answer("", &[oslo]),
        ),
        (
            "<tool_call>{\"name\": \"f\", \"arguments\": null}</tool_call>",
            answer("", &[("f", "{}")]),
        ),
        (
            "<tool_call>{\"name\": \"f\"}</tool_call>",
            answer("", &[("f", "{}")]),
        ),
        (
            "<tool_call>{\"id\": 7, \"name\": \"f\", \"arguments\": {\"a\":1}, \"more\": [2]}</tool_call>",
            answer("", &[("f", "{\"a\":1}")]),
        ),
    ]
}

/// Calls whose end the model forgot, in several degrees.
fn broken_off() -> Vec<Case> {
    vec![
        (
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}",
            answer("", &[("f", "{\"a\": 1}")]),
        ),
        (
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}",
            answer("", &[("f", "{\"a\": 1}")]),
        ),
        (
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1",
            answer("", &[("f", "{\"a\": 1")]),
        ),
        (
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}\n</tool_call>\n<tool_call>{\"name\": \"g\", \"arguments\": {}}</tool_call>",
            answer("", &[("f", "{\"a\": 1}"), ("g", "{}")]),
        ),
        (
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": [1}\n</tool_call>after",
            answer("after", &[("f", "{\"a\": [1}\n")]),
        ),
        (
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"open\n</tool_call>after",
            answer("after", &[("f", "{\"a\": \"open\n")]),
        ),
        (
            "<tool_call>{\"name\": \"f\", \"arguments\": {}}<tool_call>{\"name\": \"g\"}",
            answer("", &[("f", "{}"), ("g", "{}")]),
        ),
        // One brace too many is not lost.
        (
            "<tool_call>{\"name\": \"f\", \"arguments\": {}}}\n</tool_call>",
            answer("}\n", &[("f", "{}")]),
        ),
    ]
}

/// Text that only looks like a call: it comes out as it went in.
const NOT_CALLS: [&str; 20] = [
    "<tool_call",
    "<tool_call>",
    "\n<tool_call>\n",
    "a < b, <tool>, </tool_call> and <tool_callx>",
    "<tool_call> is the tag for {\"name\": ..}",
    "<tool_call>\n{\"name\": \"f\"",
    "<tool_call>\n{\"name\": \"f\", \"arguments\": ",
    "<tool_call>\n{\"name\": \"f\", \"arguments\": [1]}\n</tool_call>",
    "<tool_call>\n{\"name\": \"f\", \"arguments\": \"text\"}\n</tool_call>",
    "<tool_call>\n{\"name\": \"f\", \"arguments\": 12}\n</tool_call>",
    "<tool_call>\n{\"name\": \"\", \"arguments\": {}}\n</tool_call>",
    "<tool_call>\n{\"name\": 5, \"arguments\": {}}\n</tool_call>",
    "<tool_call>\n{\"arguments\": {}}\n</tool_call>",
    "<tool_call>\n{\"arguments\": {bad}, \"name\": \"f\"}\n</tool_call>",
    "<tool_call>\n{name: \"f\"}\n</tool_call>",
    "<tool_call>\n{\"name\": \"f\n\", \"arguments\": {}}\n</tool_call>",
    "<tool_call>\n[{\"name\": \"f\"}]\n</tool_call>",
    "<tool_call>{}</tool_call>\n",
    "\n\n<",
    "text\n",
];

#[test]
fn answers_mean_what_they_say() {
    for (text, expected) in cases() {
        assert_eq!(parse([text]), expected, "{text:?}");
    }
}

#[test]
fn text_that_only_looks_like_a_call_is_text() {
    for text in NOT_CALLS {
        assert_eq!(parse([text]), answer(text, &[]), "{text:?}");
    }
    // And what follows it may still be a call.
    let call = "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>";
    assert_eq!(
        parse(["<tool_call>", call]),
        answer("<tool_call>", &[("f", "{}")])
    );
    let broken = "<tool_call>{\"name\" \"f\"}</tool_call>";
    assert_eq!(parse([broken, call]), answer(broken, &[("f", "{}")]));
}

#[test]
fn every_cut_of_the_stream_gives_the_same_calls() {
    check_complete(&FORMAT, &well_formed());
    check(&FORMAT, &broken_off());
    check_content(&FORMAT, &NOT_CALLS);
}

#[test]
fn nothing_is_lost_of_random_text() {
    const WORDS: [&str; 14] = [
        "<tool_call>",
        "</tool_call>",
        "\n",
        "{",
        "}",
        "\"name\"",
        ": ",
        "\"f\"",
        ", ",
        "\"arguments\"",
        "[",
        "\\",
        "x",
        "<",
    ];
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let words: Vec<&str> = (0..random.below(16))
            .map(|_| WORDS[random.below(14)])
            .collect();
        let text = words.concat();
        let answer = parse(words);
        assert_eq!(parse([text.as_str()]), answer, "seed {seed}: {text:?}");
        if answer.calls.is_empty() {
            assert_eq!(answer.content, text, "seed {seed}");
        }
    }
}

#[test]
fn name_and_arguments_stream_as_they_come() {
    let mut parser = AnswerParser::new(&FORMAT);
    assert_eq!(
        parser.push("Hm.\n<tool_call>\n{\"name\": \"f\", "),
        [AnswerPart::Content("Hm.".into()),]
    );
    assert_eq!(
        parser.push("\"arguments\": {"),
        [
            AnswerPart::CallStart {
                index: 0,
                name: "f".into()
            },
            AnswerPart::ArgumentsDelta {
                index: 0,
                text: "{".into()
            },
        ]
    );
    assert_eq!(
        parser.push("\"a\": \"long"),
        [AnswerPart::ArgumentsDelta {
            index: 0,
            text: "\"a\": \"long".into()
        },]
    );
    assert_eq!(
        parser.push(" <text"),
        [AnswerPart::ArgumentsDelta {
            index: 0,
            text: " <text".into()
        },]
    );
    assert_eq!(
        parser.push("\"}}\n</tool_"),
        [AnswerPart::ArgumentsDelta {
            index: 0,
            text: "\"}".into()
        },]
    );
    assert_eq!(parser.push("call>\n"), []);
    assert_eq!(parser.finish(), []);
}

/// What the model wrote, parsed and rendered again as a message, is what the model wrote: the
/// next turn's prompt begins with this turn's tokens.
#[test]
fn a_parsed_answer_renders_as_the_model_wrote_it() {
    use chrono::NaiveDateTime;
    use text::{ChatInput, ChatTemplate, SpecialTokens};

    let written = [
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": \"x\"}}\n</tool_call>",
        "Let me look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {\"a\": [1, null]}}\n</tool_call>",
        "No call.",
    ];
    for family in ["qwen25", "qwen3", "pebble"] {
        let golden = golden::json(&format!("chat/family_{family}.json"));
        let source = golden["template"].as_str().unwrap();
        let template = ChatTemplate::new(source, &SpecialTokens::default()).unwrap();
        for text in written {
            let answer = parse([text]);
            let calls: Vec<Value> = answer
                .calls
                .iter()
                .map(|(name, arguments)| json!({"name": name, "arguments": arguments}))
                .map(|function| json!({"id": "1", "type": "function", "function": function}))
                .collect();
            let messages = template.prepare_messages(&[
                json!({"role": "user", "content": "?"}),
                json!({"role": "assistant", "content": answer.content, "tool_calls": calls}),
                json!({"role": "user", "content": "And?"}),
            ]);
            let input = ChatInput::new(&messages, NaiveDateTime::default());
            let prompt = template.render(&input).unwrap();
            let turn = format!("<|im_start|>assistant\n{text}<|im_end|>\n");
            assert!(prompt.contains(&turn), "{family}: {prompt}");
        }
    }
}
