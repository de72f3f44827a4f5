//! JSON text, written piece by piece.

/// Adds a character of a JSON string.
pub(super) fn push_char(out: &mut String, c: char) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        _ => out.push(c),
    }
}

/// Adds characters of a JSON string.
pub(super) fn push_chars(out: &mut String, text: &str) {
    text.chars().for_each(|c| push_char(out, c));
}

/// Adds a JSON string.
pub(super) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    push_chars(out, text);
    out.push('"');
}
