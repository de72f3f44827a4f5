//! Text that changes from request to request, found where it must not: in the stable prefix.
//!
//! A date in the system message makes every token behind it uncached once a day, a request id
//! always. What is found is a hint for a warning, so a missed case is cheaper than a false alarm:
//! examples, versions, paths and dates that are not said to be today's are left alone.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VolatileKind {
    /// `2026-11-21T09:55:00Z`, with a blank for the T, a fraction, an offset, or without seconds.
    IsoDateTime,
    /// `2026-11-21`.
    IsoDate,
    /// `Saturday, November 21, 2026` or `21 Nov 2026`.
    WrittenDate,
    /// `09:55:00`, seconds included.
    ClockTime,
    /// Seconds (10 digits) or milliseconds (13 digits) since 1970, of the years 2017 to 2033.
    UnixTimestamp,
    /// `8-4-4-4-12` hexadecimal digits.
    Uuid,
    /// At least 16 hexadecimal digits, letters and decimals among them.
    HexId,
    /// A number that counts requests, turns or sessions: `request #123`.
    Counter,
}

/// A place that is likely to read otherwise in the next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolatileText {
    /// What it is.
    pub kind: VolatileKind,
    /// Where it is: bytes of the text.
    pub range: Range<usize>,
}

/// A form that volatile text has.
struct Pattern {
    kind: VolatileKind,
    regex: Regex,
}

/// From the more to the less specific: the first one that claims a place keeps it. White space in
/// the patterns is layout, a blank is `\x20`; `<month>` stands for [`MONTH`].
const PATTERNS: [(VolatileKind, &str); 8] = [
    (
        VolatileKind::IsoDateTime,
        r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])
        [Tt\x20](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?
        (?:\x20?(?:Z|z|UTC|GMT|[+-]\d\d:?\d\d))?",
    ),
    (
        VolatileKind::IsoDate,
        r"20\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])",
    ),
    (
        VolatileKind::WrittenDate,
        r"(?i)(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,?\x20)?
        (?:<month>\x20[0-3]?\d(?:st|nd|rd|th)?|[0-3]?\d(?:st|nd|rd|th)?\x20<month>),?\x2020\d\d",
    ),
    (
        VolatileKind::ClockTime,
        r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:[.,]\d{1,9})?",
    ),
    (
        VolatileKind::Uuid,
        r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    ),
    (VolatileKind::HexId, r"(?:0x)?[0-9A-Fa-f]{16,}"),
    (
        VolatileKind::UnixTimestamp,
        r"1[5-9]\d{11}|1[5-9]\d{8}(?:\.\d{1,9})?",
    ),
    (
        VolatileKind::Counter,
        r"(?i)(?:request|req|session|conversation|turn|message|msg|invocation|query)s?[\x20_-]?
        (?:(?:number|no\.?|id|count(?:er)?)(?:\x20is\x20|[\x20:=\#]{1,3})|\#)\d+",
    ),
];

const MONTH: &str = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?
    |aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?";

static COMPILED: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let compile = |(kind, pattern): &(VolatileKind, &str)| {
        let pattern = pattern.replace("<month>", MONTH);
        Pattern {
            kind: *kind,
            // Unicode classes would find digits of other scripts, and cost tables.
            regex: Regex::new(&format!("(?x-u){pattern}")).expect("the patterns are constant"),
        }
    };
    PATTERNS.iter().map(compile).collect()
});

/// What the words before a place say of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cue {
    /// It is of this moment.
    Present,
    /// It stays as it is.
    Fixed,
    /// It is a date or a time, of whatever.
    Label,
    /// Nothing.
    None,
}

/// `Today is 2026-11-21`.
const PRESENT_CUES: [&str; 4] = ["today", "now", "current", "currently"];

/// `knowledge cutoff: 2024-06-01`, `e.g. 14:30:00`, `commit 8f3a..`.
const FIXED_CUES: [&str; 33] = [
    "after",
    "api",
    "before",
    "between",
    "birthday",
    "born",
    "checksum",
    "commit",
    "cutoff",
    "deadline",
    "digest",
    "effective",
    "eg",
    "example",
    "examples",
    "expires",
    "format",
    "founded",
    "g",
    "like",
    "md5",
    "published",
    "release",
    "released",
    "revision",
    "sha1",
    "sha256",
    "sha512",
    "signed",
    "since",
    "such",
    "until",
    "version",
];

/// `Date: 2026-11-21`.
const LABEL_CUES: [&str; 4] = ["date", "day", "time", "timestamp"];

/// Words of the line before a place that are searched for a cue.
const CUE_WORDS: usize = 4;

/// Places of `text`, which is to be part of a stable prefix, that are likely to change from request
/// to request: in order, none overlapping.
pub fn volatile_text(text: &str) -> Vec<VolatileText> {
    let mut found: Vec<VolatileText> = Vec::new();
    for Pattern { kind, regex } in COMPILED.iter() {
        for place in regex.find_iter(text) {
            let range = place.range();
            if stands_alone(text, *kind, &range) {
                found.push(VolatileText { kind: *kind, range });
            }
        }
    }
    drop_enumerations(text, &mut found);
    // The sort is stable, so that of two at one place the more specific one stays.
    found.sort_by_key(|place| place.range.start);
    let mut end = 0;
    found.retain(|place| {
        let is_free = place.range.start >= end;
        if is_free {
            end = place.range.end;
        }
        is_free
    });
    // What is left alone still claims its place: the time in a fixed date is fixed as well.
    found.retain(|place| is_volatile(text, place));
    found
}

impl VolatileKind {
    /// Its name in reports and warnings.
    pub fn name(self) -> &'static str {
        match self {
            Self::IsoDateTime => "iso_datetime",
            Self::IsoDate => "iso_date",
            Self::WrittenDate => "written_date",
            Self::ClockTime => "clock_time",
            Self::UnixTimestamp => "unix_timestamp",
            Self::Uuid => "uuid",
            Self::HexId => "hex_id",
            Self::Counter => "counter",
        }
    }
}

/// Whether the place is a word of its own and no part of a longer name, path, number or version.
fn stands_alone(text: &str, kind: VolatileKind, range: &Range<usize>) -> bool {
    let before = text[..range.start].chars().next_back();
    let mut rest = text[range.end..].chars();
    let (after, beyond) = (rest.next(), rest.next());
    let joins = |c: char| c.is_alphanumeric() || matches!(c, '-' | '/' | '\\');
    // An id may follow a prefix: `req_8f3a..`, `trace-8f3a..`.
    let is_id = matches!(kind, VolatileKind::Uuid | VolatileKind::HexId);
    let joins_before = match before {
        Some('_' | '-' | '/' | ':') if is_id => false,
        Some('.' | '_' | '$' | '+' | ':') => true,
        Some(before) => joins(before),
        None => false,
    };
    let joins_after = match after {
        // A full stop ends a sentence, a colon or a comma a clause, unless something follows.
        Some('.' | ',' | ':') => beyond.is_some_and(char::is_alphanumeric),
        Some('/') if is_id => false,
        Some('_' | '%') => true,
        Some(after) => joins(after),
        None => false,
    };
    !joins_before && !joins_after
}

fn is_volatile(text: &str, place: &VolatileText) -> bool {
    let VolatileText { kind, range } = place;
    let found = &text[range.clone()];
    let cue = cue(text, range.start);
    if cue == Cue::Fixed {
        return false;
    }
    match kind {
        VolatileKind::IsoDate | VolatileKind::WrittenDate => match cue {
            Cue::Present | Cue::Label => true,
            Cue::Fixed | Cue::None => is_alone_on_line(text, range),
        },
        // Midnight is what examples have.
        VolatileKind::IsoDateTime => {
            let time = found.get("2026-11-21T".len()..).unwrap_or_default();
            cue == Cue::Present || !time.starts_with("00:00")
        }
        // A placeholder repeats one digit.
        VolatileKind::Uuid => distinct_digits(found) >= 4,
        VolatileKind::HexId => {
            let digits = found.strip_prefix("0x").unwrap_or(found);
            let has_two = |test: fn(&u8) -> bool| digits.bytes().filter(test).count() >= 2;
            distinct_digits(digits) >= 6
                && has_two(u8::is_ascii_digit)
                && has_two(u8::is_ascii_alphabetic)
        }
        VolatileKind::ClockTime | VolatileKind::UnixTimestamp | VolatileKind::Counter => true,
    }
}

/// What the words before a position, on its line, say; the nearest one that says much decides.
fn cue(text: &str, start: usize) -> Cue {
    let line = text[..start].rsplit('\n').next().unwrap_or_default();
    let words = line.split(|c: char| !c.is_alphanumeric());
    let nearest = words.filter(|word| !word.is_empty()).rev().take(CUE_WORDS);
    let mut cue = Cue::None;
    for word in nearest.map(str::to_ascii_lowercase) {
        let is_among = |cues: &[&str]| cues.contains(&word.as_str());
        if is_among(&PRESENT_CUES) {
            return Cue::Present;
        }
        if is_among(&FIXED_CUES) {
            return Cue::Fixed;
        }
        if is_among(&LABEL_CUES) {
            cue = Cue::Label;
        }
    }
    cue
}

fn is_alone_on_line(text: &str, range: &Range<usize>) -> bool {
    let before = text[..range.start].rsplit('\n').next();
    let after = text[range.end..].split('\n').next();
    let is_empty = |part: Option<&str>| !part.unwrap_or_default().contains(char::is_alphanumeric);
    is_empty(before) && is_empty(after)
}

fn distinct_digits(text: &str) -> u32 {
    let digits = text.chars().filter_map(|c| c.to_digit(16));
    digits
        .fold(0u16, |seen, digit| seen | 1 << digit)
        .count_ones()
}

/// Takes out counters whose word has several numbers: headings of examples, not a count.
fn drop_enumerations(text: &str, found: &mut Vec<VolatileText>) {
    let word_and_number = |place: &VolatileText| {
        let counter = &text[place.range.clone()];
        let word = counter.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = &counter[word.len()..];
        (word.to_ascii_lowercase(), number.to_owned())
    };
    let mut numbers: BTreeMap<String, String> = BTreeMap::new();
    let mut several: Vec<String> = Vec::new();
    let is_counter = |place: &&VolatileText| place.kind == VolatileKind::Counter;
    for place in found.iter().filter(is_counter) {
        let (word, number) = word_and_number(place);
        if numbers.get(&word).is_some_and(|other| *other != number) {
            several.push(word.clone());
        }
        numbers.insert(word, number);
    }
    found.retain(|place| {
        place.kind != VolatileKind::Counter || !several.contains(&word_and_number(place).0)
    });
}

#[cfg(test)]
mod tests;
