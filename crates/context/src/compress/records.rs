//! Arrays of objects as a table: every key once. Nothing is lost but the order of keys.
//!
//! `[{"a":1,"b":2,"c":0},{"a":3,"b":4,"c":0}]` becomes
//! `{"same":{"c":0},"columns":["a","b"],"rows":[[1,2],[3,4]]}`. An item with other keys stays an
//! object among the rows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::json::Json;

/// Fewest objects that make a table.
const FEWEST: usize = 3;

/// `value` with every array of like objects as a table where that is shorter.
///
/// A value that has a member `columns` somewhere is left alone: it could be taken for a table.
pub(super) fn tabled<'a>(value: &Json<'a>) -> Json<'a> {
    if is_reserved(value) {
        value.clone()
    } else {
        fold(value)
    }
}

/// The lines of a text of JSON lines as one table, its rows named `lines`.
pub(super) fn tabled_lines<'a>(lines: &[Json<'a>]) -> Option<Json<'a>> {
    if lines.iter().any(is_reserved) {
        return None;
    }
    let folded: Vec<Json<'a>> = lines.iter().map(fold).collect();
    table(&folded, "\"lines\"")
}

fn is_reserved(value: &Json<'_>) -> bool {
    match value {
        Json::Scalar(_) => false,
        Json::Array(items) => items.iter().any(is_reserved),
        Json::Object(members) => members
            .iter()
            .any(|(key, value)| key == "\"columns\"" || is_reserved(value)),
    }
}

fn fold<'a>(value: &Json<'a>) -> Json<'a> {
    match value {
        Json::Scalar(raw) => Json::Scalar(raw.clone()),
        Json::Object(members) => {
            let inner = members
                .iter()
                .map(|(key, value)| (key.clone(), fold(value)));
            Json::Object(inner.collect())
        }
        Json::Array(items) => {
            let items: Vec<Json<'a>> = items.iter().map(fold).collect();
            table(&items, "\"rows\"").unwrap_or(Json::Array(items))
        }
    }
}

/// `items` as a table, if most are objects with the same keys, none is an array (it could be taken
/// for a row), and the table is shorter.
fn table<'a>(items: &[Json<'a>], rows_key: &'static str) -> Option<Json<'a>> {
    if items.len() < FEWEST || items.iter().any(|item| matches!(item, Json::Array(_))) {
        return None;
    }
    let keys = usual_keys(items)?;
    let cells: Vec<Option<Vec<&Json<'a>>>> = items.iter().map(|item| cells(item, &keys)).collect();
    let same = same_columns(&cells, keys.len());
    let mut members = Vec::new();
    if let Some(first) = cells.iter().flatten().next() {
        let shared: Vec<(Cow<'a, str>, Json<'a>)> = (0..keys.len())
            .filter(|column| same[*column])
            .map(|column| (keys[column].clone(), first[column].clone()))
            .collect();
        if !shared.is_empty() {
            members.push(("\"same\"".into(), Json::Object(shared)));
        }
    }
    let varying = (0..keys.len()).filter(|column| !same[*column]);
    let columns = varying
        .clone()
        .map(|column| Json::Scalar(keys[column].clone()));
    members.push(("\"columns\"".into(), Json::Array(columns.collect())));
    let rows = items.iter().zip(&cells).map(|(item, cells)| match cells {
        Some(cells) => Json::Array(
            varying
                .clone()
                .map(|column| cells[column].clone())
                .collect(),
        ),
        None => item.clone(),
    });
    members.push((rows_key.into(), Json::Array(rows.collect())));
    let table = Json::Object(members);
    let before: usize = items.iter().map(|item| item.length() + 1).sum::<usize>() + 1;
    (table.length() < before).then_some(table)
}

/// The keys, in the order of the first object that has them, that at least half of `items` have
/// and no others.
fn usual_keys<'a>(items: &[Json<'a>]) -> Option<Vec<Cow<'a, str>>> {
    let mut shapes: BTreeMap<Vec<&str>, (usize, usize)> = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        if let Json::Object(members) = item {
            let mut keys: Vec<&str> = members.iter().map(|(key, _)| &**key).collect();
            keys.sort_unstable();
            shapes.entry(keys).or_insert((0, i)).0 += 1;
        }
    }
    let (keys, (number, first)) = shapes
        .into_iter()
        .max_by_key(|(_, (n, i))| (*n, usize::MAX - i))?;
    let distinct = keys.windows(2).all(|pair| pair[0] != pair[1]);
    if number < FEWEST || 2 * number < items.len() || !distinct || keys.is_empty() {
        return None;
    }
    match &items[first] {
        Json::Object(members) => Some(members.iter().map(|(key, _)| key.clone()).collect()),
        _ => None,
    }
}

/// The values of `item` in the order of `keys`, if it has these and no others.
fn cells<'v, 'a>(item: &'v Json<'a>, keys: &[Cow<'a, str>]) -> Option<Vec<&'v Json<'a>>> {
    let Json::Object(members) = item else {
        return None;
    };
    if members.len() != keys.len() {
        return None;
    }
    // Records mostly have their keys in one order.
    if members
        .iter()
        .zip(keys)
        .all(|((key, _), wanted)| key == wanted)
    {
        return Some(members.iter().map(|(_, value)| value).collect());
    }
    let value = |wanted: &Cow<'a, str>| {
        let member = members.iter().find(|(key, _)| key == wanted);
        member.map(|(_, value)| value)
    };
    keys.iter().map(value).collect()
}

/// Which columns have one value in all rows.
fn same_columns(cells: &[Option<Vec<&Json<'_>>>], columns: usize) -> Vec<bool> {
    let rows: Vec<&Vec<&Json<'_>>> = cells.iter().flatten().collect();
    (0..columns)
        .map(|column| {
            rows.windows(2)
                .all(|pair| pair[0][column] == pair[1][column])
        })
        .collect()
}
