//! What an answer means, and whether that depends on how it is cut.

use serde_json::{Value, json};
use text::{AnswerFormat, AnswerParser, AnswerPart, ReasoningFormat, ToolCallFormat};

use crate::random::Random;

/// What a client has at the end of a stream: the texts, and name and arguments of each call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    pub(super) content: String,
    pub(super) reasoning: String,
    pub(super) calls: Vec<(String, String)>,
}

impl Answer {
    pub(super) fn add(&mut self, parts: Vec<AnswerPart>) {
        for part in parts {
            match part {
                AnswerPart::Content(text) => self.content += &text,
                AnswerPart::Reasoning(text) => self.reasoning += &text,
                AnswerPart::CallStart { index, name } => {
                    assert_eq!(index, self.calls.len(), "calls are numbered in order");
                    self.calls.push((name, String::new()));
                }
                AnswerPart::ArgumentsDelta { index, text } => {
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

/// An answer with this content and these calls.
pub(super) fn answer(content: &str, calls: &[(&str, &str)]) -> Answer {
    let calls = calls
        .iter()
        .map(|(name, args)| ((*name).into(), (*args).into()))
        .collect();
    Answer {
        content: content.into(),
        reasoning: String::new(),
        calls,
    }
}

/// An answer without calls.
pub(super) fn thought(reasoning: &str, content: &str) -> Answer {
    Answer {
        content: content.into(),
        reasoning: reasoning.into(),
        calls: Vec::new(),
    }
}

/// What the model wrote, and what it means.
pub(super) type Case = (&'static str, Answer);

pub(super) fn calls_in(tool_calls: ToolCallFormat, tools: &[Value]) -> AnswerFormat<'_> {
    AnswerFormat {
        tool_calls: Some(tool_calls),
        tools,
        ..AnswerFormat::default()
    }
}

pub(super) fn reasoning_in(reasoning: ReasoningFormat) -> AnswerFormat<'static> {
    AnswerFormat {
        reasoning: Some(reasoning),
        ..AnswerFormat::default()
    }
}

/// Tools of these names, without parameters.
pub(super) fn tools(names: &[&str]) -> Vec<Value> {
    let tool = |name: &&str| json!({"type": "function", "function": {"name": name}});
    names.iter().map(tool).collect()
}

pub(super) fn parse<'a>(
    format: &AnswerFormat<'_>,
    deltas: impl IntoIterator<Item = &'a str>,
) -> Answer {
    let mut parser = AnswerParser::new(format);
    let mut answer = Answer::default();
    for delta in deltas {
        answer.add(parser.push(delta));
    }
    answer.add(parser.finish());
    answer
}

/// Each text means what it should, however it is cut.
pub(super) fn check(format: &AnswerFormat<'_>, cases: &[Case]) {
    for (text, expected) in cases {
        assert_eq!(parse(format, [*text]), *expected, "{text:?}");
        check_cuts(format, text);
    }
}

/// The same, and all arguments are JSON.
pub(super) fn check_complete(format: &AnswerFormat<'_>, cases: &[Case]) {
    check(format, cases);
    for (text, expected) in cases {
        for (_, arguments) in &expected.calls {
            let value: Result<Value, _> = serde_json::from_str(arguments);
            assert!(
                value.is_ok_and(|value| value.is_object()),
                "{text:?}: {arguments}"
            );
        }
    }
}

/// Each text is content, byte for byte, however it is cut.
pub(super) fn check_content(format: &AnswerFormat<'_>, texts: &[&str]) {
    for text in texts {
        assert_eq!(parse(format, [*text]), answer(text, &[]), "{text:?}");
        check_cuts(format, text);
    }
}

/// Every cut of the text in two, its characters, and random pieces mean the same.
pub(super) fn check_cuts(format: &AnswerFormat<'_>, text: &str) {
    let whole = parse(format, [text]);
    for (at, _) in text.char_indices() {
        let (one, two) = text.split_at(at);
        assert_eq!(parse(format, [one, two]), whole, "{text:?} cut at {at}");
    }
    check_pieces(format, text);
}

/// The characters of the text, and random pieces, mean the same as the whole.
pub(super) fn check_pieces(format: &AnswerFormat<'_>, text: &str) {
    let whole = parse(format, [text]);
    let chars: Vec<String> = text.chars().map(String::from).collect();
    let chars = parse(format, chars.iter().map(String::as_str));
    assert_eq!(chars, whole, "{text:?} in characters");
    for seed in 0..20 {
        let pieces = Random::new(seed).cut(text);
        let pieces = parse(format, pieces.iter().map(String::as_str));
        assert_eq!(pieces, whole, "{text:?} seed {seed}");
    }
}

/// Damaged answers and heaps of the format's words: nothing panics, cuts change nothing, and what
/// is neither reasoning nor a call is content to the last byte (`lossless`, for formats in which
/// messages have no markers of their own).
pub(super) fn check_damaged(
    format: &AnswerFormat<'_>,
    texts: &[&str],
    words: &[&str],
    lossless: bool,
) {
    for seed in 0..6000 {
        let mut random = Random::new(seed);
        let text = if seed % 2 == 0 {
            heap(words, &mut random)
        } else {
            damaged(texts[random.below(texts.len())], words, &mut random)
        };
        let whole = parse(format, [text.as_str()]);
        let pieces = random.cut(&text);
        let cut = parse(format, pieces.iter().map(String::as_str));
        assert_eq!(cut, whole, "seed {seed}: {text:?} in {pieces:?}");
        if lossless && whole.calls.is_empty() && whole.reasoning.is_empty() {
            assert_eq!(whole.content, text, "seed {seed}");
        }
    }
}

fn heap(words: &[&str], random: &mut Random) -> String {
    let len = random.below(20);
    (0..len).map(|_| words[random.below(words.len())]).collect()
}

/// A text with some characters deleted, doubled, replaced, or with words in between.
fn damaged(text: &str, words: &[&str], random: &mut Random) -> String {
    let mut chars: Vec<String> = text.chars().map(String::from).collect();
    for _ in 0..=random.below(3) {
        if chars.is_empty() {
            break;
        }
        let at = random.below(chars.len());
        let to = chars.len().min(at + random.below(6));
        match random.below(6) {
            0 => chars.truncate(at),
            1 => drop(chars.drain(at..to)),
            2 => chars.insert(at, words[random.below(words.len())].to_owned()),
            3 => chars[at] = random.text("\\\"'{}[]()<>|=:,; \n😀\u{0}", 1, 1),
            4 => {
                let copy = chars[at..to].to_vec();
                chars.splice(at..at, copy);
            }
            _ => chars.swap(at, to.saturating_sub(1)),
        }
    }
    chars.concat()
}
