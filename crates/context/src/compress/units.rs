//! A text in the pieces that are kept or left out: its lines, and parts of very long ones.

use super::marker;

/// Longest line that is one piece, in bytes.
const LINE: usize = 500;
/// Longest piece of a longer one.
const PIECE: usize = 240;
/// Longest line of several sentences that is one piece.
const PROSE: usize = 120;
/// Shortest sentence that is a piece: below, a full stop is rather an abbreviation's.
const SENTENCE: usize = 24;

/// A line, or part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit<'a> {
    /// Its text, without the line's end.
    pub(super) text: &'a str,
    /// Whether a line ends behind it.
    pub(super) ends_line: bool,
    /// Whether a line begins with it.
    pub(super) starts_line: bool,
}

impl Unit<'_> {
    /// Bytes in the text.
    pub(super) fn length(&self) -> usize {
        self.text.len() + usize::from(self.ends_line)
    }
}

/// The pieces of `text`; put together they are the text.
pub(super) fn units(text: &str) -> Vec<Unit<'_>> {
    let mut units = Vec::new();
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let mut rest = line;
        let mut starts_line = true;
        while let Some(border) = border(rest) {
            let (piece, behind) = rest.split_at(border);
            units.push(Unit {
                text: piece,
                ends_line: false,
                starts_line,
            });
            starts_line = false;
            rest = behind;
        }
        units.push(Unit {
            text: rest,
            ends_line: lines.peek().is_some(),
            starts_line,
        });
    }
    units
}

/// `units` with those not to `keep` replaced by markers.
pub(super) fn joined(units: &[Unit<'_>], keep: &[bool]) -> String {
    let mut out = String::new();
    let mut at = 0;
    while at < units.len() {
        if keep[at] {
            out.push_str(units[at].text);
            if units[at].ends_line {
                out.push('\n');
            }
            at += 1;
            continue;
        }
        let gap = keep[at..].iter().take_while(|keep| !**keep).count();
        push_gap(&mut out, &units[at..at + gap], at + gap == units.len());
        at += gap;
    }
    out
}

/// The marker of a gap: of whole lines on a line of its own, of parts inside the line.
fn push_gap(out: &mut String, gap: &[Unit<'_>], is_last: bool) {
    let ends = gap[gap.len() - 1].ends_line;
    let whole = gap[0].starts_line && (ends || is_last);
    let characters = || gap.iter().map(|unit| unit.text.chars().count()).sum();
    if whole {
        let lines = gap.iter().filter(|unit| unit.starts_line).count();
        // One huge line is better told by its characters.
        match lines {
            1 if gap.len() > 1 => out.push_str(&marker::left_out(characters(), "character")),
            _ => out.push_str(&marker::left_out(lines, "line")),
        }
    } else {
        if !gap[0].starts_line {
            out.push(' ');
        }
        out.push_str(&marker::left_out(characters(), "character"));
        if !ends && !is_last {
            out.push(' ');
        }
    }
    if ends {
        out.push('\n');
    }
}

/// Where to cut a line: behind its first sentence if it has several; a long one else behind the last
/// element within [`PIECE`] bytes, or the last white space or comma, or between two characters.
fn border(line: &str) -> Option<usize> {
    if line.len() <= PROSE {
        return None;
    }
    if let Some(end) = sentence_end(line) {
        return Some(end);
    }
    if line.len() <= LINE {
        return None;
    }
    let end = (0..=PIECE)
        .rev()
        .find(|at| line.is_char_boundary(*at))
        .unwrap_or(0);
    let window = &line.as_bytes()[..end];
    let last = |is_border: &dyn Fn(&[u8]) -> bool| {
        let pairs = (PIECE / 4..end).rev();
        pairs
            .map(|at| (at, &line.as_bytes()[at - 1..=at]))
            .find(|(_, pair)| is_border(pair))
    };
    let element = |pair: &[u8]| pair[0] == b'>' || b";}".contains(&pair[0]) && pair[1] <= b' ';
    let word = |pair: &[u8]| b" \t,;&".contains(&pair[0]) && pair[1] < 0x80;
    Some(match last(&element).or_else(|| last(&word)) {
        Some((at, _)) => at,
        None => window.len().max(1),
    })
}

/// Behind the first sentence that ends within [`PIECE`] bytes and before the line does.
fn sentence_end(line: &str) -> Option<usize> {
    let bytes = &line.as_bytes()[..line.len().min(PIECE)];
    let mut ends = (SENTENCE..bytes.len()).filter(|at| b".!?".contains(&bytes[at - 1]));
    ends.find(|at| bytes[*at] == b' ' && !line[*at..].trim().is_empty())
}
