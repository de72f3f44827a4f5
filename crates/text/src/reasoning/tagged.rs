//! Reasoning between two tags at the beginning of an answer.

use crate::answer_part::{AnswerPart, Parts};

/// What stands around reasoning.
#[derive(Debug)]
pub(super) struct Tags {
    /// One of these begins it.
    pub(super) openers: &'static [&'static str],
    /// One of these ends it.
    pub(super) closers: &'static [&'static str],
    /// Characters next to the tags that belong to the format, not to the text.
    pub(super) padding: &'static [char],
    /// Tags that may stand around the answer behind it.
    pub(super) wrapper: Option<(&'static str, &'static str)>,
}

/// Parser of one answer: what is not reasoning is content.
///
/// 1. Reasoning stands at the beginning of the answer, behind white space at most. Without a tag
///    there, everything is content, unless the answer begins inside the reasoning; then a tag
///    that is there all the same is dropped.
/// 2. It goes up to the first closing tag, whatever stands inside, or to the end.
/// 3. Padding next to the tags is dropped.
#[derive(Debug)]
pub(crate) struct TaggedReasoning {
    tags: &'static Tags,
    state: State,
    /// White space before a tag, or what may be it.
    padding: String,
    /// What may be the beginning of a tag.
    held: String,
    parts: Parts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the beginning, perhaps inside the reasoning already.
    Start { open: bool },
    /// Behind the opening tag, where padding is dropped.
    Opened,
    /// Inside the reasoning.
    Inside,
    /// Behind the closing tag, where padding is dropped.
    Closed,
    /// Inside the answer, which a tag may end.
    Wrapped(&'static str),
    /// Inside the answer.
    Answer,
}

impl TaggedReasoning {
    pub(super) fn new(tags: &'static Tags, open: bool) -> Self {
        Self {
            tags,
            state: State::Start { open },
            padding: String::new(),
            held: String::new(),
            parts: Parts::default(),
        }
    }

    /// Whether the last text was reasoning, or the next will be.
    pub(crate) fn is_inside(&self) -> bool {
        matches!(
            self.state,
            State::Start { open: true } | State::Opened | State::Inside
        )
    }

    /// Adds text and returns what has become certain.
    pub(crate) fn push(&mut self, delta: &str) -> Vec<AnswerPart> {
        for (at, c) in delta.char_indices() {
            if self.state == State::Answer {
                self.parts.content(&delta[at..]);
                break;
            }
            self.step(c);
        }
        self.parts.take()
    }

    /// Ends the stream and returns what was held back.
    pub(crate) fn finish(&mut self) -> Vec<AnswerPart> {
        let held = std::mem::take(&mut self.padding) + &std::mem::take(&mut self.held);
        match self.state {
            State::Start { open: true } => {
                let text = held.trim_start_matches(self.tags.padding);
                self.parts.reasoning(text);
            }
            State::Inside => self.parts.reasoning(&held),
            State::Wrapped(end) if held.starts_with(end) => {}
            State::Start { open: false } | State::Wrapped(_) | State::Closed => {
                self.parts.content(&held);
            }
            State::Opened | State::Answer => {}
        }
        self.parts.take()
    }

    fn step(&mut self, c: char) {
        match self.state {
            State::Start { open } => self.step_start(open, c),
            State::Opened if self.tags.padding.contains(&c) => {}
            State::Opened => {
                self.state = State::Inside;
                self.step_inside(c);
            }
            State::Inside => self.step_inside(c),
            State::Closed => self.step_closed(c),
            State::Wrapped(end) => self.step_wrapped(end, c),
            State::Answer => self.parts.content(c.encode_utf8(&mut [0; 4])),
        }
    }

    fn step_start(&mut self, open: bool, c: char) {
        if self.held.is_empty() && c.is_whitespace() {
            self.padding.push(c);
            return;
        }
        self.held.push(c);
        if self.tags.openers.contains(&self.held.as_str()) {
            self.held.clear();
            self.padding.clear();
            self.state = State::Opened;
        } else if !begins(self.tags.openers, &self.held) {
            let start = std::mem::take(&mut self.padding) + &std::mem::take(&mut self.held);
            self.state = if open { State::Opened } else { State::Answer };
            start.chars().for_each(|c| self.step(c));
        }
    }

    fn step_inside(&mut self, c: char) {
        if self.held.is_empty() && self.tags.padding.contains(&c) {
            self.padding.push(c);
            return;
        }
        self.held.push(c);
        if self.tags.closers.contains(&self.held.as_str()) {
            self.held.clear();
            self.padding.clear();
            self.state = State::Closed;
        }
        while !self.held.is_empty() && !begins(self.tags.closers, &self.held) {
            let first = self.held.remove(0);
            if self.tags.padding.contains(&first) {
                self.padding.push(first);
            } else {
                let padding = std::mem::take(&mut self.padding);
                self.parts.reasoning(&padding);
                self.parts.reasoning(first.encode_utf8(&mut [0; 4]));
            }
        }
    }

    fn step_closed(&mut self, c: char) {
        if self.held.is_empty() && self.tags.padding.contains(&c) {
            return;
        }
        self.held.push(c);
        match self.tags.wrapper {
            Some((start, end)) if self.held == start => {
                self.held.clear();
                self.state = State::Wrapped(end);
            }
            Some((start, _)) if start.starts_with(&self.held) => {}
            _ => {
                self.state = State::Answer;
                let held = std::mem::take(&mut self.held);
                self.parts.content(&held);
            }
        }
    }

    /// Holds the end tag back, and the white space behind it, which only the end can follow.
    fn step_wrapped(&mut self, end: &str, c: char) {
        let ended = self.held.starts_with(end);
        if ended && !c.is_whitespace() {
            let held = std::mem::take(&mut self.held);
            self.parts.content(&held);
        }
        self.held.push(c);
        while !(ended && c.is_whitespace() || end.starts_with(&self.held)) {
            let first = self.held.remove(0);
            self.parts.content(first.encode_utf8(&mut [0; 4]));
        }
    }
}

fn begins(tags: &[&str], held: &str) -> bool {
    tags.iter().any(|tag| tag.starts_with(held))
}
