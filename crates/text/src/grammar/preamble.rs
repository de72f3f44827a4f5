//! Reasoning before an answer that has a grammar.

use super::calls::{final_header, regex_escape};
use super::lark::Lark;
use crate::ReasoningFormat;

/// The model may think before it answers by a grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// How it writes what it thinks.
    pub format: ReasoningFormat,
    /// Whether the answer begins inside it.
    pub open: bool,
}

impl Preamble {
    /// What stands before `body` in an answer, and it. `has_messages` if it consists of messages in
    /// the format of the reasoning.
    pub(super) fn write(self, body: &str, has_messages: bool, lark: &mut Lark<'_>) -> String {
        match self.format.tag_texts() {
            Some((openers, closers)) => self.between_tags((openers, closers), body, lark),
            None => self.as_message(body, has_messages, lark),
        }
    }

    fn between_tags(
        self,
        (openers, closers): (&[&str], &[&str]),
        body: &str,
        lark: &mut Lark<'_>,
    ) -> String {
        thoughts(closers, lark);
        lark.rule("GAP", r"/[ \t\r\n]{1,8}/");
        let opener = markers(openers, lark);
        lark.rule("opener", &opener);
        match self.open {
            true => format!("thoughts GAP? {body}"),
            false => format!("(GAP? opener thoughts GAP?)? {body}"),
        }
    }

    /// In the harmony format thoughts are a message before the others.
    fn as_message(self, body: &str, has_messages: bool, lark: &mut Lark<'_>) -> String {
        thoughts(&["<|end|>"], lark);
        let header = match has_messages {
            true => String::new(),
            false => final_header(lark),
        };
        let next = format!("{} \"assistant\"", lark.marker("<|start|>"));
        let (channel, message) = (lark.marker("<|channel|>"), lark.marker("<|message|>"));
        match self.open {
            true => format!("thoughts {next} {header} {body}"),
            false => {
                format!("({channel} \"analysis\" {message} thoughts {next})? {header} {body}")
            }
        }
    }
}

/// One of these tokens or texts.
fn markers(texts: &[&str], lark: &Lark<'_>) -> String {
    let markers: Vec<String> = texts.iter().map(|text| lark.marker(text)).collect();
    format!("({})", markers.join(" | "))
}

/// A rule for text up to the first of `closers`, and it.
fn thoughts(closers: &[&str], lark: &mut Lark<'_>) {
    let is_special = closers.iter().any(|closer| lark.is_special(closer));
    if is_special {
        lark.rule(
            "thoughts",
            &format!("/(?s:.*)/? {}", markers(closers, lark)),
        );
    } else {
        let closers: Vec<String> = closers.iter().map(|closer| regex_escape(closer)).collect();
        let suffix = format!("/({})/", closers.join("|"));
        lark.rule(&format!("thoughts[suffix={suffix}]"), "/(?s:.*)/");
    }
}
