//! Part of a JSON value, itself valid JSON: markers are strings, or members named `...`.

use std::borrow::Cow;

use super::alarm::is_alarm;
use super::focus::Focus;
use super::json::Json;
use super::marker;

/// Longest array that stays whole.
const WHOLE: usize = 8;
/// Items kept from the start and the end of a longer one.
const ENDS: (usize, usize) = (3, 2);
/// Further items that L3 keeps.
pub(super) const CHOSEN: usize = 8;
/// Longest string that stays whole, in bytes, and what stays of a longer one.
const STRING: usize = 400;
const STRING_ENDS: (usize, usize) = (200, 80);

/// `value` with long arrays reduced to their ends and to the items that report errors or share
/// words with `focus`, and long strings to their ends.
///
/// Of an array at most `chosen` items stay beside its ends; if these are more than [`CHOSEN`],
/// any items, the first ones first.
pub(super) fn sampled<'a>(value: &Json<'a>, focus: &Focus, chosen: usize) -> Json<'a> {
    match value {
        Json::Scalar(raw) if raw.len() > STRING => {
            Json::Scalar(cut_string(raw, STRING_ENDS.0, STRING_ENDS.1).into())
        }
        Json::Scalar(raw) => Json::Scalar(raw.clone()),
        Json::Object(members) => {
            let inner = members.iter();
            let inner = inner.map(|(key, value)| (key.clone(), sampled(value, focus, chosen)));
            Json::Object(inner.collect())
        }
        Json::Array(items) => Json::Array(sampled_items(items, focus, chosen)),
    }
}

/// See [`sampled`], of an array's items.
pub(super) fn sampled_items<'a>(items: &[Json<'a>], focus: &Focus, chosen: usize) -> Vec<Json<'a>> {
    if items.len() <= WHOLE {
        return items
            .iter()
            .map(|item| sampled(item, focus, chosen))
            .collect();
    }
    let keep = chosen_items(items, focus, chosen);
    let mut kept = Vec::new();
    let mut gap = 0;
    for (item, keep) in items.iter().zip(keep) {
        if keep {
            push_gap(&mut kept, gap);
            gap = 0;
            kept.push(sampled(item, focus, chosen));
        } else {
            gap += 1;
        }
    }
    kept
}

/// `value` in at most `limit` bytes: members and items in order while they fit, an array also its
/// last ones. `None` if not even a marker fits.
pub(super) fn pruned<'a>(value: &Json<'a>, limit: usize) -> Option<Json<'a>> {
    if value.length() <= limit {
        return Some(value.clone());
    }
    match value {
        Json::Scalar(raw) => {
            let room = limit.checked_sub(marker::LENGTH + 10)?;
            raw.starts_with('"')
                .then(|| Json::Scalar(cut_string(raw, room * 2 / 3, room / 3).into()))
        }
        Json::Array(items) => pruned_array(items, limit),
        Json::Object(members) => pruned_object(members, limit),
    }
}

/// See [`pruned`], of the items of an array.
pub(super) fn pruned_items<'a>(items: &[Json<'a>], limit: usize) -> Option<Vec<Json<'a>>> {
    let room = limit.checked_sub(marker::LENGTH + 10)?;
    let fitting = |room: usize, from: &mut dyn Iterator<Item = &Json<'a>>| {
        let mut used = 0;
        from.take_while(|item| {
            used += item.length() + 1;
            used <= room
        })
        .count()
    };
    let head = fitting(room * 2 / 3, &mut items.iter());
    let used: usize = items[..head].iter().map(|item| item.length() + 1).sum();
    let tail = fitting(room - used, &mut items[head..].iter().rev());
    let mut kept: Vec<Json<'a>> = items[..head].to_vec();
    let mut gap = items.len() - head - tail;
    if head + tail == 0
        && gap > 0
        && let Some(first) = pruned(&items[0], room)
    {
        kept.push(first);
        gap -= 1;
    }
    push_gap(&mut kept, gap);
    kept.extend_from_slice(&items[items.len() - tail..]);
    Some(kept)
}

/// A JSON string with `head` and `tail` bytes of its text, at most, and a marker between; whole if
/// the marker takes as much.
pub(super) fn cut_string(raw: &str, head: usize, tail: usize) -> String {
    let inner = &raw[1..raw.len() - 1];
    let units = units(inner);
    let starts = units.iter().copied().take_while(|at| *at <= head);
    let head = starts.last().unwrap_or(0);
    let earliest = inner.len().saturating_sub(tail).max(head);
    let tail = units
        .iter()
        .copied()
        .find(|at| *at >= earliest)
        .unwrap_or(inner.len());
    if tail < head + marker::LENGTH {
        return raw.to_owned();
    }
    let left_out = units.iter().filter(|at| (head..tail).contains(*at)).count();
    let marker = marker::left_out(left_out, "character");
    format!("\"{} {marker} {}\"", &inner[..head], &inner[tail..])
}

/// Where the characters of a string's raw text begin: an escape is one, a surrogate pair too.
fn units(inner: &str) -> Vec<usize> {
    let mut units = Vec::new();
    let mut at = 0;
    while at < inner.len() {
        units.push(at);
        let rest = &inner[at..];
        at += match rest.as_bytes() {
            [
                b'\\',
                b'u',
                b'd' | b'D',
                b'8' | b'9' | b'a' | b'b' | b'A' | b'B',
                ..,
            ] if rest.get(6..8) == Some("\\u") => 12,
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    units
}

fn push_gap(kept: &mut Vec<Json<'_>>, gap: usize) {
    if gap > 0 {
        kept.push(Json::plain(&marker::left_out(gap, "item")));
    }
}

/// Which items of a long array stay.
fn chosen_items(items: &[Json<'_>], focus: &Focus, chosen: usize) -> Vec<bool> {
    let texts: Vec<String> = items.iter().map(Json::minified).collect();
    let weights = focus.weights(texts.iter().map(String::as_str));
    let mut keep: Vec<bool> = (0..items.len())
        .map(|i| i < ENDS.0 || i + ENDS.1 >= items.len())
        .collect();
    let mut ranked: Vec<(f64, usize)> = texts
        .iter()
        .zip(weights)
        .enumerate()
        .map(|(i, (text, weight))| (weight + if is_alarm(text) { 1.0 } else { 0.0 }, i))
        .filter(|(weight, _)| *weight > 0.0 || chosen > CHOSEN)
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    ranked
        .iter()
        .take(chosen)
        .for_each(|(_, i)| keep[*i] = true);
    keep
}

fn pruned_array<'a>(items: &[Json<'a>], limit: usize) -> Option<Json<'a>> {
    pruned_items(items, limit.checked_sub(2)?).map(Json::Array)
}

/// Every member gets an equal share of the room that is left, so what short ones leave goes to
/// those behind them.
fn pruned_object<'a>(members: &[(Cow<'a, str>, Json<'a>)], limit: usize) -> Option<Json<'a>> {
    let mut room = limit.checked_sub(marker::LENGTH + 12)?;
    let mut kept = Vec::new();
    for (i, (key, value)) in members.iter().enumerate() {
        let around = key.len() + 2;
        let share = room / (members.len() - i);
        // A value that is short stands even beyond its share.
        let length = value.length();
        let value = if length + around <= room && length <= 40 {
            Some(value.clone())
        } else {
            share
                .checked_sub(around)
                .and_then(|share| pruned(value, share))
        };
        if let Some(value) = value {
            room = room.saturating_sub(around + value.length());
            kept.push((key.clone(), value));
        }
    }
    let gap = members.len() - kept.len();
    if gap > 0 {
        kept.push((
            "\"...\"".into(),
            Json::plain(&marker::left_out(gap, "member")),
        ));
    }
    Some(Json::Object(kept))
}
