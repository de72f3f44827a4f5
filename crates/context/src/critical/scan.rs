//! What in a text cannot be said in other words.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::CriticalKind;

/// A critical token where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: CriticalKind,
    pub(crate) range: Range<usize>,
}

/// The critical tokens of `sentence` in their order, negations behind the others. Capitalised
/// words within the sentence count as entities; whether they occur often enough is not seen here.
pub(crate) fn scan(sentence: &str) -> Vec<Found> {
    let mut found: Vec<Found> = TOKEN
        .find_iter(sentence)
        .filter_map(|token| classify(sentence, token.range()))
        .collect();
    for negation in NEGATION.find_iter(sentence) {
        let end = negation.range().start + negation.as_str().trim_end().len();
        found.push(Found {
            kind: CriticalKind::Negation,
            range: negation.start()..end,
        });
    }
    found
}

/// What follows the negating word of a negation, or all of it.
pub(crate) fn object(negation: &str) -> &str {
    match NEGATING.find(negation) {
        Some(word) => &negation[word.end()..],
        None => negation,
    }
}

/// Whether `text` has a negating word.
pub(crate) fn negates(text: &str) -> bool {
    NEGATING.is_match(text)
}

fn classify(sentence: &str, range: Range<usize>) -> Option<Found> {
    let token = &sentence[range.clone()];
    let (kind, range) = match token.as_bytes()[0] {
        b'"' | b'`' => (CriticalKind::Quoted, range.start + 1..range.end - 1),
        _ if token.contains("://") => (CriticalKind::Url, trimmed(token, range.start)),
        _ if DATE.is_match(token) => (CriticalKind::Date, trimmed(token, range.start)),
        _ if QUANTITY.is_match(token) => (CriticalKind::Quantity, range),
        _ => {
            let range = trimmed(token, range.start);
            let token = &sentence[range.clone()];
            let is_first = sentence[..range.start].trim().is_empty();
            (name_kind(token, is_first)?, range)
        }
    };
    (!range.is_empty()).then_some(Found { kind, range })
}

/// Without the punctuation that ends a sentence.
fn trimmed(token: &str, start: usize) -> Range<usize> {
    start
        ..start
            + token
                .trim_end_matches(['.', ':', '-', ',', ';', '+', '@'])
                .len()
}

/// What kind of name a run of word characters and joints is.
fn name_kind(token: &str, is_first: bool) -> Option<CriticalKind> {
    let bytes = token.as_bytes();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let upper = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    let joined = token.contains(['_', '.']) && token.len() >= 4 || token.contains("::");
    let hump = bytes
        .windows(2)
        .any(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase());
    if token.contains('/') {
        let named = digits > 0 || token.contains(['.', '_']) || token.matches('/').count() > 1;
        return named.then_some(CriticalKind::Path);
    }
    if FILE.is_match(token) {
        return Some(CriticalKind::Path);
    }
    if upper > 0
        && digits >= 3
        && token[upper..]
            .trim_start_matches('-')
            .bytes()
            .all(|b| b.is_ascii_digit())
    {
        return Some(CriticalKind::ErrorCode);
    }
    if (digits > 0 && token.len() >= 2) || joined || hump {
        return Some(CriticalKind::Identifier);
    }
    let is_name = upper > 0 && token.len() >= 3 && !is_first;
    is_name.then_some(CriticalKind::Entity)
}

/// Addresses, quotations, dates, quantities, and runs of word characters with joints. Letters of
/// all scripts: what is not ASCII white space or punctuation.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"[a-z]+://[^ \t"'<>()\[\]`]+"#,
        r#"|"[^"]{2,80}"|`[^`]{2,80}`"#,
        r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}[0-9:.]*Z?)?",
        r"|[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{2,4}",
        r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* [0-9]{1,2}(?:, [0-9]{4})?",
        r"|[0-9]{1,2}\.? (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*(?: [0-9]{4})?",
        r"|(?:[$€£] ?)?[0-9][0-9,.]*[0-9]? ?(?:%|€|(?:ms|us|ns|s|sec|secs|seconds?|min",
        r"|minutes?|h|hours?",
        r"|days?|weeks?|months?|years?|[KMGT]i?B|[kMG]bps|bytes?|tokens?|EUR|USD|GBP|CHF",
        r"|euros?|dollars?",
        r"|km|cm|mm|m|kg|g|mg|l|ml|px|Hz|[kMG]Hz|W|kW|V|°C|rows?|lines?|users?|requests?",
        r"|times|x)(?-u:\b))",
        r"|[$€£] ?[0-9][0-9,.]*",
        r##"|[^ \t!"#$%&'()*,;<=>?\[\]^`{|}\\~:。！？、，]"##,
        r##"[^ \t!"#$%&'()*,;<=>?\[\]^`{|}~。！？、，]*"##,
    ))
    .expect("the pattern is valid")
});

static DATE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{2,4}$",
        r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* [0-9]",
        r"|[0-9]{1,2}\.? (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec))",
    ))
    .expect("the pattern is valid")
});

static QUANTITY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:[$€£] ?[0-9]|[0-9][0-9,.]* ?(?:[%€°]|[A-Za-z]+)$)")
        .expect("the pattern is valid")
});

static FILE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[A-Za-z0-9_-]*[A-Za-z_][A-Za-z0-9_.-]*\.[a-z]{1,5}(?::[0-9]+)?$")
        .expect("the pattern is valid")
});

static NEGATING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?i-u:must not|mustn't|may not|never|do not|don't|does not|should not|shouldn't",
        r"|cannot|can't|avoid|not allowed to|forbidden to|no longer|without)(?-u:\b)",
    ))
    .expect("the pattern is valid")
});

/// A negating word and up to six more.
static NEGATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?i-u:must not|mustn't|may not|never|do not|don't|should not|shouldn't|avoid",
        r"|not allowed to|forbidden to|no longer)",
        r"(?: [^ \t,;:!?()]*[^ \t,;:!?().]){1,6}",
    ))
    .expect("the pattern is valid")
});
