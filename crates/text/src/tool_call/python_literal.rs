//! Python literals, translated to JSON character by character: strings, numbers, `True`, `False`,
//! `None`, lists, tuples (as lists) and dicts.

use serde_json::{Number, Value};

use super::json_object::is_space;
use super::json_text::push_string;
use super::python_string::{PythonString, StringStep};

/// Translates one value up to the comma or the parenthesis behind it.
///
/// Adjacent strings are one string. Words that are no literal become a string where `lenient`:
/// models leave quotes out, and what they mean is for the tool to judge.
#[derive(Debug)]
pub(super) struct PythonLiteral {
    lenient: bool,
    containers: Vec<Container>,
    state: State,
}

/// What a character was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LiteralStep {
    /// Part of the value, or white space around it.
    Inside,
    /// The comma or closing parenthesis behind the value.
    Ended,
    /// Not part of a literal.
    Broken,
}

/// A list, tuple or dict that is open.
#[derive(Debug)]
struct Container {
    close: char,
    /// In a dict: before or inside a key.
    key: bool,
    /// A comma has come, and nothing behind it.
    comma: bool,
}

#[derive(Debug)]
enum State {
    BeforeValue,
    String(PythonString),
    /// Behind a string, whose closing quote is written when no other string follows.
    AfterString,
    /// Inside a number or word, within so many brackets of it.
    Word(String, usize),
    AfterContainer,
}

impl PythonLiteral {
    /// A value that is about to begin.
    pub(super) fn new(lenient: bool) -> Self {
        Self {
            lenient,
            containers: Vec::new(),
            state: State::BeforeValue,
        }
    }

    /// Reads a character and adds the JSON text that has become certain.
    pub(super) fn step(&mut self, c: char, out: &mut String) -> LiteralStep {
        match &mut self.state {
            State::BeforeValue => self.step_before(c, out),
            State::String(string) => match string.step(c, out) {
                StringStep::Inside => LiteralStep::Inside,
                StringStep::Ended => self.enter(State::AfterString),
                StringStep::Behind => {
                    self.state = State::AfterString;
                    self.step(c, out)
                }
            },
            State::AfterString if is_space(c) => LiteralStep::Inside,
            State::AfterString if is_quote(c) => self.enter(State::String(PythonString::new(c))),
            State::AfterString => {
                out.push('"');
                self.step_behind(c, out)
            }
            State::Word(word, depth) => {
                match c {
                    '(' | '[' | '{' => *depth += 1,
                    ')' | ']' | '}' if *depth > 0 => *depth -= 1,
                    _ if *depth == 0 && ends_word(c, self.containers.last()) => {
                        let word = std::mem::take(word);
                        return self.end_word(&word, c, out);
                    }
                    _ => {}
                }
                word.push(c);
                LiteralStep::Inside
            }
            State::AfterContainer if is_space(c) => LiteralStep::Inside,
            State::AfterContainer => self.step_behind(c, out),
        }
    }

    /// Adds what has been held back of a value that does not end.
    pub(super) fn finish(self, out: &mut String) {
        match self.state {
            State::String(string) => string.finish(out),
            State::AfterString => out.push('"'),
            State::Word(word, _) => out.push_str(word.trim_end()),
            State::BeforeValue | State::AfterContainer => {}
        }
    }

    fn step_before(&mut self, c: char, out: &mut String) -> LiteralStep {
        if is_space(c) {
            return LiteralStep::Inside;
        }
        if let Some(container) = self.containers.last_mut() {
            let is_value = container.close == '}' && !container.key;
            if c == container.close && !is_value {
                return self.close(out);
            }
            if container.comma {
                out.push_str(", ");
            }
            container.comma = false;
        }
        match c {
            _ if is_quote(c) => {
                out.push('"');
                self.enter(State::String(PythonString::new(c)))
            }
            _ if self.in_key() && "([{".contains(c) => LiteralStep::Broken,
            '[' | '(' => self.open(if c == '[' { ']' } else { ')' }, '[', out),
            '{' => self.open('}', '{', out),
            _ if ",:)]}=".contains(c) => LiteralStep::Broken,
            _ => self.enter(State::Word(c.to_string(), 0)),
        }
    }

    fn in_key(&self) -> bool {
        self.containers
            .last()
            .is_some_and(|container| container.key)
    }

    fn open(&mut self, close: char, bracket: char, out: &mut String) -> LiteralStep {
        out.push(bracket);
        self.containers.push(Container {
            close,
            key: close == '}',
            comma: false,
        });
        self.enter(State::BeforeValue)
    }

    fn close(&mut self, out: &mut String) -> LiteralStep {
        let container = self.containers.pop();
        let is_dict = container.is_some_and(|container| container.close == '}');
        out.push(if is_dict { '}' } else { ']' });
        self.enter(State::AfterContainer)
    }

    /// Reads what follows a value.
    fn step_behind(&mut self, c: char, out: &mut String) -> LiteralStep {
        let Some(container) = self.containers.last_mut() else {
            return match c {
                ',' | ')' => LiteralStep::Ended,
                _ => LiteralStep::Broken,
            };
        };
        match c {
            ':' if container.key => {
                out.push_str(": ");
                container.key = false;
                self.enter(State::BeforeValue)
            }
            _ if container.key => LiteralStep::Broken,
            ',' => {
                container.comma = true;
                container.key = container.close == '}';
                self.enter(State::BeforeValue)
            }
            _ if c == container.close => self.close(out),
            _ => LiteralStep::Broken,
        }
    }

    fn end_word(&mut self, word: &str, c: char, out: &mut String) -> LiteralStep {
        let word = word.trim_end();
        match json_word(word) {
            Some(json) if self.in_key() => push_string(out, &json),
            Some(json) => out.push_str(&json),
            None if self.lenient => push_string(out, word),
            None => return LiteralStep::Broken,
        }
        self.step_behind(c, out)
    }

    fn enter(&mut self, state: State) -> LiteralStep {
        self.state = state;
        LiteralStep::Inside
    }
}

/// The JSON text of a Python literal; `None` when the text is none.
pub(super) fn to_json(text: &str) -> Option<String> {
    let (mut literal, mut json) = (PythonLiteral::new(false), String::new());
    for c in text.chars() {
        if literal.step(c, &mut json) != LiteralStep::Inside {
            return None;
        }
    }
    let ended = literal.step(')', &mut json) == LiteralStep::Ended;
    (ended && serde_json::from_str::<Value>(&json).is_ok()).then_some(json)
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

fn ends_word(c: char, container: Option<&Container>) -> bool {
    ",)]}".contains(c) || c == ':' && container.is_some_and(|container| container.key)
}

/// JSON text of a number or a constant, Python's or JSON's.
fn json_word(word: &str) -> Option<String> {
    let constant = match word {
        "True" | "true" => "true",
        "False" | "false" => "false",
        "None" | "null" => "null",
        _ => return json_number(word),
    };
    Some(constant.to_owned())
}

/// JSON text of a Python number: `1_000`, `+5`, `.5`, `1.` and `0x1F` are numbers there.
fn json_number(word: &str) -> Option<String> {
    let unsigned = word.trim_start_matches(['+', '-']);
    let sign = match &word[..word.len() - unsigned.len()] {
        "" | "+" => "",
        "-" => "-",
        _ => return None,
    };
    if unsigned.starts_with('_') || unsigned.ends_with('_') || unsigned.contains("__") {
        return None;
    }
    let digits = unsigned.replace('_', "");
    if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        let number = u64::from_str_radix(hex, 16).ok()?;
        return (!hex.starts_with('+')).then(|| format!("{sign}{number}"));
    }
    let exponent_at = digits.find(['e', 'E']).unwrap_or(digits.len());
    let (mantissa, exponent) = digits.split_at(exponent_at);
    let mantissa = match mantissa.split_once('.') {
        Some(("", "")) => return None,
        Some(("", fraction)) => format!("0.{fraction}"),
        Some((whole, "")) => format!("{whole}.0"),
        _ => mantissa.to_owned(),
    };
    let json = format!("{sign}{mantissa}{exponent}");
    serde_json::from_str::<Number>(&json).ok().map(|_| json)
}
