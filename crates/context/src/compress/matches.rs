//! Results of a search: `path:line:text` in each line.

use super::alarm::is_alarm;
use super::focus::Focus;
use super::marker;

/// `text` with every path once, on a line of its own before its matches, as ripgrep's
/// `--heading` has it. Lossless: `path:` and then `line:text`, a match or, with `-`, its context.
/// `None` unless every line is a match and that is shorter.
pub(super) fn grouped(text: &str) -> Option<String> {
    let matches = read(text)?;
    let mut out = String::with_capacity(text.len());
    for group in matches.chunk_by(|a, b| a.0 == b.0) {
        out.push_str(group[0].0);
        out.push_str(":\n");
        for (_, rest) in group {
            out.push_str(rest);
            out.push('\n');
        }
    }
    if !text.ends_with('\n') {
        out.pop();
    }
    (out.len() < text.len()).then_some(out)
}

/// Whether `text` has such groups.
pub(super) fn is_grouped(text: &str) -> bool {
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let is_path = line.ends_with(':') && line.contains(['/', '.']) && !line.contains(' ');
        let next = lines.peek().map_or("", |next| next);
        let digits = next.bytes().take_while(u8::is_ascii_digit).count();
        if is_path && digits > 0 && next[digits..].starts_with([':', '-']) {
            return true;
        }
    }
    false
}

/// Each path with the number of its matches; matches only if they report errors or share words
/// with `focus`. `None` unless every line of `text` is a match.
pub(super) fn skeleton(text: &str, focus: &Focus) -> Option<String> {
    let matches = read(text)?;
    let weights = focus.weights(matches.iter().map(|(_, rest)| *rest));
    let mut out = String::new();
    let mut at = 0;
    let mut left_out = 0;
    for group in matches.chunk_by(|a, b| a.0 == b.0) {
        out.push_str(&format!("{}: {} matches\n", group[0].0, group.len()));
        let chosen = group
            .iter()
            .zip(&weights[at..])
            .filter(|((_, rest), weight)| **weight > 0.5 || is_alarm(rest));
        let mut kept = 0;
        for ((_, rest), _) in chosen.take(3) {
            out.push_str(rest);
            out.push('\n');
            kept += 1;
        }
        left_out += group.len() - kept;
        at += group.len();
    }
    out.push_str(&marker::left_out(left_out, "match"));
    Some(out)
}

/// Path and rest (`12:text`) of every line; `None` if there are fewer than three, or one is not
/// that.
fn read(text: &str) -> Option<Vec<(&str, &str)>> {
    let lines: Option<Vec<(&str, &str)>> = text
        .strip_suffix('\n')
        .unwrap_or(text)
        .split('\n')
        .map(split)
        .collect();
    lines.filter(|lines| lines.len() >= 3)
}

fn split(line: &str) -> Option<(&str, &str)> {
    for (at, _) in line.match_indices(':').take(4) {
        let rest = &line[at + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let is_place = digits > 0 && matches!(rest.as_bytes().get(digits), Some(b':' | b'-'));
        let path = &line[..at];
        if is_place && !path.is_empty() && path.contains(['/', '.', '\\']) {
            let is_path =
                !path.contains(char::is_whitespace) && !path.as_bytes()[0].is_ascii_digit();
            return is_path.then_some((path, rest));
        }
    }
    None
}
