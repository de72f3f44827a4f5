//! L4 of text: what there is, how much of it, and what went wrong.

use std::collections::BTreeMap;

use super::alarm::is_alarm;
use super::focus::Focus;
use super::key_lines::is_outline;
use super::templates::{groups, template};
use super::units::units;
use super::{diff, marker, matches, rows};
use crate::particulars::{PARTICULAR, particulars};

/// Most lines of each kind: declarations, errors, templates, particulars.
const MOST: usize = 40;
/// Errors of one template.
const ALARMS: usize = 2;
/// Longest line, in bytes.
const LINE: usize = 160;

/// The skeleton of `text`: of a diff its files and hunks, of a search its paths, of a table its
/// columns, of anything else declarations, headings, errors, names and numbers that stand nowhere
/// else, and one line of each frequent template, with counts.
pub(super) fn skeleton(text: &str, focus: &Focus) -> String {
    if diff::is_diff(text) {
        return diff::skeleton(text, focus);
    }
    if let Some(skeleton) = matches::skeleton(text, focus).or_else(|| rows::skeleton(text)) {
        return skeleton;
    }
    lines(text)
}

fn lines(text: &str) -> String {
    let units = units(text);
    let texts: Vec<&str> = units.iter().map(|unit| unit.text).collect();
    let mut notes: Vec<Option<usize>> = vec![None; texts.len()];
    let mut keep = vec![false; texts.len()];
    for group in groups(&texts, 5).iter().take(MOST) {
        keep[group.lines[0]] = true;
        notes[group.lines[0]] = Some(group.lines.len() - 1);
    }
    let outline = (0..texts.len()).filter(|i| is_outline(texts[*i]));
    outline.take(MOST).for_each(|i| keep[i] = true);
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    for i in (0..texts.len()).filter(|i| is_alarm(texts[*i])) {
        let template = template(texts[i]).0;
        if seen.len() < MOST || seen.contains_key(&template) {
            let number = seen.entry(template).or_default();
            *number += 1;
            keep[i] |= *number <= ALARMS;
        }
    }
    for i in most_particular(&texts) {
        keep[i] = true;
    }
    let mut out = String::new();
    for i in (0..texts.len()).filter(|i| keep[*i]) {
        let text = match units[i].starts_line {
            true => texts[i],
            false => texts[i].trim_start(),
        };
        out.push_str(&shortened(text));
        if let Some(more) = notes[i] {
            out.push_str(&format!(" [... {more} more like this]"));
        }
        out.push('\n');
    }
    let left_out = keep.iter().filter(|keep| !**keep).count();
    let all = text.chars().count();
    out.push_str(&format!(
        "{} of {all} characters in all",
        marker::left_out(left_out, "line")
    ));
    out
}

/// The lines that name what no other one does.
fn most_particular(lines: &[&str]) -> Vec<usize> {
    let worth = particulars(lines);
    let mut found: Vec<usize> = (0..lines.len())
        .filter(|i| worth[*i] >= PARTICULAR)
        .collect();
    found.sort_by(|a, b| worth[*b].total_cmp(&worth[*a]).then(a.cmp(b)));
    found.truncate(MOST);
    found
}

fn shortened(line: &str) -> String {
    if line.len() <= LINE + marker::LENGTH {
        return line.to_owned();
    }
    let end = (0..=LINE)
        .rev()
        .find(|at| line.is_char_boundary(*at))
        .unwrap_or(0);
    let left_out = line[end..].chars().count();
    format!(
        "{} {}",
        &line[..end],
        marker::left_out(left_out, "character")
    )
}
