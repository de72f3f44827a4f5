//! A JSON object read character by character, as far as a tool-call parser needs it: where its
//! keys and values begin and end. What is inside values is not checked.

/// Reads one object, or one value.
#[derive(Clone, Debug, Default)]
pub(super) struct ObjectScanner {
    state: State,
    /// The key being read or read last, as JSON text with its quotes.
    key: String,
    escaped: bool,
    /// A string of the current value holds a raw control character, so it is not JSON.
    malformed: bool,
}

/// What a character turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Space, punctuation, part of a key, or a value's inside.
    Inside,
    /// First character of a value.
    ValueBegins,
    /// Last character of a value.
    ValueEnds,
    /// First character after a number, `true`, `false` or `null`; a comma or a space.
    AfterScalar,
    /// The closing brace; a scalar value may end right before it.
    ObjectEnds,
    /// Not part of an object.
    Broken,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    BeforeObject,
    BeforeFirstKey,
    BeforeKey,
    InKey,
    BeforeColon,
    BeforeValue,
    InString,
    InScalar,
    InNested {
        depth: usize,
        in_string: bool,
    },
    AfterValue,
    AfterObject,
}

impl ObjectScanner {
    /// Reads a value alone.
    pub(super) fn at_value() -> Self {
        Self {
            state: State::BeforeValue,
            ..Self::default()
        }
    }

    /// The key of the current value; `None` when it is not a JSON string.
    pub(super) fn key(&self) -> Option<String> {
        serde_json::from_str(&self.key).ok()
    }

    /// Whether the current value contains a string that can no longer be JSON.
    pub(super) fn is_malformed(&self) -> bool {
        self.malformed
    }

    /// Whether the last character was inside a string of the current value.
    pub(super) fn in_string(&self) -> bool {
        matches!(
            self.state,
            State::InString
                | State::InNested {
                    in_string: true,
                    ..
                }
        )
    }

    /// Reads a character.
    pub(super) fn step(&mut self, c: char) -> Step {
        match self.state {
            State::InKey => self.step_key(c),
            State::InString => {
                if self.string_closes(c) {
                    return self.enter(State::AfterValue, Step::ValueEnds);
                }
                Step::Inside
            }
            State::InScalar => match c {
                '}' => self.enter(State::AfterObject, Step::ObjectEnds),
                ',' => self.enter(State::BeforeKey, Step::AfterScalar),
                _ if is_space(c) => self.enter(State::AfterValue, Step::AfterScalar),
                _ if c.is_ascii_alphanumeric() || "+-.".contains(c) => Step::Inside,
                _ => Step::Broken,
            },
            State::InNested { depth, in_string } => self.step_nested(c, depth, in_string),
            _ if is_space(c) && self.state != State::AfterObject => Step::Inside,
            _ => self.step_between(c),
        }
    }

    fn step_between(&mut self, c: char) -> Step {
        match (self.state, c) {
            (State::BeforeObject, '{') => self.enter(State::BeforeFirstKey, Step::Inside),
            (State::BeforeFirstKey | State::BeforeKey, '"') => {
                self.key = "\"".to_owned();
                self.enter(State::InKey, Step::Inside)
            }
            (State::BeforeFirstKey | State::AfterValue, '}') => {
                self.enter(State::AfterObject, Step::ObjectEnds)
            }
            (State::BeforeColon, ':') => self.enter(State::BeforeValue, Step::Inside),
            (State::AfterValue, ',') => self.enter(State::BeforeKey, Step::Inside),
            (State::BeforeValue, _) => {
                self.malformed = false;
                match c {
                    '"' => self.enter(State::InString, Step::ValueBegins),
                    '{' | '[' => {
                        let nested = State::InNested {
                            depth: 1,
                            in_string: false,
                        };
                        self.enter(nested, Step::ValueBegins)
                    }
                    _ if c.is_ascii_alphanumeric() || c == '-' => {
                        self.enter(State::InScalar, Step::ValueBegins)
                    }
                    _ => Step::Broken,
                }
            }
            _ => Step::Broken,
        }
    }

    fn step_key(&mut self, c: char) -> Step {
        self.key.push(c);
        if u32::from(c) < 0x20 {
            return Step::Broken;
        }
        if self.string_closes(c) {
            return self.enter(State::BeforeColon, Step::Inside);
        }
        Step::Inside
    }

    fn step_nested(&mut self, c: char, depth: usize, in_string: bool) -> Step {
        let (depth, in_string) = match c {
            _ if in_string => (depth, !self.string_closes(c)),
            '"' => (depth, true),
            '{' | '[' => (depth + 1, false),
            '}' | ']' if depth == 1 => return self.enter(State::AfterValue, Step::ValueEnds),
            '}' | ']' => (depth - 1, false),
            _ => (depth, false),
        };
        self.enter(State::InNested { depth, in_string }, Step::Inside)
    }

    /// Reads a character inside a string; whether it is the closing quote.
    fn string_closes(&mut self, c: char) -> bool {
        self.malformed |= u32::from(c) < 0x20;
        let closes = c == '"' && !self.escaped;
        self.escaped = c == '\\' && !self.escaped;
        closes
    }

    fn enter(&mut self, state: State, step: Step) -> Step {
        self.state = state;
        step
    }
}

/// JSON's white space.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}
