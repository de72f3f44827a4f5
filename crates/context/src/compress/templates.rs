//! Lines that differ only in numbers and names with digits: logs, listings, progress.
//!
//! A line's template is what is left of it when every run of letters and digits that has a digit
//! is masked; a simple form of what log parsers such as Drain (He et al. 2017) do.

use std::collections::BTreeMap;

use super::alarm::is_alarm;
use super::key_lines::is_outline;
use super::marker;

/// Lines of one template that stand for themselves; of more, the first and the last stay.
const FEWEST: usize = 4;
/// Share of a text's lines that must have such templates: others, such as source code, are no log.
const COVERED: f64 = 0.25;
/// A text with more than one declaration in so many lines is source code, too.
const DECLARED: usize = 50;

/// Lines of one template.
pub(super) struct Group {
    /// Their numbers, ascending.
    pub(super) lines: Vec<usize>,
}

/// The template of `line`: a hash of what is not masked, and whether something is.
pub(super) fn template(line: &str) -> (u64, bool) {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut mix = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || *byte == b'_';
    let mut rest = line.as_bytes();
    let mut masked = false;
    while let [first, tail @ ..] = rest {
        let run = rest.iter().take_while(|byte| is_word(byte)).count();
        if run == 0 {
            if !first.is_ascii_whitespace() {
                mix(*first);
            }
            rest = tail;
            continue;
        }
        if rest[..run].iter().any(u8::is_ascii_digit) {
            masked = true;
            mix(0);
        } else {
            rest[..run].iter().for_each(|byte| mix(*byte));
            mix(1);
        }
        rest = &rest[run..];
    }
    (hash, masked)
}

/// Groups of at least `fewest` lines with one template, in the order of their first lines. Lines
/// that report errors, have no words or nothing masked belong to none.
pub(super) fn groups(lines: &[&str], fewest: usize) -> Vec<Group> {
    let mut found: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (i, line) in lines.iter().enumerate() {
        let letters = line.bytes().filter(u8::is_ascii_alphabetic).take(3).count();
        if line.len() < 12 || letters < 3 || marker::is_marker(line) || is_alarm(line) {
            continue;
        }
        if let (template, true) = template(line) {
            found.entry(template).or_default().push(i);
        }
    }
    let mut groups: Vec<Group> = found
        .into_values()
        .filter(|lines| lines.len() >= fewest)
        .map(|lines| Group { lines })
        .collect();
    groups.sort_by_key(|group| group.lines[0]);
    groups
}

/// `text` with the first and the last line of each template and the number of the others between.
/// `None` if it is no log, or if there is nothing to gain.
pub(super) fn mined(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.split('\n').collect();
    let declarations = lines.iter().filter(|line| is_outline(line)).count();
    let is_mined = lines.iter().any(|line| marker::is_marker(line));
    if is_mined || declarations * DECLARED > lines.len() {
        return None;
    }
    let groups = groups(&lines, FEWEST);
    let covered: usize = groups.iter().map(|group| group.lines.len()).sum();
    if (covered as f64) < COVERED * lines.len() as f64 {
        return None;
    }
    let mut keep = vec![true; lines.len()];
    let mut notes: Vec<Option<String>> = vec![None; lines.len()];
    for Group { lines: numbers } in &groups {
        let inner = &numbers[1..numbers.len() - 1];
        let note = marker::left_out(inner.len(), "line") + " like this";
        let bytes: usize = inner.iter().map(|i| lines[*i].len() + 1).sum();
        if bytes > note.len() + 8 {
            inner.iter().for_each(|i| keep[*i] = false);
            notes[numbers[0]] = Some(note);
        }
    }
    let mut out = String::with_capacity(text.len() / 2);
    let mut is_first = true;
    for (i, line) in lines.iter().enumerate().filter(|(i, _)| keep[*i]) {
        if !is_first {
            out.push('\n');
        }
        is_first = false;
        out.push_str(line);
        if let Some(note) = &notes[i] {
            out.push('\n');
            out.push_str(note);
        }
    }
    (out.len() < text.len()).then_some(out)
}
