//! Tables as text: lines with the same number of delimiters.

use super::marker;

/// Rows that stay in a skeleton beside the first, which is mostly a header.
const SAMPLES: usize = 2;

/// The first lines of the table that `text` is, with the number of its rows and the type of each
/// column. `None` if it is no table.
pub(super) fn skeleton(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.split('\n').filter(|line| !line.is_empty()).collect();
    let delimiter = delimiter(&lines)?;
    let rows: Vec<Vec<&str>> = lines[1..]
        .iter()
        .map(|line| cells(line, delimiter))
        .collect();
    let columns = cells(lines[0], delimiter).len();
    let types: Vec<&str> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column).copied());
            column_type(cells)
        })
        .collect();
    let mut out = lines[..1 + SAMPLES].join("\n");
    out.push('\n');
    out.push_str(&marker::left_out(rows.len() - SAMPLES, "row"));
    out.push_str(&format!("\ntypes: {}", types.join(&delimiter.to_string())));
    Some(out)
}

/// The character that parts columns, if nearly all of `lines` have it as often as the first.
fn delimiter(lines: &[&str]) -> Option<char> {
    if lines.len() < 5 {
        return None;
    }
    ['\t', ',', ';', '|'].into_iter().find(|delimiter| {
        let columns = cells(lines[0], *delimiter).len();
        let alike = lines
            .iter()
            .filter(|line| cells(line, *delimiter).len() == columns)
            .count();
        columns >= 3 && alike * 20 >= lines.len() * 19
    })
}

/// The cells of a row; a delimiter between double quotes parts none.
fn cells(line: &str, delimiter: char) -> Vec<&str> {
    let mut cells = Vec::new();
    let mut start = 0;
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            c if c == delimiter && !quoted => {
                cells.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    cells.push(&line[start..]);
    cells
}

fn column_type<'c>(cells: impl Iterator<Item = &'c str> + Clone) -> &'static str {
    let mut filled = cells
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .peekable();
    if filled.peek().is_none() {
        return "empty";
    }
    let (mut integers, mut numbers) = (true, true);
    for cell in filled {
        integers &= cell.parse::<i64>().is_ok();
        numbers &= cell.parse::<f64>().is_ok();
    }
    match (integers, numbers) {
        (true, _) => "integer",
        (_, true) => "number",
        _ => "text",
    }
}
