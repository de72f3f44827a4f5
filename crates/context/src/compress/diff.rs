//! Unified diffs.

use super::focus::Focus;
use super::marker;

/// Lines of context that stay on each side of a change.
const CONTEXT: usize = 1;

/// What a line of a diff is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// `diff --git`, `---`, `+++`, and others of a file's head.
    Head,
    /// `index 1a2b..3c4d`, which says nothing to a reader.
    Index,
    /// `@@ -1,4 +1,5 @@`.
    Hunk,
    Added,
    Removed,
    Context,
}

/// Whether `text` is a unified diff.
pub(super) fn is_diff(text: &str) -> bool {
    let mut lines = text.split('\n').peekable();
    let mut is_headed = false;
    while let Some(line) = lines.next() {
        let files =
            line.starts_with("--- ") && lines.peek().is_some_and(|next| next.starts_with("+++ "));
        is_headed |= files || line.starts_with("diff --git ");
        if is_headed && line.starts_with("@@ ") {
            return true;
        }
    }
    false
}

/// `text` with less context around changes, or `None` if there is none to leave out.
pub(super) fn trimmed(text: &str) -> Option<String> {
    let lines = lines(text);
    let changes: Vec<bool> = lines
        .iter()
        .map(|(kind, _)| matches!(kind, Line::Added | Line::Removed))
        .collect();
    let near_change = |i: usize| {
        let around = i.saturating_sub(CONTEXT)..(i + CONTEXT + 1).min(changes.len());
        changes[around].contains(&true)
    };
    let mut out = String::new();
    let mut left_out = 0;
    for (i, (kind, line)) in lines.iter().enumerate() {
        match kind {
            Line::Index => left_out += 1,
            Line::Context if !near_change(i) && !marker::is_marker(line) => left_out += 1,
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    if left_out == 0 {
        return None;
    }
    out.push_str(&marker::left_out(left_out, "context line"));
    Some(out)
}

/// For each line of `text`, what it is worth beside errors and words of the focus: heads and hunks
/// stay, then changes.
pub(super) fn scores(text: &str) -> Vec<f64> {
    let score = |kind: &Line| match kind {
        Line::Head => 3.0,
        Line::Hunk => 2.0,
        Line::Added | Line::Removed => 0.5,
        Line::Index | Line::Context => 0.0,
    };
    lines(text).iter().map(|(kind, _)| score(kind)).collect()
}

/// Each file with its counts of added and removed lines, and each hunk's place; changed lines only
/// if they share words with `focus`.
pub(super) fn skeleton(text: &str, focus: &Focus) -> String {
    let lines = lines(text);
    let weights = focus.weights(lines.iter().map(|(_, line)| *line));
    let mut out = String::new();
    let (mut added, mut removed) = (0, 0);
    let mut left_out = 0;
    let flush = |out: &mut String, added: &mut usize, removed: &mut usize| {
        if *added + *removed > 0 {
            out.push_str(&format!("  +{added} -{removed} lines\n"));
        }
        (*added, *removed) = (0, 0);
    };
    for ((kind, line), weight) in lines.iter().zip(weights) {
        match kind {
            Line::Added => added += 1,
            Line::Removed => removed += 1,
            Line::Head | Line::Hunk => flush(&mut out, &mut added, &mut removed),
            Line::Index | Line::Context => {}
        }
        let is_name = line.starts_with("diff ") || line.starts_with("+++ ");
        if *kind == Line::Hunk || is_name || weight > 0.3 {
            out.push_str(line);
            out.push('\n');
        } else {
            left_out += 1;
        }
    }
    flush(&mut out, &mut added, &mut removed);
    out.push_str(&marker::left_out(left_out, "line"));
    out
}

fn lines(text: &str) -> Vec<(Line, &str)> {
    let mut in_hunk = false;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let kind = text.split('\n').map(|line| {
        let kind = match line.as_bytes() {
            [b'@', b'@', b' ', ..] => Line::Hunk,
            _ if line.starts_with("diff --git ") => Line::Head,
            [b'-', b'-', b'-', b' ', ..] | [b'+', b'+', b'+', b' ', ..] if !in_hunk => Line::Head,
            _ if line.starts_with("index ") && !in_hunk => Line::Index,
            [b'+', ..] => Line::Added,
            [b'-', ..] => Line::Removed,
            _ if in_hunk => Line::Context,
            _ => Line::Head,
        };
        in_hunk = match kind {
            Line::Hunk => true,
            Line::Head => false,
            _ => in_hunk,
        };
        (kind, line)
    });
    kind.collect()
}
