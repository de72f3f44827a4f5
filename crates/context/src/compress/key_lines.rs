//! L3: the lines that matter most, and of lines of prose the sentences.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::alarm::is_alarm;
use super::focus::Focus;
use super::templates::template;
use super::units::{Unit, joined, units};
use super::{diff, marker};
use crate::particulars::particulars;

/// Lines at each end, of a text of any length.
const ENDS: usize = 5;
/// Errors of one template that all stay; of more, these and the last.
const ALARMS: usize = 3;
/// What a line is worth that names what no other line does: less than an error, more than the
/// text's first line.
const PARTICULARS: f64 = 4.0;

/// `text` in about `limit` bytes: errors, the first and last lines, lines that share words with
/// `focus`, places (`path:line`), declarations and headings, names and numbers that
/// stand nowhere else, neighbours of errors, and what else `fill` finds room for.
pub(super) fn selected(text: &str, focus: &Focus, limit: usize, fill: bool) -> String {
    let units = units(text);
    let mut scores = scores(text, &units, focus);
    if fill {
        // From the start on: what is introduced first is referred to later.
        let n = units.len() as f64;
        for (i, score) in scores.iter_mut().enumerate() {
            *score += 1e-3 * (1.0 - i as f64 / n);
        }
    }
    let mut keep = taken(&units, &scores, limit);
    close_gaps(&units, &mut keep);
    joined(&units, &keep)
}

/// Whether `line` declares something or is a heading.
pub(super) fn is_outline(line: &str) -> bool {
    OUTLINE.is_match(line)
}

/// The units with the best scores above 0 in `limit` bytes, markers included.
fn taken(units: &[Unit<'_>], scores: &[f64], limit: usize) -> Vec<bool> {
    let mut ranked: Vec<usize> = (0..units.len()).filter(|i| scores[*i] > 0.0).collect();
    ranked.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    let mut keep = vec![false; units.len()];
    // Every kept run but one that ends the text has a gap behind it.
    let mut used = marker::LENGTH;
    for i in ranked {
        let beside = (i > 0 && keep[i - 1]) || (i == 0);
        let before = keep.get(i + 1).is_none_or(|next| *next);
        let gap = match (beside, before) {
            (true, true) => 0,
            (false, false) => marker::LENGTH,
            _ => 0,
        };
        let bytes = units[i].length() + gap;
        if used + bytes <= limit {
            used += bytes;
            keep[i] = true;
        }
    }
    keep
}

/// Keeps what takes no more room than its marker.
fn close_gaps(units: &[Unit<'_>], keep: &mut [bool]) {
    let mut at = 0;
    while at < keep.len() {
        if keep[at] {
            at += 1;
            continue;
        }
        let gap = keep[at..].iter().take_while(|keep| !**keep).count();
        let bytes: usize = units[at..at + gap].iter().map(Unit::length).sum();
        // A gap that is the whole text stays one: there was no room for anything.
        if bytes < marker::LENGTH && gap < keep.len() {
            keep[at..at + gap].fill(true);
        }
        at += gap;
    }
}

fn scores(text: &str, units: &[Unit<'_>], focus: &Focus) -> Vec<f64> {
    let n = units.len();
    let mut scores = focus.weights(units.iter().map(|unit| unit.text));
    let alarms = alarms(units);
    let texts: Vec<&str> = units.iter().map(|unit| unit.text).collect();
    let particulars = particulars(&texts);
    for (i, unit) in units.iter().enumerate() {
        scores[i] = (3.0 * scores[i]).min(5.0) + alarms[i] + PARTICULARS * particulars[i];
        let from_end = i.min(n - 1 - i);
        if from_end < ENDS {
            scores[i] += 2.0 - 0.2 * from_end as f64;
        }
        if PLACE.is_match(unit.text) {
            scores[i] += 1.5;
        }
        if is_outline(unit.text) {
            scores[i] += 1.0;
        }
        if marker::is_marker(unit.text) {
            scores[i] += 2.0;
        }
    }
    let strong: Vec<bool> = scores.iter().map(|score| *score >= 3.0).collect();
    for i in 0..n {
        if (i > 0 && strong[i - 1]) || strong.get(i + 1) == Some(&true) {
            scores[i] += 0.8;
        }
    }
    if diff::is_diff(text) {
        let lines = diff::scores(text);
        let mut line = 0;
        for (i, unit) in units.iter().enumerate() {
            line += usize::from(i > 0 && unit.starts_line);
            scores[i] += lines.get(line).copied().unwrap_or(0.0);
        }
    }
    // Empty lines say nothing, wherever they stand.
    for (score, unit) in scores.iter_mut().zip(units) {
        if unit.text.trim().is_empty() {
            *score = 0.0;
        }
    }
    scores
}

/// What each unit is worth as an error: less if there are many alike.
fn alarms(units: &[Unit<'_>]) -> Vec<f64> {
    let mut worth = vec![0.0; units.len()];
    let mut seen: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for (i, unit) in units
        .iter()
        .enumerate()
        .filter(|(_, unit)| is_alarm(unit.text))
    {
        let (number, last) = seen.entry(template(unit.text).0).or_insert((0, i));
        *number += 1;
        *last = i;
        worth[i] = if *number <= ALARMS { 5.0 } else { 0.5 };
    }
    for (_, last) in seen.into_values() {
        worth[last] = 5.0;
    }
    worth
}

/// A file with a line number, as compilers, stack traces and searches write it.
static PLACE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"[A-Za-z0-9_/-]+\.[A-Za-z]{1,5}:[0-9]+|(?:line|:)[ ]?[0-9]+, in ",
        r#"|File "[^"]+", line [0-9]+"#,
    ))
    .expect("the pattern is valid")
});

/// Declarations of common languages, Markdown headings, sections, with or without a line number.
static OUTLINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^[ \t]*(?:[0-9]+[\t:|→-][ \t]?)?[ \t]*(?:",
        r"(?:(?:pub|export|default|async|static|public|private|protected|abstract|final|unsafe)",
        r"(?:\([a-z]+\))? )*",
        r"(?:fn|def|class|struct|enum|trait|impl|interface|type|function|func|module|mod|namespace",
        r"|package|macro_rules!)[ <]",
        r"|#{1,6} |\[[A-Za-z][^\]]*\]$|<h[1-6]|<title)",
    ))
    .expect("the pattern is valid")
});
