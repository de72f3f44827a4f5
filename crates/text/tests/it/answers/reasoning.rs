//! Reasoning between tags, alone and before tool calls.

use text::{AnswerFormat, AnswerParser, ReasoningFormat, ToolCallFormat};

use super::answer::{
    Answer, Case, answer, check, check_content, check_damaged, parse, reasoning_in, thought,
};
use crate::golden;

const TAGGED: [ReasoningFormat; 4] = [
    ReasoningFormat::Qwen3,
    ReasoningFormat::DeepSeekR1,
    ReasoningFormat::Granite,
    ReasoningFormat::Mistral,
];

fn open(format: ReasoningFormat) -> AnswerFormat<'static> {
    AnswerFormat {
        reasoning_open: true,
        ..reasoning_in(format)
    }
}

fn qwen3() -> Vec<Case> {
    vec![
        (
            "<think>\nWell, 2 + 2.\n</think>\n\n4.",
            thought("Well, 2 + 2.", "4."),
        ),
        ("<think>Well.</think>4.", thought("Well.", "4.")),
        // Only line breaks next to the tags are the format's.
        (
            "<think>\n\n  One.\n\nTwo 漢😀. \n\n</think>\n\n\n 4.\n",
            thought("  One.\n\nTwo 漢😀. ", " 4.\n"),
        ),
        ("<think>\n\n</think>\n\n4.", thought("", "4.")),
        ("\n <think>\nA\n</think>", thought("A", "")),
        // Tags inside, other tags, calls: all of it is thought.
        (
            "<think>\na < b, <think> </thin>\n<tool_call>\n{\"name\": \"f\"}\n</tool_call>\n</think>4.</think>",
            thought(
                "a < b, <think> </thin>\n<tool_call>\n{\"name\": \"f\"}\n</tool_call>",
                "4.</think>",
            ),
        ),
        // Without end.
        ("<think>\nWell,", thought("Well,", "")),
        ("<think>\nWell,\n</thi", thought("Well,\n</thi", "")),
        ("<think>\nWell\n\n", thought("Well\n\n", "")),
        ("<think>\n", thought("", "")),
    ]
}

fn granite() -> Vec<Case> {
    vec![
        (
            "Here is my thought process:\n\nTwo and two.\n\nHere is my response:\n\n4.",
            thought("Two and two.", "4."),
        ),
        (
            "Here's my thought process: Here is my thought. Here's my response: 4.",
            thought("Here is my thought.", "4."),
        ),
        ("Here is my thought process: Here", thought("Here", "")),
        (
            "<think>Two.</think>\n<response>4 </resp 漢.</response>\n",
            thought("Two.", "4 </resp 漢."),
        ),
        (
            "<think>Two.</think> <response>4.</response> And <b>5</b></response",
            thought("Two.", "4.</response> And <b>5</b></response"),
        ),
        ("<think>Two.</think> <resp>4", thought("Two.", "<resp>4")),
        ("<think>Two.</think> <resp", thought("Two.", "<resp")),
    ]
}

const NO_REASONING: [&str; 9] = [
    "",
    "Just text.",
    "\n\n",
    " \nJust text.\n",
    "<thin",
    "<thinking>\nHm.</thinking>",
    "I <think>\nso\n</think>",
    "4.\n</think>\n\n5.",
    "Here is my thought",
];

#[test]
fn answers_mean_what_they_say() {
    check(&reasoning_in(ReasoningFormat::Qwen3), &qwen3());
    check(&reasoning_in(ReasoningFormat::DeepSeekR1), &qwen3());
    check(&open(ReasoningFormat::Qwen3), &qwen3());
    check(&reasoning_in(ReasoningFormat::Granite), &granite());
    let mistral = [
        ("[THINK]Two.\n[/THINK]\n4.", thought("Two.\n", "\n4.")),
        (
            "[THINK]a[0] [/THINK [THINK] 漢😀[/THINK]4",
            thought("a[0] [/THINK [THINK] 漢😀", "4"),
        ),
        ("[THINK]Two.[/THI", thought("Two.[/THI", "")),
    ];
    check(&reasoning_in(ReasoningFormat::Mistral), &mistral);
    for format in TAGGED {
        check_content(&reasoning_in(format), &NO_REASONING);
    }
}

#[test]
fn an_answer_may_begin_inside_the_reasoning() {
    let cases = [
        ("Well.\n</think>\n\n4.", thought("Well.", "4.")),
        ("\nWell.\n</think>\n\n4.", thought("Well.", "4.")),
        ("</think>\n\n4.", thought("", "4.")),
        ("<thin</think>4.", thought("<thin", "4.")),
        ("Well", thought("Well", "")),
        ("\n<th", thought("<th", "")),
        ("", thought("", "")),
    ];
    check(&open(ReasoningFormat::Qwen3), &cases);
    check(&open(ReasoningFormat::DeepSeekR1), &cases);
    let mistral = [("Two.[/THINK]4", thought("Two.", "4"))];
    check(&open(ReasoningFormat::Mistral), &mistral);
}

#[test]
fn prompts_tell_whether_the_reasoning_is_open() {
    use ReasoningFormat::{DeepSeekR1, Granite, Mistral, Qwen3};
    let cases = [
        (Qwen3, "<|im_start|>assistant\n", false),
        (Qwen3, "<|im_start|>assistant\n<think>\n", true),
        (
            Qwen3,
            "<|im_start|>assistant\n<think>\n\n</think>\n\n",
            false,
        ),
        (
            Qwen3,
            "What is <think>?<|im_end|>\n<|im_start|>assistant\n",
            false,
        ),
        (DeepSeekR1, "<｜Assistant｜><think>\n", true),
        (DeepSeekR1, "<｜Assistant｜>", true),
        (DeepSeekR1, "<｜Assistant｜></think>", false),
        (DeepSeekR1, "<｜Assistant｜><think>\n\n</think>\n\n", false),
        (Mistral, "[/INST]", false),
        (Mistral, "[/INST][THINK]", true),
        (Granite, "<|start_of_role|>assistant<|end_of_role|>", false),
    ];
    for (format, prompt, open) in cases {
        assert_eq!(format.is_open_after(prompt), open, "{format:?} {prompt:?}");
    }
}

#[test]
fn the_parser_knows_when_the_model_thinks() {
    let mut parser = AnswerParser::new(&reasoning_in(ReasoningFormat::Qwen3));
    let mut states = vec![parser.is_inside_reasoning()];
    for delta in ["<think", ">", "\nHm.", "\n</thi", "nk>", "\n\n", "4"] {
        parser.push(delta);
        states.push(parser.is_inside_reasoning());
    }
    assert_eq!(
        states,
        [false, false, true, true, true, false, false, false]
    );
    assert!(AnswerParser::new(&open(ReasoningFormat::Qwen3)).is_inside_reasoning());
    assert!(!AnswerParser::new(&AnswerFormat::default()).is_inside_reasoning());
}

#[test]
fn a_server_can_end_the_reasoning() {
    for format in TAGGED {
        let text = format!("Hm.{}4.", format.reasoning_end());
        assert_eq!(
            parse(&open(format), [text.as_str()]),
            thought("Hm.", "4."),
            "{format:?}"
        );
    }
}

#[test]
fn calls_are_found_behind_the_reasoning_and_nowhere_in_it() {
    let format = AnswerFormat {
        tool_calls: Some(ToolCallFormat::Hermes),
        ..reasoning_in(ReasoningFormat::Qwen3)
    };
    let call = "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>";
    let text = format!("<think>\n{call}\n</think>\n\nI call.\n{call}");
    let expected = Answer {
        reasoning: call.to_owned(),
        ..answer("I call.", &[("f", "{}")])
    };
    assert_eq!(parse(&format, [text.as_str()]), expected);
    super::answer::check_cuts(&format, &text);

    // An unmarked call begins the answer, not the reasoning.
    let format = AnswerFormat {
        tool_calls: Some(ToolCallFormat::Llama3Json),
        ..reasoning_in(ReasoningFormat::DeepSeekR1)
    };
    let format = AnswerFormat {
        reasoning_open: true,
        ..format
    };
    let call = r#"{"name": "f", "parameters": {}}"#;
    let text = format!("{call}</think>\n\n{call}");
    let expected = Answer {
        reasoning: call.to_owned(),
        ..answer("", &[("f", "{}")])
    };
    assert_eq!(parse(&format, [text.as_str()]), expected);
}

#[test]
fn without_a_format_everything_is_content() {
    let text = "<think>\nHm.\n</think>\n\n<tool_call>\n{\"name\": \"f\"}\n</tool_call>";
    check_content(&AnswerFormat::default(), &[text]);
}

#[test]
fn damaged_answers_do_not_depend_on_cuts() {
    let cases = [qwen3(), granite()].concat();
    let texts: Vec<&str> = cases.iter().map(|(text, _)| *text).collect();
    let words = [
        "<think>",
        "</think>",
        "[THINK]",
        "[/THINK]",
        "Here is my thought process:",
        "Here's my response:",
        "Here is",
        "<response>",
        "</response>",
        "\n",
        " ",
        "<",
        "x",
        "<tool_call>",
    ];
    for format in TAGGED {
        check_damaged(&reasoning_in(format), &texts, &words, false);
        check_damaged(&open(format), &texts, &words, false);
    }
    let format = AnswerFormat {
        tool_calls: Some(ToolCallFormat::Hermes),
        ..reasoning_in(ReasoningFormat::Qwen3)
    };
    check_damaged(&format, &texts, &words, false);
}

/// What the model wrote, parsed and rendered again as a message, is what the model wrote.
#[test]
fn a_parsed_answer_renders_as_the_model_wrote_it() {
    use chrono::NaiveDateTime;
    use serde_json::json;
    use text::{ChatInput, ChatTemplate, SpecialTokens};

    let golden = golden::json("chat/family_qwen3.json");
    let source = golden["template"].as_str().unwrap();
    let template = ChatTemplate::new(source, &SpecialTokens::default()).unwrap();
    let format = AnswerFormat {
        reasoning: ReasoningFormat::detect(source),
        tool_calls: ToolCallFormat::detect(source),
        ..AnswerFormat::default()
    };
    let call = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";
    for text in [
        "<think>\nHm.\n\nWell.\n</think>\n\nIt is 4.".to_owned(),
        format!("<think>\nHm.\n</think>\n\n{call}"),
        format!("<think>\nHm.\n</think>\n\nI call.\n{call}\n{call}"),
    ] {
        let answer = parse(&format, [text.as_str()]);
        let mut message = json!({
            "role": "assistant",
            "content": answer.content,
            "reasoning_content": answer.reasoning,
        });
        let calls = answer.calls.iter().map(|(name, arguments)| {
            json!({"type": "function", "function": {"name": name, "arguments": arguments}})
        });
        message["tool_calls"] = calls.collect();
        let messages = template.prepare_messages(&[
            json!({"role": "user", "content": "?"}),
            message,
            json!({"role": "tool", "content": "!"}),
        ]);
        let input = ChatInput::new(&messages, NaiveDateTime::default());
        let prompt = template.render(&input).unwrap();
        let turn = format!("<|im_start|>assistant\n{text}<|im_end|>\n");
        assert!(prompt.contains(&turn), "{prompt}");
    }
}
