//! The beginning of a call written as a JSON object with a name and arguments.

use serde_json::{Map, Value};

use super::json_object::{ObjectScanner, Step};

/// Which objects are calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallShape {
    /// Keys of the arguments.
    pub(super) argument_keys: &'static [&'static str],
    /// Nothing but the object says that it is a call: it must have arguments, and keys that calls
    /// do not have make it no call at once.
    pub(super) unmarked: bool,
}

/// Reads an object until it is certain whether it is a call.
#[derive(Debug)]
pub(super) struct CallHeader {
    shape: CallShape,
    scanner: ObjectScanner,
    /// All since what began the call, that and the white space before it included.
    raw: String,
    /// Where the current value begins in `raw`.
    value_at: usize,
    name: Option<String>,
    /// JSON text of the arguments, when they come before the name or as a string.
    arguments: Option<String>,
}

/// What a header's character decides.
pub(super) enum Verdict {
    Undecided,
    /// A call of that name, whose arguments begin with this character.
    ArgumentsBegin(String),
    /// A call with name and arguments, which ends with this character.
    Complete(String, String),
    /// The character is not part of a call, nor is what was read before it.
    NotACall,
}

/// Keys that an object may have which only its keys mark as a call, beside its arguments.
const KEYS: [&str; 3] = ["name", "type", "id"];

impl CallHeader {
    /// A header behind `raw`.
    pub(super) fn new(shape: CallShape, raw: String) -> Self {
        Self {
            shape,
            scanner: ObjectScanner::default(),
            raw,
            value_at: 0,
            name: None,
            arguments: None,
        }
    }

    /// All that has been read, if it is no call.
    pub(super) fn into_raw(self) -> String {
        self.raw
    }

    /// What reads the rest of the object.
    pub(super) fn into_scanner(self) -> ObjectScanner {
        self.scanner
    }

    /// Reads a character; one that is not part of a call is not kept in `raw`.
    pub(super) fn step(&mut self, c: char) -> Verdict {
        let at = self.raw.len();
        let step = self.scanner.step(c);
        if step == Step::Broken || self.scanner.is_malformed() {
            return Verdict::NotACall;
        }
        if step == Step::ValueBegins {
            if self.is_foreign_key() {
                return Verdict::NotACall;
            }
            self.value_at = at;
            if c == '{'
                && self.is_at_arguments()
                && let Some(name) = self.name.take()
            {
                return Verdict::ArgumentsBegin(name);
            }
        }
        let value_end = match step {
            Step::ValueEnds => Some(at + c.len_utf8()),
            Step::AfterScalar | Step::ObjectEnds => Some(at),
            _ => None,
        };
        self.raw.push(c);
        if value_end.is_some_and(|end| self.take_value(end).is_none()) {
            self.raw.pop();
            return Verdict::NotACall;
        }
        if step != Step::ObjectEnds {
            return Verdict::Undecided;
        }
        let missing = (!self.shape.unmarked).then(|| "{}".to_owned());
        match self.name.take().zip(self.arguments.take().or(missing)) {
            Some((name, arguments)) => Verdict::Complete(name, arguments),
            None => {
                self.raw.pop();
                Verdict::NotACall
            }
        }
    }

    fn is_at_arguments(&self) -> bool {
        let key = self.scanner.key();
        key.is_some_and(|key| self.shape.argument_keys.contains(&key.as_str()))
    }

    fn is_foreign_key(&self) -> bool {
        let known = |key: String| KEYS.contains(&key.as_str());
        self.shape.unmarked && !self.is_at_arguments() && !self.scanner.key().is_some_and(known)
    }

    /// Keeps the value that ends at `end` if it matters; `None` when it makes this no call.
    fn take_value(&mut self, end: usize) -> Option<()> {
        let Some(value) = self
            .raw
            .get(self.value_at..end)
            .filter(|_| self.value_at > 0)
        else {
            return Some(());
        };
        if self.is_at_arguments() {
            self.arguments = Some(arguments_text(value)?);
        } else if self.scanner.key().as_deref() == Some("name") {
            let name: String = serde_json::from_str(value).ok()?;
            if name.is_empty() {
                return None;
            }
            self.name = Some(name);
        }
        self.value_at = 0;
        Some(())
    }
}

/// JSON text of an object, given as such, as a string of it, or as null.
fn arguments_text(value: &str) -> Option<String> {
    let text = match serde_json::from_str(value).ok()? {
        Value::Object(_) => return Some(value.to_owned()),
        Value::Null => return Some("{}".to_owned()),
        Value::String(text) => text,
        _ => return None,
    };
    serde_json::from_str::<Map<String, Value>>(&text)
        .ok()
        .map(|_| text)
}
