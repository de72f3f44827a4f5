//! The beginning of a call written as a name, `[ARGS]` and arguments.

use super::json_object::is_space;

const ARGS: &str = "[ARGS]";
const CALL_ID: &str = "[CALL_ID]";

/// Reads `name[ARGS]` or `name[CALL_ID]id[ARGS]` until it is certain whether it is a call. The
/// markers may be missing: tokenizers whose decoder drops special tokens leave `name{..}`.
#[derive(Debug)]
pub(super) struct NamedCall {
    /// All since what began the call.
    raw: String,
    name: String,
    /// What may be the beginning of a marker.
    held: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Name,
    /// The model's own id of the call, which has no meaning outside of the prompt.
    Id,
    BeforeArguments,
}

/// What a character decides.
pub(super) enum NamedStep {
    Undecided,
    /// A call of that name, whose arguments begin with this character.
    ArgumentsBegin(String),
    /// The character is not part of a call, nor is what was read before it.
    NotACall,
}

impl NamedCall {
    /// Whether a name can begin with the character.
    pub(super) fn begins_with(c: char) -> bool {
        c.is_ascii_alphanumeric() || "_-.".contains(c)
    }

    /// A call behind `raw`.
    pub(super) fn new(raw: String) -> Self {
        Self {
            raw,
            name: String::new(),
            held: String::new(),
            state: State::Name,
        }
    }

    /// All that has been read, if it is no call.
    pub(super) fn into_raw(self) -> String {
        self.raw
    }

    /// Reads a character; one that is not part of a call is not kept in `raw`.
    pub(super) fn step(&mut self, c: char) -> NamedStep {
        let marker_possible = self.state != State::BeforeArguments;
        if marker_possible && (!self.held.is_empty() || c == '[') {
            return self.step_marker(c);
        }
        match self.state {
            State::Name | State::BeforeArguments if c == '{' => {
                return NamedStep::ArgumentsBegin(std::mem::take(&mut self.name));
            }
            State::Name if Self::begins_with(c) => self.name.push(c),
            State::Id if Self::begins_with(c) => {}
            State::BeforeArguments if is_space(c) => {}
            _ => return NamedStep::NotACall,
        }
        self.raw.push(c);
        NamedStep::Undecided
    }

    fn step_marker(&mut self, c: char) -> NamedStep {
        self.held.push(c);
        let id_possible = self.state == State::Name;
        if !(ARGS.starts_with(&self.held) || id_possible && CALL_ID.starts_with(&self.held)) {
            return NamedStep::NotACall;
        }
        self.raw.push(c);
        if self.held == ARGS {
            self.state = State::BeforeArguments;
        } else if self.held == CALL_ID {
            self.held.clear();
            self.state = State::Id;
        }
        NamedStep::Undecided
    }
}
