//! The inverse of what claims to lose nothing.

use serde_json::{Map, Value};

/// A value of which tables are objects again.
pub(super) fn untabled(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(untabled).collect()),
        Value::Object(members) if members.contains_key("columns") => {
            Value::Array(rows(&members).into_iter().map(untabled).collect())
        }
        Value::Object(members) => {
            let inner = members
                .into_iter()
                .map(|(key, value)| (key, untabled(value)));
            Value::Object(inner.collect())
        }
        scalar => scalar,
    }
}

/// The objects of a table.
fn rows(table: &Map<String, Value>) -> Vec<Value> {
    let columns = table["columns"].as_array().unwrap();
    let rows = table
        .get("rows")
        .or_else(|| table.get("lines"))
        .unwrap()
        .as_array()
        .unwrap();
    let row = |row: &Value| match row {
        Value::Array(cells) => {
            assert_eq!(cells.len(), columns.len());
            let mut members = match table.get("same") {
                Some(same) => same.as_object().unwrap().clone(),
                None => Map::new(),
            };
            for (column, cell) in columns.iter().zip(cells) {
                members.insert(column.as_str().unwrap().to_owned(), cell.clone());
            }
            Value::Object(members)
        }
        other => other.clone(),
    };
    rows.iter().map(row).collect()
}

/// A text of which references are lines again.
pub(super) fn repeated(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split('\n') {
        let numbers: Vec<usize> = line
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect();
        let (from, number) = if line.starts_with("[the line above again, x") {
            (lines.len() - 1, numbers[0])
        } else if line.starts_with("[the ") && line.contains(" lines above again, x") {
            (lines.len() - numbers[0], numbers[0] * numbers[1])
        } else if line.starts_with('[') && line.contains(" lines as from line ") {
            (numbers[1] - 1, numbers[0])
        } else {
            lines.push(line.to_owned());
            continue;
        };
        for i in 0..number {
            lines.push(lines[from + i].clone());
        }
    }
    lines.join("\n")
}

/// Search results of which every line has its path again.
pub(super) fn ungrouped(text: &str) -> String {
    let mut out = String::new();
    let mut path = "";
    for line in text.split_inclusive('\n') {
        if line.as_bytes()[0].is_ascii_digit() {
            out.push_str(path);
            out.push_str(line);
        } else {
            path = line.trim_end_matches('\n');
        }
    }
    out
}
