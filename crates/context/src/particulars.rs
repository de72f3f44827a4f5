//! What each of many lines says that the others do not, and that other words cannot say.

use std::collections::{BTreeMap, BTreeSet};

use crate::CriticalKind;
use crate::critical::scan;
use crate::summary::{SpanPart, Speaker, sentences};

#[cfg(test)]
mod tests;

/// From here on a line has a particular of its own: one name, number or path that is rare.
pub(crate) const PARTICULAR: f64 = 0.45;

/// How much each of `lines` names, 0 to 1: paths, addresses, identifiers, quantities, dates, less
/// the more lines name something of that shape, so that the time stamps and counters of a log
/// count next to nothing (the inverse document frequency of Spärck Jones 1972, of shapes).
pub(crate) fn particulars(lines: &[&str]) -> Vec<f64> {
    let named: Vec<BTreeSet<Shape>> = lines.iter().map(|line| shapes(line)).collect();
    let mut frequency: BTreeMap<&Shape, usize> = BTreeMap::new();
    for shape in named.iter().flatten() {
        *frequency.entry(shape).or_default() += 1;
    }
    let all = (lines.len() + 1) as f64;
    let rarity = |shape: &Shape| (all / frequency[shape] as f64).ln() / all.ln();
    let share = |shapes: &BTreeSet<Shape>| {
        let missed = shapes
            .iter()
            .map(|shape| 1.0 - weight(shape.0) * rarity(shape));
        1.0 - missed.product::<f64>()
    };
    named.iter().map(share).collect()
}

/// What only a text names, to ask whether a shorter one still does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Particulars(Vec<String>);

impl Particulars {
    /// Of the lines of `text`, and the sentences of its long lines, those that name what the others
    /// do not: the paths, addresses, identifiers, quantities and dates in them.
    pub fn of(text: &str) -> Self {
        let speaker = Speaker::Tool;
        let sentences = sentences(&[SpanPart { speaker, text }]);
        let lines: Vec<&str> = sentences.iter().map(|sentence| sentence.text).collect();
        let worth = particulars(&lines);
        let rare = lines
            .iter()
            .zip(worth)
            .filter(|(_, worth)| *worth >= PARTICULAR);
        let mut names: Vec<String> = rare
            .flat_map(|(line, _)| {
                let found = scan(line).into_iter();
                let strong = found.filter(|found| weight(found.kind) > PARTICULAR);
                strong.map(|found| line[found.range].to_owned())
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    /// The share of them that stands in `text` too, 0 to 1; 1 if there are none.
    pub fn share_in(&self, text: &str) -> f64 {
        let kept = self
            .0
            .iter()
            .filter(|name| text.contains(name.as_str()))
            .count();
        match self.0.len() {
            0 => 1.0,
            all => kept as f64 / all as f64,
        }
    }
}

/// What something is, and a hash of how it looks.
type Shape = (CriticalKind, u64);

fn shapes(line: &str) -> BTreeSet<Shape> {
    let found = scan(line).into_iter();
    found
        .map(|found| (found.kind, shape(&line[found.range])))
        .collect()
}

/// A hash of `text` with every run of letters, and every run of digits, told as one.
fn shape(text: &str) -> u64 {
    let class = |byte: u8| match byte {
        b'0'..=b'9' => b'0',
        b'A'..=b'Z' | b'a'..=b'z' | 0x80.. => b'a',
        other => other,
    };
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut before = None;
    for class in text.bytes().map(class) {
        let is_run = class.is_ascii_alphanumeric() && before == Some(class);
        if !is_run {
            hash = (hash ^ u64::from(class)).wrapping_mul(0x0100_0000_01b3);
        }
        before = Some(class);
    }
    hash
}

/// What one of a kind says that nothing else does.
fn weight(kind: CriticalKind) -> f64 {
    match kind {
        CriticalKind::Path
        | CriticalKind::Url
        | CriticalKind::Identifier
        | CriticalKind::Quantity
        | CriticalKind::Date
        | CriticalKind::ErrorCode => 0.7,
        CriticalKind::Quoted => 0.5,
        CriticalKind::Negation | CriticalKind::Entity | CriticalKind::Preference => 0.3,
    }
}
