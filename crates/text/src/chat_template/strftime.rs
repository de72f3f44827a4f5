//! Python's `datetime.strftime` in the C locale.

use std::fmt::Write;

use chrono::NaiveDateTime;

/// `now.strftime(format)`. Specifiers that the C library does not know are printed as they are.
pub(super) fn format(now: NaiveDateTime, format: &str) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let specifier = specifier(&rest[at..]);
        write_specifier(&mut out, now, specifier);
        rest = &rest[at + specifier.len()..];
    }
    out + rest
}

/// `%`, perhaps a padding flag, and the letter.
fn specifier(text: &str) -> &str {
    let mut chars = text.char_indices().skip(1);
    let end = match chars.next() {
        Some((_, '-' | '_' | '0' | '^' | '#')) => chars.next(),
        other => other,
    };
    end.map_or(text, |(at, letter)| &text[..at + letter.len_utf8()])
}

fn write_specifier(out: &mut String, now: NaiveDateTime, specifier: &str) {
    let chrono_specifier = match specifier {
        "%f" => "%6f",
        "%c" => "%a %b %e %H:%M:%S %Y",
        "%x" => "%m/%d/%y",
        // A time without a zone has no name and no offset.
        "%z" | "%Z" => "",
        other => other,
    };
    let mut text = String::new();
    match write!(text, "{}", now.format(chrono_specifier)) {
        Ok(()) => out.push_str(&text),
        Err(_) => out.push_str(specifier),
    }
}
