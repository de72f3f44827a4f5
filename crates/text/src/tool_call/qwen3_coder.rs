//! Calls as Qwen3-Coder writes them:
//!
//! ```text
//! <tool_call>
//! <function=write_file>
//! <parameter=path>
//! src/main.rs
//! </parameter>
//! </function>
//! </tool_call>
//! ```
//!
//! Values are plain text between two line breaks, whatever their type, so the tools' schemas say
//! what they mean, see [`super::value_types`]. They may contain tags: a value ends at a
//! `</parameter>` behind which the call goes on or ends, or at an end of the call if that is
//! missing. The line break before a call and white space after it belong to the format, as in
//! [`super::hermes`]. The model sometimes forgets `<tool_call>`; then a tool must have the name.

use super::ToolCallParser;
use super::json_object::is_space;
use super::json_text::{push_chars, push_string};
use super::surroundings::Surroundings;
use super::tools::Tools;
use super::value_types::ValueTypes;
use crate::answer_part::{AnswerPart, Parts};

const OPENERS: [&str; 4] = ["<tool_call>", "\n<tool_call>", FUNCTION, "\n<function="];
/// How many of the openers are followed by `<function=`.
const NUM_OUTER: usize = 2;
const CLOSE: &str = "</tool_call>";
const FUNCTION: &str = "<function=";
const FUNCTION_END: &str = "</function>";
const PARAMETER: &str = "<parameter=";
const PARAMETER_END: &str = "</parameter>";

/// Parser of one answer.
#[derive(Debug)]
pub(super) struct Qwen3CoderCalls {
    tools: Tools,
    surroundings: Surroundings,
    state: State,
    /// Types of the current value.
    types: ValueTypes,
    /// The current value, when its type is not certain before its end.
    value: String,
    /// The current call's name.
    name: String,
    /// Whether the current call has a parameter.
    has_parameter: bool,
    parts: Parts,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// Behind `<tool_call>`, with all since, and where in it the next tag begins.
    Opened(String, usize),
    /// Inside the function's name, with all that is text if it is no call, and whether
    /// `<tool_call>` was there.
    Name { raw: String, marked: bool },
    /// Between parameters, with what may be the beginning of a tag.
    Between(String),
    /// Inside a parameter's name.
    Key(String),
    /// Before a value.
    BeforeValue,
    /// Inside a value, with what may be the beginning of its end.
    Value(String),
    /// Behind what may have ended a value.
    Ending(ValueEnd),
}

/// A tag that ends a value if the right tag follows, and what has come since.
#[derive(Debug)]
struct ValueEnd {
    text: String,
    /// Where in `text` the tag ends.
    end: usize,
    /// Where in `text`, behind white space, the next tag begins.
    next_at: usize,
    /// What must follow.
    next: &'static [&'static str],
}

/// What ends a value, and what must follow.
const ENDINGS: [(&str, &[&str]); 2] = [
    (PARAMETER_END, &[PARAMETER, FUNCTION_END, CLOSE]),
    (FUNCTION_END, &[CLOSE]),
];

impl ToolCallParser for Qwen3CoderCalls {
    fn push(&mut self, delta: &str) -> Vec<AnswerPart> {
        for c in delta.chars() {
            self.step(c);
        }
        self.parts.take()
    }

    fn finish(&mut self) -> Vec<AnswerPart> {
        match std::mem::take(&mut self.state) {
            State::Text => self.surroundings.finish(&mut self.parts),
            State::Opened(raw, _) | State::Name { raw, .. } => self.parts.content(&raw),
            State::Between(held) => self.parts.content(&held),
            State::Key(key) => self.parts.content(&(PARAMETER.to_owned() + &key)),
            State::BeforeValue => {}
            State::Value(held) => {
                self.extend_value(&held);
                let value = std::mem::take(&mut self.value);
                self.parts.arguments(&value);
            }
            State::Ending(ending) => {
                self.end_value();
                if ending.ends_call() {
                    self.parts.arguments("}");
                }
                self.parts.content(&ending.text[ending.next_at..]);
            }
        }
        self.parts.take()
    }
}

impl Qwen3CoderCalls {
    pub(super) fn new(tools: Tools) -> Self {
        Self {
            tools,
            surroundings: Surroundings::new(OPENERS.to_vec(), Some(CLOSE)),
            state: State::Text,
            types: ValueTypes::STRING,
            value: String::new(),
            name: String::new(),
            has_parameter: false,
            parts: Parts::default(),
        }
    }

    fn step(&mut self, c: char) {
        match std::mem::take(&mut self.state) {
            State::Text => self.step_text(c),
            State::Opened(raw, at) => self.step_opened(raw, at, c),
            State::Name { raw, marked } => self.step_name(raw, marked, c),
            State::Between(held) => self.step_between(held, c),
            State::Key(key) => self.step_key(key, c),
            State::BeforeValue => {
                // The line break behind the tag is the format's.
                self.state = State::Value(String::new());
                if c != '\n' {
                    self.step(c);
                }
            }
            State::Value(held) => self.step_value(held, c),
            State::Ending(ending) => self.step_ending(ending, c),
        }
    }

    fn step_text(&mut self, c: char) {
        let Some(opened) = self.surroundings.step(c, &mut self.parts) else {
            return;
        };
        self.state = if opened.opener < NUM_OUTER {
            let at = opened.raw.len();
            State::Opened(opened.raw, at)
        } else {
            State::Name {
                raw: opened.raw,
                marked: false,
            }
        };
        self.name.clear();
    }

    fn step_opened(&mut self, mut raw: String, mut at: usize, c: char) {
        raw.push(c);
        if is_space(c) && at + c.len_utf8() == raw.len() {
            at = raw.len();
        } else if !FUNCTION.starts_with(&raw[at..]) {
            raw.pop();
            return self.not_a_call(&raw, c);
        }
        self.state = if raw[at..] == *FUNCTION {
            State::Name { raw, marked: true }
        } else {
            State::Opened(raw, at)
        };
    }

    fn step_name(&mut self, mut raw: String, marked: bool, c: char) {
        match c {
            '>' if !self.name.is_empty() && (marked || self.tools.may_have(&self.name)) => {
                self.parts.start_call(self.name.clone());
                self.parts.arguments("{");
                self.has_parameter = false;
                self.state = State::Between(String::new());
            }
            '<' | '>' | '"' => self.not_a_call(&raw, c),
            _ if is_space(c) => self.not_a_call(&raw, c),
            _ => {
                self.name.push(c);
                raw.push(c);
                self.state = State::Name { raw, marked };
            }
        }
    }

    fn not_a_call(&mut self, raw: &str, c: char) {
        self.surroundings.not_a_call(raw, &mut self.parts);
        self.step_text(c);
    }

    fn step_between(&mut self, mut held: String, c: char) {
        if held.is_empty() && is_space(c) {
            self.state = State::Between(held);
            return;
        }
        held.push(c);
        let tags = ENDINGS[0].1;
        if tags.contains(&held.as_str()) {
            self.enter_tag(&held);
        } else if tags.iter().any(|tag| tag.starts_with(&held)) {
            self.state = State::Between(held);
        } else {
            held.pop();
            self.break_off(&held, c);
        }
    }

    /// Goes on behind a tag that follows the function's name or a value.
    fn enter_tag(&mut self, tag: &str) {
        if tag == PARAMETER {
            self.state = State::Key(String::new());
        } else {
            self.parts.arguments("}");
            self.surroundings
                .call_ended(String::new(), tag == FUNCTION_END);
        }
    }

    /// What follows is not part of a call: the arguments stay unfinished.
    fn break_off(&mut self, rest: &str, c: char) {
        self.surroundings.call_ended(String::new(), true);
        self.not_a_call(rest, c);
    }

    fn step_key(&mut self, mut key: String, c: char) {
        match c {
            '>' if !key.is_empty() => {
                self.types = ValueTypes::of_parameter(self.tools.parameters(&self.name), &key);
                let mut json = String::new();
                if self.has_parameter {
                    json.push_str(", ");
                }
                push_string(&mut json, &key);
                json.push_str(": ");
                if self.types.is_string() {
                    json.push('"');
                }
                self.parts.arguments(&json);
                self.has_parameter = true;
                self.state = State::BeforeValue;
            }
            '<' | '>' | '\n' => self.break_off(&(PARAMETER.to_owned() + &key), c),
            _ => {
                key.push(c);
                self.state = State::Key(key);
            }
        }
    }

    fn step_value(&mut self, mut held: String, c: char) {
        held.push(c);
        if let Some((_, next)) = ENDINGS.iter().find(|(end, _)| *end == tag_of(&held)) {
            self.state = State::Ending(ValueEnd {
                end: held.len(),
                next_at: held.len(),
                text: held,
                next,
            });
            return;
        }
        let begins = |held: &str| ENDINGS.iter().any(|(end, _)| end.starts_with(tag_of(held)));
        while !(held.is_empty() || begins(&held)) {
            let first = held.remove(0);
            self.extend_value(first.encode_utf8(&mut [0; 4]));
        }
        self.state = State::Value(held);
    }

    fn step_ending(&mut self, mut ending: ValueEnd, c: char) {
        if is_space(c) && ending.next_at == ending.text.len() {
            ending.next_at += c.len_utf8();
        }
        ending.text.push(c);
        let tag = &ending.text[ending.next_at..];
        if ending.next.contains(&tag) {
            self.end_value();
            if ending.ends_call() {
                self.parts.arguments("}");
                self.surroundings.call_ended(String::new(), false);
            } else {
                self.enter_tag(tag);
            }
        } else if ending.next.iter().any(|next| next.starts_with(tag)) {
            self.state = State::Ending(ending);
        } else {
            // The value speaks of tags.
            self.extend_value(&ending.text[..ending.end]);
            self.state = State::Value(String::new());
            ending.text[ending.end..].chars().for_each(|c| self.step(c));
        }
    }

    fn extend_value(&mut self, text: &str) {
        if self.types.is_string() {
            let mut json = String::new();
            push_chars(&mut json, text);
            self.parts.arguments(&json);
        } else {
            self.value.push_str(text);
        }
    }

    fn end_value(&mut self) {
        let value = std::mem::take(&mut self.value);
        if self.types.is_string() {
            self.parts.arguments("\"");
        } else {
            self.parts.arguments(&self.types.json(&value));
        }
    }
}

impl ValueEnd {
    /// Whether the call ends with the value.
    fn ends_call(&self) -> bool {
        self.text[..self.end].ends_with(FUNCTION_END)
    }
}

/// What may be a tag that ends a value; the line break before it is the format's.
fn tag_of(held: &str) -> &str {
    held.strip_prefix('\n').unwrap_or(held)
}
