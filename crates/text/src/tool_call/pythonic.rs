//! Calls as Llama 4 writes them, and Llama 3.2 when its template asks for it:
//!
//! ```text
//! [get_weather(city="Oslo", days=2), get_time()]
//! ```
//!
//! perhaps between `<|python_start|>` and `<|python_end|>`. Without those, a list of calls is one
//! only at the beginning of the answer, as the templates demand, and if a tool has the first
//! call's name. Arguments become JSON as [`super::python_literal`] says; a call with anything else
//! in it, such as an argument without name, breaks off there.

use super::ToolCallParser;
use super::json_object::is_space;
use super::json_text::push_string;
use super::python_call::{CallStep, PythonCall};
use super::python_literal::{LiteralStep, PythonLiteral};
use super::surroundings::Surroundings;
use super::tools::Tools;
use crate::answer_part::{AnswerPart, Parts};

const OPEN: &str = "<|python_start|>";
const CLOSE: &str = "<|python_end|>";

pub(super) const SPECIAL_MARKERS: &[&str] = &[OPEN, CLOSE];

/// Parser of one answer.
#[derive(Debug)]
pub(super) struct PythonicCalls {
    tools: Tools,
    surroundings: Surroundings,
    state: State,
    parts: Parts,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// Before the list, with all that is text if there is none, and whether a marker was there.
    Opened(String, bool),
    /// Before it is certain that something is a call.
    Head(Box<PythonCall>, bool),
    /// Inside an argument.
    Value(Box<PythonLiteral>),
    /// Behind an argument, before the next.
    Key(Box<PythonCall>),
    /// Behind a call, with what has been read since.
    Between(String),
}

impl ToolCallParser for PythonicCalls {
    fn push(&mut self, delta: &str) -> Vec<AnswerPart> {
        for c in delta.chars() {
            self.step(c);
        }
        self.parts.take()
    }

    fn finish(&mut self) -> Vec<AnswerPart> {
        match std::mem::take(&mut self.state) {
            State::Text => self.surroundings.finish(&mut self.parts),
            State::Opened(raw, _) => self.parts.content(&raw),
            State::Head(head, _) | State::Key(head) => {
                let raw = head.into_raw();
                // A comma at the end separates nothing.
                if raw.trim_matches(is_space) != "," {
                    self.parts.content(&raw);
                }
            }
            State::Value(literal) => {
                let mut rest = String::new();
                literal.finish(&mut rest);
                self.parts.arguments(&rest);
            }
            State::Between(_) => {}
        }
        self.parts.take()
    }
}

impl PythonicCalls {
    pub(super) fn new(tools: Tools) -> Self {
        Self {
            tools,
            surroundings: Surroundings::new(vec![OPEN], Some(CLOSE)),
            state: State::Opened(String::new(), false),
            parts: Parts::default(),
        }
    }

    fn step(&mut self, c: char) {
        match std::mem::take(&mut self.state) {
            State::Text => self.step_text(c),
            State::Opened(mut raw, marked) => {
                raw.push(c);
                if c == '[' {
                    self.state = State::Head(Box::new(PythonCall::new(raw)), marked);
                } else if is_space(c) {
                    self.state = State::Opened(raw, marked);
                } else {
                    raw.pop();
                    self.not_a_call(&raw, c);
                }
            }
            State::Head(head, marked) => self.step_head(head, marked, c),
            State::Value(literal) => self.step_value(literal, c),
            State::Key(head) => self.step_key(head, c),
            State::Between(rest) => self.step_between(rest, c),
        }
    }

    fn step_text(&mut self, c: char) {
        if let Some(opened) = self.surroundings.step(c, &mut self.parts) {
            self.state = State::Opened(opened.raw, true);
        }
    }

    fn step_head(&mut self, mut head: Box<PythonCall>, marked: bool, c: char) {
        let known = |name: &String| marked || self.tools.may_have(name);
        match head.step(c) {
            CallStep::Undecided => self.state = State::Head(head, marked),
            CallStep::Value(name, key) if known(&name) => {
                self.parts.start_call(name);
                self.start_value("{", &key);
                self.step(c);
            }
            CallStep::Complete(name) if known(&name) => {
                self.parts.start_call(name);
                self.parts.arguments("{}");
                self.state = State::Between(String::new());
            }
            _ => self.not_a_call(&head.into_raw(), c),
        }
    }

    fn not_a_call(&mut self, raw: &str, c: char) {
        self.surroundings.not_a_call(raw, &mut self.parts);
        self.step_text(c);
    }

    fn start_value(&mut self, before: &str, key: &str) {
        let mut json = before.to_owned();
        push_string(&mut json, key);
        json.push_str(": ");
        self.parts.arguments(&json);
        self.state = State::Value(Box::new(PythonLiteral::new(true)));
    }

    fn step_value(&mut self, mut literal: Box<PythonLiteral>, c: char) {
        let mut json = String::new();
        let step = literal.step(c, &mut json);
        self.parts.arguments(&json);
        match step {
            LiteralStep::Inside => self.state = State::Value(literal),
            LiteralStep::Ended if c == ',' => {
                self.state = State::Key(Box::new(PythonCall::at_key(c.to_string())));
            }
            LiteralStep::Ended => self.end_call(),
            LiteralStep::Broken => self.break_off("", c),
        }
    }

    fn step_key(&mut self, mut head: Box<PythonCall>, c: char) {
        match head.step(c) {
            CallStep::Undecided => self.state = State::Key(head),
            CallStep::Value(_, key) => {
                self.start_value(", ", &key);
                self.step(c);
            }
            CallStep::Complete(_) => self.end_call(),
            CallStep::NotACall => self.break_off(&head.into_raw(), c),
        }
    }

    fn end_call(&mut self) {
        self.parts.arguments("}");
        self.state = State::Between(String::new());
    }

    /// The rest is no Python: the arguments stay unfinished, as the model left them.
    fn break_off(&mut self, rest: &str, c: char) {
        self.surroundings.call_ended(String::new(), true);
        if !rest.is_empty() {
            self.surroundings.not_a_call(rest, &mut self.parts);
        }
        self.step_text(c);
    }

    fn step_between(&mut self, mut rest: String, c: char) {
        match c {
            ',' => {
                rest.push(c);
                self.state = State::Head(Box::new(PythonCall::new(rest)), true);
            }
            ']' => self.surroundings.call_ended(String::new(), true),
            _ if is_space(c) => {
                rest.push(c);
                self.state = State::Between(rest);
            }
            _ => {
                self.surroundings.call_ended(rest, true);
                self.step_text(c);
            }
        }
    }
}
