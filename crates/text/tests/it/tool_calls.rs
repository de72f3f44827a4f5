//! Tool calls of the Hermes family, in streams cut everywhere.

use serde_json::{Value, json};
use text::{ToolCallFormat, ToolEvent};

use crate::golden;
use crate::random::Random;

/// What a client has at the end of a stream: the text, and name and arguments of each call.
#[derive(Clone, Debug, Default, PartialEq)]
struct Answer {
    content: String,
    calls: Vec<(String, String)>,
}

impl Answer {
    fn add(&mut self, events: Vec<ToolEvent>) {
        for event in events {
            match event {
                ToolEvent::Content(text) => self.content += &text,
                ToolEvent::CallStart { index, name } => {
                    assert_eq!(index, self.calls.len(), "calls are numbered in order");
                    self.calls.push((name, String::new()));
                }
                ToolEvent::ArgumentsDelta { index, text } => {
                    assert_eq!(
                        index + 1,
                        self.calls.len(),
                        "arguments belong to the last call"
                    );
                    self.calls[index].1 += &text;
                }
            }
        }
    }
}

fn parse<'a>(deltas: impl IntoIterator<Item = &'a str>) -> Answer {
    let mut parser = ToolCallFormat::Hermes.parser();
    let mut answer = Answer::default();
    for delta in deltas {
        answer.add(parser.push(delta));
    }
    answer.add(parser.finish());
    answer
}

fn answer(content: &str, calls: &[(&str, &str)]) -> Answer {
    let calls = calls
        .iter()
        .map(|(name, args)| ((*name).into(), (*args).into()))
        .collect();
    Answer {
        content: content.into(),
        calls,
    }
}

/// Answers of models, and what they mean.
fn cases() -> Vec<(&'static str, Answer)> {
    [well_formed(), broken_off()].concat()
}

fn well_formed() -> Vec<(&'static str, Answer)> {
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
fn broken_off() -> Vec<(&'static str, Answer)> {
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
    let texts = cases().into_iter().map(|(text, _)| text).chain(NOT_CALLS);
    for text in texts {
        let whole = parse([text]);
        for (at, _) in text.char_indices() {
            assert_eq!(
                parse([&text[..at], &text[at..]]),
                whole,
                "{text:?} cut at {at}"
            );
        }
        let chars: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(
            parse(chars.iter().map(String::as_str)),
            whole,
            "{text:?} in characters"
        );
        for seed in 0..20 {
            let pieces = Random::new(seed).cut(text);
            assert_eq!(
                parse(pieces.iter().map(String::as_str)),
                whole,
                "{text:?} seed {seed}"
            );
        }
    }
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
    let mut parser = ToolCallFormat::Hermes.parser();
    assert_eq!(
        parser.push("Hm.\n<tool_call>\n{\"name\": \"f\", "),
        [ToolEvent::Content("Hm.".into()),]
    );
    assert_eq!(
        parser.push("\"arguments\": {"),
        [
            ToolEvent::CallStart {
                index: 0,
                name: "f".into()
            },
            ToolEvent::ArgumentsDelta {
                index: 0,
                text: "{".into()
            },
        ]
    );
    assert_eq!(
        parser.push("\"a\": \"long"),
        [ToolEvent::ArgumentsDelta {
            index: 0,
            text: "\"a\": \"long".into()
        },]
    );
    assert_eq!(
        parser.push(" <text"),
        [ToolEvent::ArgumentsDelta {
            index: 0,
            text: " <text".into()
        },]
    );
    assert_eq!(
        parser.push("\"}}\n</tool_"),
        [ToolEvent::ArgumentsDelta {
            index: 0,
            text: "\"}".into()
        },]
    );
    assert_eq!(parser.push("call>\n"), []);
    assert_eq!(parser.finish(), []);
}

#[test]
fn the_template_tells_the_format() {
    let source = |family: &str| {
        let golden = golden::json(&format!("chat/family_{family}.json"));
        golden["template"].as_str().unwrap().to_owned()
    };
    for family in ["qwen25", "qwen3", "pebble"] {
        let format = ToolCallFormat::detect(&source(family));
        assert_eq!(format, Some(ToolCallFormat::Hermes), "{family}");
    }
    for family in ["chatml", "llama3_tools", "mistral_tools", "deepseek"] {
        assert_eq!(ToolCallFormat::detect(&source(family)), None, "{family}");
    }
    assert_eq!(
        ToolCallFormat::detect("<tool_call>\n<function=f>\n<parameter=a>"),
        None
    );
    assert_eq!(
        ToolCallFormat::detect("<tool_call>f\n<arg_key>a</arg_key>"),
        None
    );
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
