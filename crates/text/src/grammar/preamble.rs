//! Reasoning before an answer that has a grammar.

use super::GrammarError;
use super::calls::regex_escape;
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
    /// What stands before `body` in an answer, and it.
    ///
    /// # Errors
    ///
    /// `Invalid` for a format that has messages instead of tags.
    pub(super) fn write(self, body: &str, lark: &mut Lark<'_>) -> Result<String, GrammarError> {
        let Some((openers, closers)) = self.format.tag_texts() else {
            let name = self.format.name();
            let reason =
                format!("a grammar behind reasoning in the format {name:?} is not supported");
            return Err(GrammarError::Invalid(reason));
        };
        let markers = |texts: &[&str], lark: &Lark<'_>| {
            let markers: Vec<String> = texts.iter().map(|text| lark.marker(text)).collect();
            format!("({})", markers.join(" | "))
        };
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
        lark.rule("GAP", r"/[ \t\r\n]{1,8}/");
        let opener = markers(openers, lark);
        lark.rule("opener", &opener);
        Ok(match self.open {
            true => format!("thoughts GAP? {body}"),
            false => format!("(GAP? opener thoughts GAP?)? {body}"),
        })
    }
}
