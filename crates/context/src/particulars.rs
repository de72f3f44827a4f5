//! What each of many lines says that the others do not, and that other words cannot say.

use std::collections::{BTreeMap, BTreeSet};

use crate::CriticalKind;
use crate::critical::scan;

#[cfg(test)]
mod tests;

/// From here on a line has a particular of its own: one name, number or path that is rare.
pub(crate) const PARTICULAR: f64 = 0.35;

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
        CriticalKind::Negation | CriticalKind::Entity => 0.3,
    }
}
