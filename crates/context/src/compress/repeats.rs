//! Lines that stood before, as a reference to them: Lempel and Ziv (1977) on lines. Lossless.
//!
//! - `[the line above again, x12]`
//! - `[the 3 lines above again, x5]`
//! - `[12 lines as from line 34 on]`, line 1 being the first of the whole text.

use std::collections::BTreeMap;

/// Fewest lines that refer to a place further up.
const FEWEST: usize = 3;
/// Longest block whose repetitions are counted.
const PERIOD: usize = 32;
/// Bytes that a reference must save: one to a place further up makes its reader search, so it must
/// be worth that.
const GAIN: usize = 12;
const FAR_GAIN: usize = 200;
/// Earlier places that are compared.
const PLACES: usize = 8;

/// `text` with repeated lines as references, or `None` if there are none, or if `text` has lines
/// that look like references.
pub(super) fn referenced(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.split('\n').collect();
    if lines.iter().any(|line| is_reference(line)) {
        return None;
    }
    let ids = identities(&lines);
    let mut out = String::with_capacity(text.len());
    let mut places = Places::new();
    let mut at = 0;
    let mut found = false;
    while at < lines.len() {
        let repeat = repetition(&ids, at).or_else(|| earlier(&ids, at, &places));
        let taken = match repeat.filter(|repeat| repeat.saves(&lines[at..])) {
            Some(repeat) => {
                found = true;
                out.push_str(&repeat.text());
                repeat.lines()
            }
            None => {
                out.push_str(lines[at]);
                1
            }
        };
        for start in at..at + taken {
            if let Some(key) = ids.get(start..start + FEWEST) {
                let known = places.entry([key[0], key[1], key[2]]).or_default();
                if known.len() < PLACES {
                    known.push(start);
                }
            }
        }
        at += taken;
        if at < lines.len() {
            out.push('\n');
        }
    }
    found.then_some(out)
}

/// Where runs of [`FEWEST`] lines begin.
type Places = BTreeMap<[usize; FEWEST], Vec<usize>>;

enum Repeat {
    /// The `period` lines above, `times` more.
    Above { period: usize, times: usize },
    /// `number` lines from the 0-based line `start` on.
    From { start: usize, number: usize },
}

impl Repeat {
    fn lines(&self) -> usize {
        match self {
            Self::Above { period, times } => period * times,
            Self::From { number, .. } => *number,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Above { period: 1, times } => format!("[the line above again, x{times}]"),
            Self::Above { period, times } => {
                format!("[the {period} lines above again, x{times}]")
            }
            Self::From { start, number } => {
                format!("[{number} lines as from line {} on]", start + 1)
            }
        }
    }

    fn saves(&self, lines: &[&str]) -> bool {
        let replaced: usize = lines[..self.lines()]
            .iter()
            .map(|line| line.len() + 1)
            .sum();
        let gain = match self {
            Self::Above { .. } => GAIN,
            Self::From { .. } => FAR_GAIN,
        };
        replaced > self.text().len() + gain
    }
}

fn is_reference(line: &str) -> bool {
    line.starts_with("[the ") && line.contains(" above again, x")
        || line.ends_with(" on]") && line.contains(" lines as from line ")
}

/// A number for each line, the same for the same line.
fn identities(lines: &[&str]) -> Vec<usize> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut next = 0;
    let identity = lines.iter().map(|line| {
        *known.entry(line).or_insert_with(|| {
            next += 1;
            next
        })
    });
    identity.collect()
}

/// The block right above `at` that goes on longest from `at`, whole times.
fn repetition(ids: &[usize], at: usize) -> Option<Repeat> {
    let mut best: Option<(usize, usize)> = None;
    for period in (1..=PERIOD.min(at)).filter(|period| ids[at - period] == ids[at]) {
        let same = (at..ids.len())
            .take_while(|i| ids[*i] == ids[i - period])
            .count();
        let times = same / period;
        if times > 0 && best.is_none_or(|(p, t)| period * times > p * t) {
            best = Some((period, times));
        }
    }
    best.map(|(period, times)| Repeat::Above { period, times })
}

/// The longest run of at least [`FEWEST`] lines that stood before.
fn earlier(ids: &[usize], at: usize, places: &Places) -> Option<Repeat> {
    let key = ids.get(at..at + FEWEST)?;
    let known = places.get(&[key[0], key[1], key[2]])?;
    let length = |start: usize| {
        let pairs = ids[start..at].iter().zip(&ids[at..]);
        pairs.take_while(|(a, b)| a == b).count()
    };
    let best = known
        .iter()
        .map(|start| (length(*start), usize::MAX - start))
        .max()?;
    (best.0 >= FEWEST).then(|| Repeat::From {
        start: usize::MAX - best.1,
        number: best.0,
    })
}
