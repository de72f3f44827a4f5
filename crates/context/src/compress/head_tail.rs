//! L5: the start and the end.

use super::json::{Document, minified_lines};
use super::units::{Unit, joined, units};
use super::{marker, sample};

/// Two thirds of about `limit` bytes from the start of `text` and one third from its end, cut at
/// lines, at sentences of long lines, between characters of long words.
pub(super) fn text(text: &str, limit: usize) -> String {
    let units = units(text);
    let room = limit.saturating_sub(marker::LENGTH);
    let fitting = |room: usize, from: &mut dyn Iterator<Item = &Unit<'_>>| {
        let mut used = 0;
        from.take_while(|unit| {
            used += unit.length();
            used <= room
        })
        .count()
    };
    let head = fitting(room * 2 / 3, &mut units.iter());
    let used: usize = units[..head].iter().map(Unit::length).sum();
    let tail = fitting(room - used, &mut units[head..].iter().rev());
    if head + tail == 0 {
        return characters(text, room);
    }
    let keep: Vec<bool> = (0..units.len())
        .map(|i| i < head || i + tail >= units.len())
        .collect();
    joined(&units, &keep)
}

/// Start and end of a JSON value, as JSON; `None` if not even a marker fits.
pub(super) fn json(document: &Document<'_>, limit: usize) -> Option<String> {
    match document {
        Document::Value(value) => sample::pruned(value, limit).map(|value| value.minified()),
        Document::Lines(lines) => {
            sample::pruned_items(lines, limit).map(|kept| minified_lines(&kept))
        }
    }
}

/// Start and end of a text whose first line does not fit.
fn characters(text: &str, room: usize) -> String {
    let down = |at: usize| {
        (0..=at)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0)
    };
    let head = down(room * 2 / 3);
    let tail = text.len() - room / 3;
    let tail = (tail..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    let marker = marker::left_out(text[head..tail].chars().count(), "character");
    match head + text.len() - tail {
        0 => marker,
        _ => format!("{} {marker} {}", &text[..head], &text[tail..]),
    }
}
