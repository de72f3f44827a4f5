//! The beginning of a call written as a Python function call with keyword arguments.

use super::json_object::is_space;

/// Reads `name(` and the first `key=` or `)`, until it is certain whether it is a call; then the
/// later keys.
#[derive(Debug)]
pub(super) struct PythonCall {
    /// All since what began the call.
    raw: String,
    name: String,
    key: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    BeforeName,
    Name,
    BeforeKey,
    Key,
    BehindKey,
    BehindEquals,
}

/// What a character decides.
pub(super) enum CallStep {
    Undecided,
    /// A call with that name and key; the character is behind the equals sign.
    Value(String, String),
    /// A call of that name without further arguments, which ends with this character.
    Complete(String),
    /// The character is not part of a call, nor is what was read before it.
    NotACall,
}

impl PythonCall {
    /// A call behind `raw`.
    pub(super) fn new(raw: String) -> Self {
        Self {
            raw,
            name: String::new(),
            key: String::new(),
            state: State::BeforeName,
        }
    }

    /// A later argument of a call, behind `raw`.
    pub(super) fn at_key(raw: String) -> Self {
        Self {
            state: State::BeforeKey,
            ..Self::new(raw)
        }
    }

    /// All that has been read, if it is no call.
    pub(super) fn into_raw(self) -> String {
        self.raw
    }

    /// Reads a character; one that is not part of a call is not kept in `raw`.
    pub(super) fn step(&mut self, c: char) -> CallStep {
        self.state = match (self.state, c) {
            (State::BeforeName, _) if is_space(c) => State::BeforeName,
            (State::BeforeName, _) if begins_name(c) => {
                self.name.push(c);
                State::Name
            }
            (State::Name, '(') => State::BeforeKey,
            // OpenAI's API allows dashes in names, Python and namespaces dots.
            (State::Name, _) if continues_name(c) || "-.".contains(c) => {
                self.name.push(c);
                State::Name
            }
            (State::BeforeKey, ')') => return CallStep::Complete(std::mem::take(&mut self.name)),
            (State::BeforeKey, _) if is_space(c) => State::BeforeKey,
            (State::BeforeKey, _) if begins_name(c) => {
                self.key.push(c);
                State::Key
            }
            (State::Key, _) if continues_name(c) => {
                self.key.push(c);
                State::Key
            }
            (State::Key | State::BehindKey, '=') => State::BehindEquals,
            (State::Key | State::BehindKey, _) if is_space(c) => State::BehindKey,
            // A comparison is no argument.
            (State::BehindEquals, '=') => return CallStep::NotACall,
            (State::BehindEquals, _) => {
                let (name, key) = (&mut self.name, &mut self.key);
                return CallStep::Value(std::mem::take(name), std::mem::take(key));
            }
            _ => return CallStep::NotACall,
        };
        self.raw.push(c);
        CallStep::Undecided
    }
}

fn begins_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn continues_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
