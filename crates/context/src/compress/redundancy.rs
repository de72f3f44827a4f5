//! L1: what a reader would not miss. Terminal controls, blanks at line ends, repeated lines.

use std::borrow::Cow;

/// Longest operating system command of a terminal that is taken for one, in bytes: without a bound
/// those that have no end would each be searched for it through the whole text.
const OSC: usize = 1024;

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
            let window = &bytes[..bytes.len().min(OSC)];
            let end = window
                .iter()
                .position(|byte| matches!(byte, 0x07 | 0x1b | b'\n'));
            match end {
                Some(end) if bytes[end] == 0x07 => &rest[end + 1..],
                Some(end) if bytes[end..].starts_with(b"\x1b\\") => &rest[end + 2..],
                _ => rest,
            }
        }
        Some(b'(' | b')') if bytes.get(1).is_some_and(u8::is_ascii_alphanumeric) => &rest[2..],
        Some(0x30..=0x7e) => &rest[1..],
        _ => rest,
    }
}
