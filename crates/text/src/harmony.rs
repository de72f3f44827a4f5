//! OpenAI's harmony format, in which gpt-oss answers with several messages:
//!
//! ```text
//! <|channel|>analysis<|message|>The user wants the weather.<|end|>
//! <|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>
//! {"city": "Oslo"}<|call|>
//! ```
//!
//! (without the line breaks). What stands in the channel `analysis` is reasoning, what is sent to
//! `functions.` and a name is a call, everything else is content: the channel `final`, and
//! preambles in the channel `commentary`. See `docs/format.md` of <https://github.com/openai/harmony>.

mod header;

use crate::answer_part::{AnswerPart, Parts};
use crate::tool_call::{ToolCallParser, Tools};
use header::{CHANNEL, Header, Reading, START};

/// End of a prompt after which an answer begins inside the reasoning.
pub(crate) const ANALYSIS: &str = "<|channel|>analysis<|message|>";

/// What the model writes between reasoning and answer.
pub(crate) const REASONING_END: &str = "<|end|><|start|>assistant<|channel|>final<|message|>";

/// The tokens that messages consist of, all of them special.
pub(crate) const SPECIAL_MARKERS: &[&str] = &[
    "<|start|>",
    "<|channel|>",
    "<|constrain|>",
    "<|message|>",
    "<|end|>",
    "<|call|>",
    "<|return|>",
];

/// What ends a message; the last ones begin another.
const ENDS: [&str; 5] = ["<|end|>", "<|call|>", "<|return|>", START, CHANNEL];
/// How many of them end a message that had a header.
const NUM_ENDS_OF_MESSAGE: usize = 4;

const NAMESPACE: &str = "functions.";

/// Which messages are told apart; the others are content as the model wrote them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HarmonyMessages {
    pub(crate) reasoning: bool,
    pub(crate) calls: bool,
}

/// Parser of one answer.
///
/// 1. A header is kept until it is complete. If it turns out not to be one, it is content.
/// 2. Then the message is passed on as it comes, up to the token that ends it.
/// 3. Messages of one kind are joined by a line break; a call without arguments has empty ones.
/// 4. Text without header is content.
#[derive(Debug)]
pub(crate) struct HarmonyParser {
    messages: HarmonyMessages,
    tools: Tools,
    state: State,
    /// Messages have been content, reasoning.
    said: bool,
    thought: bool,
    /// The current message has text, and a message has come before it.
    has_text: bool,
    is_first: bool,
    parts: Parts,
}

#[derive(Debug)]
enum State {
    /// Before a message or inside its header, with what has been read of it.
    Header(String),
    /// Inside a message, with what may be the beginning of its end.
    Message(Kind, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Content,
    Reasoning,
    Call,
    /// Content with its markers.
    Raw,
    /// Content that had no header.
    Text,
}

impl ToolCallParser for HarmonyParser {
    fn push(&mut self, delta: &str) -> Vec<AnswerPart> {
        for c in delta.chars() {
            self.step(c);
        }
        self.parts.take()
    }

    fn finish(&mut self) -> Vec<AnswerPart> {
        match std::mem::replace(&mut self.state, State::Header(String::new())) {
            State::Header(raw) => {
                if self.is_first || !raw.trim().is_empty() {
                    self.parts.content(&raw);
                }
            }
            State::Message(kind, held) => {
                self.message_text(kind, &held);
                self.end_message(kind);
            }
        }
        self.parts.take()
    }
}

impl HarmonyParser {
    /// A parser at the beginning of an answer, which may be inside the reasoning.
    pub(crate) fn new(messages: HarmonyMessages, tools: Tools, open: bool) -> Self {
        let state = if open && messages.reasoning {
            State::Message(Kind::Reasoning, String::new())
        } else {
            State::Header(String::new())
        };
        Self {
            messages,
            tools,
            state,
            said: false,
            thought: false,
            has_text: false,
            is_first: true,
            parts: Parts::default(),
        }
    }

    /// Whether the last text was reasoning, or the next will be.
    pub(crate) fn is_inside_reasoning(&self) -> bool {
        matches!(self.state, State::Message(Kind::Reasoning, _))
    }

    fn step(&mut self, c: char) {
        match std::mem::replace(&mut self.state, State::Header(String::new())) {
            State::Header(raw) => self.step_header(raw, c),
            State::Message(kind, held) => self.step_message(kind, held, c),
        }
    }

    fn step_header(&mut self, mut raw: String, c: char) {
        raw.push(c);
        match header::read(&raw) {
            Reading::Partial => self.state = State::Header(raw),
            Reading::Complete(header) => {
                let kind = self.start_message(&header);
                if kind == Kind::Raw {
                    self.message_text(kind, &raw);
                }
                self.state = State::Message(kind, String::new());
            }
            Reading::Invalid => {
                // Another header may begin in the middle of what was none.
                let rest = raw.split_off(raw.rfind('<').unwrap_or(raw.len() - c.len_utf8()));
                if raw.is_empty() {
                    self.message_text(Kind::Text, &rest[..rest.len() - c.len_utf8()]);
                    self.step_message(Kind::Text, String::new(), c);
                } else {
                    self.message_text(Kind::Text, &raw);
                    self.state = State::Message(Kind::Text, String::new());
                    rest.chars().for_each(|c| self.step(c));
                }
            }
        }
    }

    fn start_message(&mut self, header: &Header) -> Kind {
        let HarmonyMessages { reasoning, calls } = self.messages;
        let recipient = header.recipient.as_deref().unwrap_or_default();
        let function = recipient.strip_prefix(NAMESPACE);
        // The model sometimes forgets the namespace.
        let function = function.or(self.tools.has(recipient).then_some(recipient));
        match function.filter(|name| !name.is_empty()) {
            Some(name) if calls => {
                self.parts.start_call(name.to_owned());
                Kind::Call
            }
            Some(_) => Kind::Raw,
            None if header.channel.as_deref() != Some("analysis") => Kind::Content,
            None if reasoning => Kind::Reasoning,
            None => Kind::Raw,
        }
    }

    fn step_message(&mut self, kind: Kind, mut held: String, c: char) {
        held.push(c);
        let ends = if kind == Kind::Text {
            &ENDS[..]
        } else {
            &ENDS[..NUM_ENDS_OF_MESSAGE]
        };
        if let Some(end) = ends.iter().find(|end| **end == held) {
            let begins_another = [START, CHANNEL].contains(end);
            if kind == Kind::Raw && !begins_another {
                self.message_text(kind, end);
            }
            self.end_message(kind);
            self.state = State::Header(if begins_another { held } else { String::new() });
            return;
        }
        let mut sure = 0;
        while !ends.iter().any(|end| end.starts_with(&held[sure..])) {
            sure += held[sure..].chars().next().map_or(1, char::len_utf8);
        }
        let rest = held.split_off(sure);
        self.message_text(kind, &held);
        self.state = State::Message(kind, rest);
    }

    fn message_text(&mut self, kind: Kind, text: &str) {
        if text.is_empty() {
            return;
        }
        let is_continued = match kind {
            Kind::Content => self.said,
            Kind::Reasoning => self.thought,
            Kind::Call | Kind::Raw | Kind::Text => false,
        };
        let separator = if is_continued && !self.has_text {
            "\n"
        } else {
            ""
        };
        self.has_text = true;
        match kind {
            Kind::Call => self.parts.arguments(text),
            Kind::Reasoning => {
                self.parts.reasoning(separator);
                self.parts.reasoning(text);
            }
            Kind::Content | Kind::Raw | Kind::Text => {
                self.parts.content(separator);
                self.parts.content(text);
            }
        }
    }

    fn end_message(&mut self, kind: Kind) {
        let has_text = std::mem::take(&mut self.has_text);
        self.is_first = false;
        match kind {
            Kind::Call if !has_text => self.parts.arguments("{}"),
            Kind::Call => {}
            Kind::Reasoning => self.thought |= has_text,
            Kind::Content | Kind::Raw | Kind::Text => self.said |= has_text,
        }
    }
}
