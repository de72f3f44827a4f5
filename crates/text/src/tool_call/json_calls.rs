//! Calls written as JSON objects with a name and arguments, whatever stands around them.

use super::ToolCallParser;
use super::call_header::{CallHeader, CallShape, Verdict};
use super::json_object::{ObjectScanner, Step, is_space};
use super::named_call::{NamedCall, NamedStep};
use super::surroundings::Surroundings;
use super::tools::Tools;
use crate::answer_part::{AnswerPart, Parts};

/// How a format arranges calls.
#[derive(Debug)]
pub(super) struct Arrangement {
    /// What begins calls.
    pub(super) openers: &'static [Opener],
    /// How calls may begin an answer without any of those: then the objects' keys and the name of
    /// a known tool mark them.
    pub(super) unmarked: &'static [Layout],
    /// What may end calls.
    pub(super) closer: Option<&'static str>,
    /// Keys of the arguments.
    pub(super) argument_keys: &'static [&'static str],
}

/// What begins calls.
#[derive(Debug)]
pub(super) struct Opener {
    pub(super) marker: &'static str,
    /// What may follow; their first characters differ.
    pub(super) layouts: &'static [Layout],
}

/// How calls follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One object.
    Object,
    /// Objects one after the other, `;` between them or nothing.
    Sequence,
    /// A JSON list of objects.
    List,
    /// A name, `[ARGS]`, and the arguments.
    Named,
}

/// Parser of one answer.
///
/// 1. Text is passed on, except what may be the beginning of a marker.
/// 2. After a marker, everything is kept until name and arguments' beginning are known. If it
///    turns out not to be a call, all of it is text, the marker included.
/// 3. Then the arguments are passed on as they come, up to their closing brace, or up to the end
///    marker where that cannot be part of a JSON string.
/// 4. The rest of the object (further keys have no meaning), what stands between calls and the
///    end marker are dropped; a call without end marker is a call.
#[derive(Debug)]
pub(super) struct JsonCalls {
    arrangement: &'static Arrangement,
    tools: Tools,
    surroundings: Surroundings,
    state: State,
    /// What may be the beginning of the end marker, inside the arguments.
    held: String,
    parts: Parts,
}

/// Each state of a possible call has what is text if it is none.
#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// Behind what begins calls, which may have these layouts.
    Opened(String, &'static [Layout], bool),
    /// Before an object, or a name.
    Before(String, Run),
    /// Inside a call's object, before it is certain that it is a call.
    Header(Box<CallHeader>, Run),
    /// Before the arguments of a call that is not an object.
    Named(Box<NamedCall>, Run),
    /// Inside the arguments.
    Arguments(ObjectScanner, Run),
    /// Behind the arguments, with what has been read since.
    Tail(ObjectScanner, String, Run),
    /// Behind a call that others may follow.
    Between(String, Run),
}

/// Calls that belong together.
#[derive(Clone, Copy, Debug)]
struct Run {
    layout: Layout,
    /// No marker says that these are calls.
    unmarked: bool,
}

impl ToolCallParser for JsonCalls {
    fn push(&mut self, delta: &str) -> Vec<AnswerPart> {
        for c in delta.chars() {
            self.step(c);
        }
        self.parts.take()
    }

    fn finish(&mut self) -> Vec<AnswerPart> {
        match std::mem::take(&mut self.state) {
            State::Text => self.surroundings.finish(&mut self.parts),
            State::Arguments(..) => {
                let held = std::mem::take(&mut self.held);
                self.parts.arguments(&held);
            }
            State::Header(header, _) => self.parts.content(&header.into_raw()),
            State::Named(call, _) => self.parts.content(&call.into_raw()),
            State::Opened(raw, ..) => self.parts.content(&raw),
            State::Tail(_, tail, _) => {
                if !tail.chars().all(is_space) {
                    self.parts.content(&tail);
                }
            }
            State::Before(rest, _) | State::Between(rest, _) => {
                // What separates calls is no text when nothing follows.
                if !rest.chars().all(|c| is_space(c) || is_separator(c)) {
                    self.parts.content(&rest);
                }
            }
        }
        self.parts.take()
    }
}

impl JsonCalls {
    pub(super) fn new(arrangement: &'static Arrangement, tools: Tools) -> Self {
        let markers = arrangement.openers.iter().map(|opener| opener.marker);
        let state = match arrangement.unmarked {
            [] => State::Text,
            layouts => State::Opened(String::new(), layouts, true),
        };
        Self {
            arrangement,
            tools,
            surroundings: Surroundings::new(markers.collect(), arrangement.closer),
            state,
            held: String::new(),
            parts: Parts::default(),
        }
    }

    fn step(&mut self, c: char) {
        match std::mem::take(&mut self.state) {
            State::Text => self.step_text(c),
            State::Opened(raw, layouts, unmarked) => self.step_opened(raw, layouts, unmarked, c),
            State::Before(raw, run) => self.step_before(raw, run, c),
            State::Header(header, run) => self.step_header(header, run, c),
            State::Named(call, run) => self.step_named(call, run, c),
            State::Arguments(scanner, run) => self.step_arguments(scanner, run, c),
            State::Tail(scanner, tail, run) => self.step_tail(scanner, tail, run, c),
            State::Between(rest, run) => self.step_between(rest, run, c),
        }
    }

    fn step_text(&mut self, c: char) {
        if let Some(opened) = self.surroundings.step(c, &mut self.parts) {
            let layouts = self.arrangement.openers[opened.opener].layouts;
            self.state = State::Opened(opened.raw, layouts, false);
        }
    }

    fn step_opened(
        &mut self,
        mut raw: String,
        layouts: &'static [Layout],
        unmarked: bool,
        c: char,
    ) {
        if is_space(c) {
            raw.push(c);
            self.state = State::Opened(raw, layouts, unmarked);
            return;
        }
        let Some(&layout) = layouts.iter().find(|layout| layout.begins_with(c)) else {
            return self.not_a_call(&raw, c);
        };
        let run = Run { layout, unmarked };
        if layout == Layout::List {
            raw.push(c);
            self.state = State::Before(raw, run);
        } else {
            self.step_before(raw, run, c);
        }
    }

    fn step_before(&mut self, mut raw: String, run: Run, c: char) {
        match c {
            '{' if run.layout != Layout::Named => {
                let shape = CallShape {
                    argument_keys: self.arrangement.argument_keys,
                    unmarked: run.unmarked,
                };
                self.step_header(Box::new(CallHeader::new(shape, raw)), run, c);
            }
            _ if run.layout == Layout::Named => {
                self.step_named(Box::new(NamedCall::new(raw)), run, c);
            }
            _ if is_space(c) => {
                raw.push(c);
                self.state = State::Before(raw, run);
            }
            _ => self.not_a_call(&raw, c),
        }
    }

    fn step_header(&mut self, mut header: Box<CallHeader>, run: Run, c: char) {
        let known = |name: &String| !run.unmarked || self.tools.may_have(name);
        match header.step(c) {
            Verdict::Undecided => self.state = State::Header(header, run),
            Verdict::ArgumentsBegin(name) if known(&name) => {
                self.parts.start_call(name);
                self.parts.arguments("{");
                self.state = State::Arguments(header.into_scanner(), run);
            }
            Verdict::Complete(name, arguments) if known(&name) => {
                self.parts.start_call(name);
                self.parts.arguments(&arguments);
                self.end_call(run);
            }
            Verdict::Complete(..) => {
                let raw = header.into_raw();
                self.surroundings.not_a_call(&raw, &mut self.parts);
            }
            Verdict::ArgumentsBegin(_) | Verdict::NotACall => {
                self.not_a_call(&header.into_raw(), c);
            }
        }
    }

    fn step_named(&mut self, mut call: Box<NamedCall>, run: Run, c: char) {
        match call.step(c) {
            NamedStep::Undecided => self.state = State::Named(call, run),
            NamedStep::ArgumentsBegin(name) => {
                self.parts.start_call(name);
                self.step_arguments(ObjectScanner::at_value(), run, c);
            }
            NamedStep::NotACall => self.not_a_call(&call.into_raw(), c),
        }
    }

    fn not_a_call(&mut self, raw: &str, c: char) {
        self.surroundings.not_a_call(raw, &mut self.parts);
        self.step_text(c);
    }

    fn step_arguments(&mut self, mut scanner: ObjectScanner, run: Run, c: char) {
        let was_in_string = scanner.in_string();
        let step = scanner.step(c);
        self.held.push(c);
        let closer = self.arrangement.closer;
        if closer == Some(self.held.as_str()) {
            self.held.clear();
            self.surroundings.call_ended(String::new(), false);
            return;
        }
        // Inside a string that is JSON so far, the marker is only text.
        let closer_possible = !(was_in_string || scanner.in_string()) || scanner.is_malformed();
        let begins = |held: &str| closer.is_some_and(|closer| closer.starts_with(held));
        while !(self.held.is_empty() || closer_possible && begins(&self.held)) {
            let first = self.held.remove(0);
            self.parts.arguments(first.encode_utf8(&mut [0; 4]));
        }
        match step {
            Step::ValueEnds if run.layout == Layout::Named => self.end_call(run),
            Step::ValueEnds => self.state = State::Tail(scanner, String::new(), run),
            _ => self.state = State::Arguments(scanner, run),
        }
    }

    fn step_tail(&mut self, mut scanner: ObjectScanner, mut tail: String, run: Run, c: char) {
        match scanner.step(c) {
            Step::ObjectEnds => self.end_call(run),
            Step::Broken => self.end_run(tail, c),
            _ => {
                tail.push(c);
                self.state = State::Tail(scanner, tail, run);
            }
        }
    }

    /// A call has ended; others may follow.
    fn end_call(&mut self, run: Run) {
        match run.layout {
            Layout::Object | Layout::Named => self.surroundings.call_ended(String::new(), true),
            Layout::Sequence | Layout::List => self.state = State::Between(String::new(), run),
        }
    }

    fn step_between(&mut self, mut rest: String, run: Run, c: char) {
        let list = run.layout == Layout::List;
        match c {
            ']' if list => self.surroundings.call_ended(String::new(), true),
            '{' if !list => self.step_before(rest, run, c),
            _ if c == if list { ',' } else { ';' } => {
                rest.push(c);
                self.state = State::Before(rest, run);
            }
            _ if is_space(c) => {
                rest.push(c);
                self.state = State::Between(rest, run);
            }
            _ => self.end_run(rest, c),
        }
    }

    /// What follows the last call is `rest`, and then a character that belongs to no call.
    fn end_run(&mut self, rest: String, c: char) {
        if rest.chars().all(is_space) {
            self.surroundings.call_ended(rest, true);
        } else {
            self.surroundings.call_ended(String::new(), true);
            self.surroundings.not_a_call(&rest, &mut self.parts);
        }
        self.step_text(c);
    }
}

impl Layout {
    fn begins_with(self, c: char) -> bool {
        match self {
            Self::Object | Self::Sequence => c == '{',
            Self::List => c == '[',
            Self::Named => NamedCall::begins_with(c),
        }
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, ',' | ';')
}
