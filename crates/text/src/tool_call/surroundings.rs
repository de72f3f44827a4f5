//! The text around calls.

use super::json_object::is_space;
use crate::answer_part::Parts;

/// Passes the text around calls on, except what may be the beginning of a call.
///
/// 1. A marker that begins a call is not passed on; whether it was one, the caller decides.
/// 2. White space between calls, and behind the last one up to the end, belongs to the format.
/// 3. A marker that ends a call is dropped where the last call has not had it yet.
#[derive(Debug)]
pub(super) struct Surroundings {
    openers: Vec<&'static str>,
    closer: Option<&'static str>,
    /// What may be the beginning of a marker.
    held: String,
    /// White space between a call and what follows it.
    gap: String,
    /// Only white space has come since the last call.
    after_call: bool,
    /// The last call's end marker may still come.
    close_expected: bool,
}

/// A marker that begins a call.
#[derive(Debug)]
pub(super) struct Opened {
    /// Which of the markers.
    pub(super) opener: usize,
    /// The marker, the white space before it included where it would be dropped before a call.
    pub(super) raw: String,
}

impl Surroundings {
    pub(super) fn new(openers: Vec<&'static str>, closer: Option<&'static str>) -> Self {
        Self {
            openers,
            closer,
            held: String::new(),
            gap: String::new(),
            after_call: false,
            close_expected: false,
        }
    }

    /// Reads a character; the marker that it completes, if it begins a call.
    pub(super) fn step(&mut self, c: char, parts: &mut Parts) -> Option<Opened> {
        if self.after_call && self.held.is_empty() && is_space(c) {
            self.gap.push(c);
            return None;
        }
        self.held.push(c);
        if let Some(opener) = self.openers.iter().position(|opener| *opener == self.held) {
            self.close_expected = false;
            let raw = std::mem::take(&mut self.gap) + &std::mem::take(&mut self.held);
            return Some(Opened { opener, raw });
        }
        if self.closer == Some(self.held.as_str()) {
            // Only held to its end when it is expected.
            self.held.clear();
            self.gap.clear();
            self.close_expected = false;
            self.after_call = true;
        }
        while !self.may_be_marker() {
            let gap = std::mem::take(&mut self.gap);
            parts.content(&gap);
            let first = self.held.remove(0);
            parts.content(first.encode_utf8(&mut [0; 4]));
            self.after_call = false;
        }
        None
    }

    fn may_be_marker(&self) -> bool {
        let begins = |marker: &&str| marker.starts_with(&self.held);
        self.openers.iter().any(begins) || (self.close_expected && self.closer.iter().any(begins))
    }

    /// What was taken for the beginning of a call was text.
    pub(super) fn not_a_call(&mut self, raw: &str, parts: &mut Parts) {
        parts.content(raw);
        if !raw.is_empty() {
            self.after_call = false;
        }
    }

    /// A call has ended, with `gap` behind it; its end marker may still come.
    pub(super) fn call_ended(&mut self, gap: String, close_expected: bool) {
        self.after_call = true;
        self.close_expected = close_expected;
        self.gap = gap;
    }

    /// Ends the text.
    pub(super) fn finish(&mut self, parts: &mut Parts) {
        let (gap, held) = (
            std::mem::take(&mut self.gap),
            std::mem::take(&mut self.held),
        );
        if !(self.after_call && held.is_empty()) {
            parts.content(&gap);
            parts.content(&held);
        }
    }
}
