//! L1: what a reader would not miss. Terminal controls, blanks at line ends, repeated lines.

use std::borrow::Cow;

/// `text` without terminal controls and blanks at line ends, with at most one empty line in a row.
/// `None` if there was nothing of that.
///
/// A carriage return alone, with which progress bars overwrite their line, ends the line.
pub(super) fn plain(text: &str) -> Option<String> {
    let visible = visible(text);
    let mut out = String::with_capacity(visible.len());
    let mut empty = 0;
    let mut lines = visible.split(['\n', '\r']).peekable();
    while let Some(line) = lines.next() {
        let line = line.trim_end_matches([' ', '\t']);
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 3 && !(line.is_empty() && empty > 1) {
            out.push_str(line);
            if lines.peek().is_some() {
                out.push('\n');
            }
        }
    }
    (out != text).then_some(out)
}

/// `text` without the escape sequences of terminals (ECMA-48: CSI, OSC and two-byte ones), with
/// line ends as `\n`.
fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(['\u{1b}', '\r']) {
        return text.into();
    }
    let text = text.replace("\r\n", "\n");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\u{1b}') {
        out.push_str(&rest[..at]);
        rest = after_escape(&rest[at + 1..]);
    }
    out.push_str(rest);
    out.into()
}

/// What follows an escape sequence, `rest` being what follows its escape character. A sequence
/// that has no end is text, but for the escape character.
fn after_escape(rest: &str) -> &str {
    let bytes = rest.as_bytes();
    match bytes.first() {
        Some(b'[') => {
            let end = bytes[1..]
                .iter()
                .position(|byte| !(0x20..0x40).contains(byte));
            match end {
                Some(end) if (0x40..0x7f).contains(&bytes[end + 1]) => &rest[end + 2..],
                _ => rest,
            }
        }
        Some(b']') => {
            let bell = rest.find('\u{7}').map(|at| (at, at + 1));
            let string_end = rest.find("\u{1b}\\").map(|at| (at, at + 2));
            let line = rest.find('\n').unwrap_or(rest.len());
            match bell.into_iter().chain(string_end).min() {
                Some((at, end)) if at < line => &rest[end..],
                _ => rest,
            }
        }
        Some(b'(' | b')') if bytes.get(1).is_some_and(u8::is_ascii_alphanumeric) => &rest[2..],
        Some(0x30..=0x7e) => &rest[1..],
        _ => rest,
    }
}
