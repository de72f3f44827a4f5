//! Calls as Hermes 2 Pro and Qwen write them:
//!
//! ```text
//! <tool_call>
//! {"name": "get_weather", "arguments": {"city": "Oslo"}}
//! </tool_call>
//! ```
//!
//! The line break before a call and white space after it belong to the format, not to the text:
//! the families' chat templates write them again, so that the next turn's prompt is the same.

use serde_json::{Map, Value};

use super::json_object::{ObjectScanner, Step, is_space};
use super::{ToolCallParser, ToolEvent};

const OPEN: &str = "<tool_call>";
const OPEN_ON_NEW_LINE: &str = "\n<tool_call>";
const CLOSE: &str = "</tool_call>";

/// Parser of one answer.
///
/// 1. Text is passed on, except what may be the beginning of a tag.
/// 2. After `<tool_call>`, everything is kept until name and arguments' beginning are known. If
///    it turns out not to be a call, all of it is text, the tag included.
/// 3. Then the arguments are passed on as they come, up to their closing brace, or up to
///    `</tool_call>` where that cannot be part of a JSON string.
/// 4. The rest of the object (further keys have no meaning) and the closing tag are dropped; a
///    call without closing tag is a call.
#[derive(Debug, Default)]
pub(super) struct HermesParser {
    state: State,
    num_calls: usize,
    /// What may be the beginning of a tag.
    held: String,
    /// White space between a call and what follows it.
    gap: String,
    /// Only white space has come since the last call.
    after_call: bool,
    /// The last call's closing tag may still come.
    close_expected: bool,
    events: Vec<ToolEvent>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// Inside a call's object, before it is certain that it is a call.
    Header(Box<Header>),
    /// Inside the arguments.
    Arguments(ObjectScanner),
    /// Behind the arguments, with what has been read since.
    Tail(ObjectScanner, String),
}

#[derive(Debug, Default)]
struct Header {
    scanner: ObjectScanner,
    /// All since the tag, the tag and the space before it included.
    raw: String,
    /// Where the current value begins in `raw`.
    value_at: usize,
    name: Option<String>,
    /// JSON text of the arguments, when they come before the name or as a string.
    arguments: Option<String>,
}

/// What a header's character decides.
enum Verdict {
    Undecided,
    ArgumentsBegin(String),
    Complete(String, String),
    NotACall,
}

impl ToolCallParser for HermesParser {
    fn push(&mut self, delta: &str) -> Vec<ToolEvent> {
        for c in delta.chars() {
            self.step(c);
        }
        std::mem::take(&mut self.events)
    }

    fn finish(&mut self) -> Vec<ToolEvent> {
        let held = std::mem::take(&mut self.held);
        match std::mem::take(&mut self.state) {
            State::Text if self.after_call && held.is_empty() => {}
            State::Text => {
                let gap = std::mem::take(&mut self.gap);
                self.content(&gap);
                self.content(&held);
            }
            State::Header(header) => self.content(&header.raw),
            State::Arguments(_) => self.arguments(&held),
            State::Tail(_, tail) => {
                if !tail.chars().all(is_space) {
                    self.content(&tail);
                }
            }
        }
        std::mem::take(&mut self.events)
    }
}

impl HermesParser {
    fn step(&mut self, c: char) {
        match std::mem::take(&mut self.state) {
            State::Text => self.step_text(c),
            State::Header(header) => self.step_header(header, c),
            State::Arguments(scanner) => self.step_arguments(scanner, c),
            State::Tail(scanner, tail) => self.step_tail(scanner, tail, c),
        }
    }

    fn step_text(&mut self, c: char) {
        if self.after_call && self.held.is_empty() && is_space(c) {
            self.gap.push(c);
            return;
        }
        self.held.push(c);
        if self.held == OPEN || self.held == OPEN_ON_NEW_LINE {
            let raw = std::mem::take(&mut self.gap) + &std::mem::take(&mut self.held);
            self.state = State::Header(Box::new(Header {
                raw,
                ..Header::default()
            }));
            self.close_expected = false;
        } else if self.held == CLOSE {
            // Only held to its end when it is expected.
            self.held.clear();
            self.gap.clear();
            self.close_expected = false;
            self.after_call = true;
        }
        while !self.may_be_tag() {
            let gap = std::mem::take(&mut self.gap);
            self.content(&gap);
            let first = self.held.remove(0);
            self.content(first.encode_utf8(&mut [0; 4]));
            self.after_call = false;
        }
    }

    fn may_be_tag(&self) -> bool {
        OPEN.starts_with(&self.held)
            || OPEN_ON_NEW_LINE.starts_with(&self.held)
            || (self.close_expected && CLOSE.starts_with(&self.held))
    }

    fn step_header(&mut self, mut header: Box<Header>, c: char) {
        match header.step(c) {
            Verdict::Undecided => self.state = State::Header(header),
            Verdict::ArgumentsBegin(name) => {
                self.start_call(name);
                self.arguments("{");
                self.state = State::Arguments(header.scanner);
            }
            Verdict::Complete(name, arguments) => {
                self.start_call(name);
                self.arguments(&arguments);
                self.end_call(true);
            }
            Verdict::NotACall => {
                self.content(&header.raw);
                self.after_call = false;
                self.step_text(c);
            }
        }
    }

    fn step_arguments(&mut self, mut scanner: ObjectScanner, c: char) {
        let was_in_string = scanner.in_string();
        let step = scanner.step(c);
        self.held.push(c);
        if self.held == CLOSE {
            self.held.clear();
            return self.end_call(false);
        }
        // Inside a string that is JSON so far, the tag is only text.
        let tag_possible = !(was_in_string || scanner.in_string()) || scanner.is_malformed();
        while !(tag_possible && CLOSE.starts_with(&self.held) || self.held.is_empty()) {
            let first = self.held.remove(0);
            self.arguments(first.encode_utf8(&mut [0; 4]));
        }
        self.state = if step == Step::ValueEnds {
            State::Tail(scanner, String::new())
        } else {
            State::Arguments(scanner)
        };
    }

    fn step_tail(&mut self, mut scanner: ObjectScanner, mut tail: String, c: char) {
        match scanner.step(c) {
            Step::ObjectEnds => self.end_call(true),
            Step::Broken => {
                self.end_call(true);
                if tail.chars().all(is_space) {
                    self.gap = tail;
                } else {
                    self.content(&tail);
                    self.after_call = false;
                }
                self.step_text(c);
            }
            _ => {
                tail.push(c);
                self.state = State::Tail(scanner, tail);
            }
        }
    }

    fn start_call(&mut self, name: String) {
        self.events.push(ToolEvent::CallStart {
            index: self.num_calls,
            name,
        });
        self.num_calls += 1;
    }

    fn end_call(&mut self, close_expected: bool) {
        self.state = State::Text;
        self.after_call = true;
        self.close_expected = close_expected;
    }

    fn content(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.events.last_mut() {
            Some(ToolEvent::Content(last)) => last.push_str(text),
            _ => self.events.push(ToolEvent::Content(text.to_owned())),
        }
    }

    /// More of the last call's arguments.
    fn arguments(&mut self, more: &str) {
        if more.is_empty() {
            return;
        }
        match self.events.last_mut() {
            Some(ToolEvent::ArgumentsDelta { text, .. }) => text.push_str(more),
            _ => {
                let index = self.num_calls - 1;
                self.events.push(ToolEvent::ArgumentsDelta {
                    index,
                    text: more.to_owned(),
                });
            }
        }
    }
}

impl Header {
    /// Reads a character; one that is not part of a call is not kept in `raw`.
    fn step(&mut self, c: char) -> Verdict {
        let at = self.raw.len();
        let step = self.scanner.step(c);
        if step == Step::Broken || self.scanner.is_malformed() {
            return Verdict::NotACall;
        }
        if step == Step::ValueBegins {
            self.value_at = at;
            if c == '{'
                && self.scanner.key().as_deref() == Some("arguments")
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
        match self.name.take() {
            Some(name) => {
                let arguments = self.arguments.take().unwrap_or_else(|| "{}".to_owned());
                Verdict::Complete(name, arguments)
            }
            None => {
                self.raw.pop();
                Verdict::NotACall
            }
        }
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
        match self.scanner.key().as_deref() {
            Some("name") => {
                let name: String = serde_json::from_str(value).ok()?;
                self.name = (!name.is_empty()).then_some(name);
                self.name.is_some().then_some(())
            }
            Some("arguments") => {
                self.arguments = Some(arguments_text(value)?);
                Some(())
            }
            _ => Some(()),
        }?;
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
