//! A JSON value without its values: keys, types and counts. Itself valid JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::alarm::is_alarm;
use super::json::{Document, Json};
use super::sample::cut_string;

/// Nesting below which only sizes are told.
const DEEPEST: usize = 8;
/// Keys of an object that are told.
const KEYS: usize = 40;
/// What stays of a string that reports an error, in bytes.
const ALARM: usize = 160;

/// `{"left_out":"1204 values","skeleton":..}`.
pub(super) fn shape<'a>(document: &Document<'a>) -> Json<'a> {
    let (values, skeleton) = match document {
        Document::Value(value) => (value.scalars(), skeleton(value, 0)),
        Document::Lines(lines) => {
            let values = lines.iter().map(Json::scalars).sum();
            (values, array(&lines.iter().collect::<Vec<_>>(), 0, "line"))
        }
    };
    Json::Object(vec![
        (
            "\"left_out\"".into(),
            Json::plain(&counted(values, "value")),
        ),
        ("\"skeleton\"".into(), skeleton),
    ])
}

fn skeleton<'a>(value: &Json<'a>, depth: usize) -> Json<'a> {
    match value {
        Json::Scalar(raw) if raw.starts_with('"') && is_alarm(raw) => {
            Json::Scalar(cut_string(raw, ALARM, 0).into())
        }
        Json::Scalar(raw) => Json::plain(kind(raw)),
        Json::Array(items) => array(&items.iter().collect::<Vec<_>>(), depth, "item"),
        Json::Object(members) => object(members.iter().map(|(k, v)| (k, vec![v])).collect(), depth),
    }
}

/// `["120 items", shape of them]`; `"120 integers"` for scalars of one type.
fn array<'a>(items: &[&Json<'a>], depth: usize, noun: &str) -> Json<'a> {
    let count = counted(items.len(), noun);
    if items.is_empty() || depth >= DEEPEST {
        return Json::plain(&count);
    }
    let kinds: Vec<&str> = items.iter().map(|item| type_name(item)).collect();
    let alike = kinds.windows(2).all(|pair| pair[0] == pair[1]);
    let count = match (alike, kinds[0]) {
        (true, scalar) if !matches!(scalar, "object" | "array") => {
            return Json::plain(&counted(items.len(), scalar));
        }
        (true, _) => count,
        (false, _) => format!("{count} of mixed types"),
    };
    Json::Array(vec![Json::plain(&count), merged(items, depth + 1)])
}

/// One shape for all of `items`.
fn merged<'a>(items: &[&Json<'a>], depth: usize) -> Json<'a> {
    let mut members: Vec<(&Cow<'a, str>, Vec<&Json<'a>>)> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let objects = items.iter().filter_map(|item| match item {
        Json::Object(members) => Some(members),
        _ => None,
    });
    for (key, value) in objects.flatten() {
        let place = *places.entry(key).or_insert(members.len());
        match members.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => members.push((key, vec![value])),
        }
    }
    match members.is_empty() {
        true => skeleton(items[0], depth),
        false => object(members, depth),
    }
}

/// An object's shape, given the values that each key has in the objects that it stands for.
fn object<'a>(members: Vec<(&Cow<'a, str>, Vec<&Json<'a>>)>, depth: usize) -> Json<'a> {
    if depth >= DEEPEST {
        return Json::plain(&counted(members.len(), "member"));
    }
    let more = members.len().saturating_sub(KEYS);
    let mut shapes: Vec<(Cow<'a, str>, Json<'a>)> = members
        .into_iter()
        .take(KEYS)
        .map(|(key, values)| (key.clone(), column(&values, depth + 1)))
        .collect();
    if more > 0 {
        let marker = super::marker::left_out(more, "member");
        shapes.push(("\"...\"".into(), Json::plain(&marker)));
    }
    Json::Object(shapes)
}

/// The shape of the values that one key has.
fn column<'a>(values: &[&Json<'a>], depth: usize) -> Json<'a> {
    let alarm = values.iter().find(|value| match value {
        Json::Scalar(raw) => raw.starts_with('"') && is_alarm(raw),
        _ => false,
    });
    let value = alarm.copied().unwrap_or(values[0]);
    let alike = values
        .iter()
        .all(|other| type_name(other) == type_name(value));
    match (alike, value) {
        (true, Json::Object(_)) => merged(values, depth),
        (false, Json::Scalar(_)) if alarm.is_none() => {
            let mut kinds: Vec<&str> = values.iter().map(|value| type_name(value)).collect();
            kinds.sort_unstable();
            kinds.dedup();
            Json::plain(&kinds.join(" or "))
        }
        _ => skeleton(value, depth),
    }
}

fn type_name<'j>(value: &'j Json<'_>) -> &'j str {
    match value {
        Json::Scalar(raw) => kind(raw),
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn kind(raw: &str) -> &'static str {
    match raw.as_bytes()[0] {
        b'"' => "string",
        b't' | b'f' => "boolean",
        b'n' => "null",
        _ if raw.contains(['.', 'e', 'E']) => "number",
        _ => "integer",
    }
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
