//! What a summary must say word for word: paths, addresses, identifiers, quantities, dates,
//! quotations, error codes, negations with their object, names that come up again, preferences.
//!
//! Deterministic: a model cannot judge what it has forgotten.

use std::collections::BTreeMap;

use crate::compress::{content_words, is_alarm};
use crate::particulars::{PARTICULAR, particulars};
use crate::retrieval::words::words;
use crate::summary::{Sentence, SpanPart, Speaker, sentences, states_preference, superseded};

mod gate;
mod scan;

#[cfg(test)]
mod tests;

pub use gate::{GateRule, Gated, gate};
use scan::Found;
pub(crate) use scan::scan;

/// Most tokens of a span: a summary of any length keeps no more.
const MOST: usize = 256;
/// What a token weighs that is not required, beside one that is.
const OPTIONAL: f64 = 0.3;
/// Tokens in one sentence beyond which each counts less: it is a listing.
const LISTING: usize = 6;

/// What kind of text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CriticalKind {
    /// A file or directory.
    Path,
    /// An address with its scheme.
    Url,
    /// A name with digits, underscores, dots or inner capitals, or a number.
    Identifier,
    /// A number with its unit.
    Quantity,
    /// A date, with or without the time.
    Date,
    /// Text between quotation marks or backquotes.
    Quoted,
    /// Letters and digits, such as `E4471`.
    ErrorCode,
    /// `must not ..`, `never ..`, with what must not be done.
    Negation,
    /// A capitalised word that occurs at least twice.
    Entity,
    /// A sentence in which the user says how they like things.
    Preference,
}

/// A piece of a span that a summary must, or should, have.
#[derive(Clone, Debug, PartialEq)]
pub struct CriticalToken {
    /// As it stands in the span.
    pub text: String,
    /// What it is.
    pub kind: CriticalKind,
    /// How much it matters; only ratios mean something.
    pub weight: f64,
    /// Whether a summary must have it. What only a tool has said is kept where there is room:
    /// anything but an error can be had by calling again.
    pub is_required: bool,
    /// The last sentence that has it, a tool's only if nobody else said it.
    pub sentence: Option<String>,
}

/// The critical tokens of a span, the required ones first, then the heaviest.
///
/// `later` is the text behind the span: what it names again weighs twice as much. What a tool has
/// said is required only if it is an error code, or if someone else, or `later`, names it; of the
/// rest only what few lines of tools name is listed. Sentences that a later one supersedes, and
/// orders that stand in tool results, do not count.
pub fn critical_tokens(parts: &[SpanPart<'_>], later: &str) -> Vec<CriticalToken> {
    let sentences = sentences(parts);
    critical_of(&sentences, &superseded(&sentences), later)
}

/// Share of the weight of the required ones of `tokens` that `summary` keeps; 1 if there are none.
pub fn recall(tokens: &[CriticalToken], summary: &str) -> f64 {
    let required = || tokens.iter().filter(|token| token.is_required);
    let total: f64 = required().map(|token| token.weight).sum();
    if total == 0.0 {
        return 1.0;
    }
    let folded = summary.to_lowercase();
    let kept = required().filter(|token| is_kept(token, &folded));
    kept.map(|token| token.weight).sum::<f64>() / total
}

/// See [`critical_tokens`]; `superseded` says which sentences are.
pub(crate) fn critical_of(
    sentences: &[Sentence<'_>],
    superseded: &[bool],
    later: &str,
) -> Vec<CriticalToken> {
    let lines: Vec<&str> = sentences.iter().map(|sentence| sentence.text).collect();
    let rare = particulars(&lines);
    let mut mentions: BTreeMap<(CriticalKind, &str), Mentions> = BTreeMap::new();
    for (i, sentence) in sentences
        .iter()
        .enumerate()
        .filter(|(i, _)| !superseded[*i])
    {
        if sentence.is_order_of_a_tool() {
            continue;
        }
        let mut found = scan(sentence.text);
        if sentence.speaker == Speaker::User && states_preference(sentence.text) {
            let range = 0..sentence.text.len();
            let kind = CriticalKind::Preference;
            found.push(Found { kind, range });
        }
        let crowd = (found.len() as f64 / LISTING as f64).max(1.0).sqrt();
        for item in &found {
            let text = &sentence.text[item.range.clone()];
            let mentions = mentions.entry((item.kind, text)).or_default();
            mentions.add(i, sentence, crowd, rare[i] >= PARTICULAR);
        }
    }
    let named = names(later);
    let mut tokens: Vec<(usize, CriticalToken)> = mentions
        .into_iter()
        .filter_map(|((kind, text), mentions)| {
            let later = named.contains_key(&*text.to_lowercase());
            let weight = mentions.weight(kind, later)?;
            let last = sentences[mentions.last].text.to_owned();
            let token = CriticalToken {
                text: text.to_owned(),
                kind,
                weight,
                is_required: mentions.is_required(kind, later),
                sentence: Some(last),
            };
            Some((mentions.first, token))
        })
        .collect();
    tokens.sort_by(|(i, a), (j, b)| {
        let order = b.is_required.cmp(&a.is_required);
        order.then(b.weight.total_cmp(&a.weight)).then(i.cmp(j))
    });
    tokens.truncate(MOST);
    tokens.into_iter().map(|(_, token)| token).collect()
}

/// Whether a text, in lower case, has `token`: between word borders; a negation if most words of
/// its object stand in a line that negates; a preference if most of its words stand in one line.
pub(crate) fn is_kept(token: &CriticalToken, folded: &str) -> bool {
    let wanted = token.text.to_lowercase();
    if contains(folded, &wanted) {
        return true;
    }
    let (wanted, must_negate) = match token.kind {
        CriticalKind::Negation => (words(scan::object(&wanted)), true),
        CriticalKind::Preference => (content_words(&wanted), false),
        _ => return false,
    };
    let may = |line: &&str| !must_negate || scan::negates(line);
    folded.lines().filter(may).any(|line| {
        let line = words(line);
        let kept = wanted.iter().filter(|word| line.contains(word)).count();
        kept * 4 >= wanted.len() * 3
    })
}

fn contains(text: &str, wanted: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(wanted).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + wanted.len()..].chars().next();
        let starts = wanted.chars().next();
        let ends = wanted.chars().next_back();
        !(is_word(before) && is_word(starts) || is_word(after) && is_word(ends))
    })
}

/// Where a token was said.
#[derive(Debug, Default)]
struct Mentions {
    first: usize,
    /// The last sentence, of user or assistant if there is one.
    last: usize,
    user: usize,
    assistant: usize,
    tool: usize,
    in_alarm: bool,
    /// A sentence says it that says little else which others say, too.
    is_rare: bool,
    /// The least crowded sentence decides.
    crowd: f64,
}

impl Mentions {
    fn add(&mut self, i: usize, sentence: &Sentence<'_>, crowd: f64, is_rare: bool) {
        if self.all() == 0 {
            self.first = i;
            self.crowd = crowd;
        }
        self.crowd = self.crowd.min(crowd);
        self.is_rare |= is_rare;
        match sentence.speaker {
            Speaker::User => self.user += 1,
            Speaker::Assistant => self.assistant += 1,
            Speaker::Tool => self.tool += 1,
        }
        match sentence.speaker {
            Speaker::Tool if self.spoken() == 0 => self.last = i,
            Speaker::Tool => {}
            Speaker::User | Speaker::Assistant => self.last = i,
        }
        self.in_alarm |= sentence.speaker == Speaker::Tool && is_alarm(sentence.text);
    }

    fn all(&self) -> usize {
        self.spoken() + self.tool
    }

    fn spoken(&self) -> usize {
        self.user + self.assistant
    }

    fn is_required(&self, kind: CriticalKind, later: bool) -> bool {
        self.spoken() > 0 || later || kind == CriticalKind::ErrorCode && self.in_alarm
    }

    fn weight(&self, kind: CriticalKind, later: bool) -> Option<f64> {
        let named = match kind {
            CriticalKind::Entity => self.all() >= 2 && self.spoken() > 0,
            CriticalKind::Negation | CriticalKind::Quoted => self.is_required(kind, later),
            _ => self.is_required(kind, later) || self.is_rare,
        };
        if !named {
            return None;
        }
        let base = match kind {
            CriticalKind::Negation | CriticalKind::Preference => 4.0,
            CriticalKind::ErrorCode => 3.0,
            CriticalKind::Path | CriticalKind::Quantity => 2.0,
            CriticalKind::Entity => 1.0,
            CriticalKind::Url
            | CriticalKind::Identifier
            | CriticalKind::Date
            | CriticalKind::Quoted => 1.5,
        };
        let speaker = if self.user > 0 { 1.5 } else { 1.0 };
        let again = 1.0 + (self.all() as f64).ln();
        let needed = match (later, self.is_required(kind, later)) {
            (true, _) => 2.0,
            (false, true) => 1.0,
            (false, false) => OPTIONAL,
        };
        Some(base * speaker * again * needed / self.crowd)
    }
}

/// The critical tokens of a text, in lower case.
fn names(text: &str) -> BTreeMap<String, ()> {
    let found = text.lines().flat_map(|line| {
        let found = scan(line);
        found
            .into_iter()
            .map(|found| line[found.range].to_lowercase())
    });
    found.map(|name| (name, ())).collect()
}
