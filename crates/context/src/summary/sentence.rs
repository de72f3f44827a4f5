//! The sentences of a span, with who said them.

use super::{SpanPart, Speaker, is_instruction};

/// Longest sentence, in bytes; longer ones are cut at white space.
const LONGEST: usize = 400;

/// Longest line of a tool result that is one sentence, in bytes: in a shorter one a full stop is
/// rather a part of the line than its end.
const LINE: usize = 120;

/// A sentence, or a line of a tool result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sentence<'a> {
    pub(crate) text: &'a str,
    /// The line that it stands in.
    pub(crate) line: &'a str,
    pub(crate) speaker: Speaker,
    /// Number of its part.
    pub(crate) part: usize,
}

/// All sentences in their order. They end at a line's end, behind `.`, `!` or `?` before white
/// space, and at the full-width forms; in tool results only those of long lines do.
pub(crate) fn sentences<'a>(parts: &[SpanPart<'a>]) -> Vec<Sentence<'a>> {
    let mut sentences = Vec::new();
    for (part, SpanPart { speaker, text }) in parts.iter().enumerate() {
        let mut push = |text: &'a str, line: &'a str| {
            let text = bare(text);
            if !text.is_empty() {
                sentences.push(Sentence {
                    text,
                    line,
                    speaker: *speaker,
                    part,
                });
            }
        };
        for line in text.lines() {
            let mut start = 0;
            let mut characters = line.char_indices().peekable();
            while let Some((at, c)) = characters.next() {
                let end = at + c.len_utf8();
                let next = characters.peek().map(|(_, next)| *next);
                let before_space = next.is_none_or(char::is_whitespace);
                let ends = match c {
                    '。' | '！' | '？' => true,
                    '.' | '!' | '?' if *speaker != Speaker::Tool || line.len() > LINE => {
                        before_space && !is_abbreviation(&line[start..end])
                    }
                    _ => end - start >= LONGEST && (before_space || end - start >= 2 * LONGEST),
                };
                if ends {
                    push(&line[start..end], line);
                    start = end;
                }
            }
            push(&line[start..], line);
        }
    }
    sentences
}

impl Sentence<'_> {
    /// Whether it stands in a line with which a tool's result gives orders.
    pub(crate) fn is_order_of_a_tool(&self) -> bool {
        self.speaker == Speaker::Tool && is_instruction(self.line)
    }
}

/// A sentence without the mark of a list item before it.
fn bare(text: &str) -> &str {
    let text = text.trim();
    let marked = text
        .strip_prefix(['-', '*', '•'])
        .filter(|rest| rest.starts_with(' '));
    let text = marked.unwrap_or(text).trim_start();
    if text.chars().any(char::is_alphanumeric) {
        text
    } else {
        ""
    }
}

/// Whether the text ends with an abbreviation or with the number of a list item.
fn is_abbreviation(text: &str) -> bool {
    let word = text.trim_end_matches('.').rsplit(' ').next().unwrap_or("");
    let is_number =
        word.len() == text.trim_start().len() - 1 && word.bytes().all(|b| b.is_ascii_digit());
    text.ends_with('.')
        && (is_number || matches!(word, "e.g" | "i.e" | "etc" | "vs" | "cf" | "Dr" | "approx"))
}
