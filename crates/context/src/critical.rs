//! What a summary must say word for word: paths, addresses, identifiers, quantities, dates,
//! quotations, error codes, negations with their object, names that come up again.
//!
//! Deterministic: a model cannot judge what it has forgotten.

use std::collections::BTreeMap;

use crate::compress::is_alarm;
use crate::retrieval::words::words;
use crate::summary::{Sentence, SpanPart, Speaker, is_instruction, sentences, superseded};

mod gate;
mod scan;

#[cfg(test)]
mod tests;

pub use gate::{GateRule, Gated, gate};
pub(crate) use scan::scan;

/// Most tokens of a span: a summary of any length keeps no more.
const MOST: usize = 256;
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
}

/// A piece of a span that a summary must have.
#[derive(Clone, Debug, PartialEq)]
pub struct CriticalToken {
    /// As it stands in the span.
    pub text: String,
    /// What it is.
    pub kind: CriticalKind,
    /// How much it matters; only ratios mean something.
    pub weight: f64,
    /// The last sentence that has it, unless that is a tool's.
    pub sentence: Option<String>,
}

/// The critical tokens of a span, the heaviest first.
///
/// `later` is the text behind the span: what it names again weighs twice as much. What a tool has
/// said counts only if it is an error code, or if someone else, or `later`, names it: anything
/// else can be had by calling again. Sentences that a later one supersedes, and orders that stand
/// in tool results, do not count.
pub fn critical_tokens(parts: &[SpanPart<'_>], later: &str) -> Vec<CriticalToken> {
    let sentences = sentences(parts);
    critical_of(&sentences, &superseded(&sentences), later)
}

/// Share of the weight of `tokens` that `summary` keeps; 1 if there are none.
pub fn recall(tokens: &[CriticalToken], summary: &str) -> f64 {
    let total: f64 = tokens.iter().map(|token| token.weight).sum();
    if total == 0.0 {
        return 1.0;
    }
    let folded = summary.to_lowercase();
    let kept = tokens.iter().filter(|token| is_kept(token, &folded));
    kept.map(|token| token.weight).sum::<f64>() / total
}

/// See [`critical_tokens`]; `superseded` says which sentences are.
pub(crate) fn critical_of(
    sentences: &[Sentence<'_>],
    superseded: &[bool],
    later: &str,
) -> Vec<CriticalToken> {
    let mut mentions: BTreeMap<(CriticalKind, &str), Mentions> = BTreeMap::new();
    for (i, sentence) in sentences
        .iter()
        .enumerate()
        .filter(|(i, _)| !superseded[*i])
    {
        if sentence.speaker == Speaker::Tool && is_instruction(sentence.text) {
            continue;
        }
        let found = scan(sentence.text);
        let crowd = (found.len() as f64 / LISTING as f64).max(1.0).sqrt();
        for item in &found {
            let text = &sentence.text[item.range.clone()];
            let mentions = mentions.entry((item.kind, text)).or_default();
            mentions.add(i, sentence, crowd);
        }
    }
    let named = names(later);
    let mut tokens: Vec<(usize, CriticalToken)> = mentions
        .into_iter()
        .filter_map(|((kind, text), mentions)| {
            let later = named.contains_key(&*text.to_lowercase());
            let weight = mentions.weight(kind, later)?;
            let last = mentions.last.map(|last| sentences[last].text.to_owned());
            let token = CriticalToken {
                text: text.to_owned(),
                kind,
                weight,
                sentence: last,
            };
            Some((mentions.first, token))
        })
        .collect();
    tokens.sort_by(|(i, a), (j, b)| b.weight.total_cmp(&a.weight).then(i.cmp(j)));
    tokens.truncate(MOST);
    tokens.into_iter().map(|(_, token)| token).collect()
}

/// Whether a text, in lower case, has `token`: between word borders; a negation if most words of
/// its object stand in a line that negates.
pub(crate) fn is_kept(token: &CriticalToken, folded: &str) -> bool {
    let wanted = token.text.to_lowercase();
    if contains(folded, &wanted) {
        return true;
    }
    if token.kind != CriticalKind::Negation {
        return false;
    }
    let object = words(scan::object(&wanted));
    folded
        .lines()
        .filter(|line| scan::negates(line))
        .any(|line| {
            let line = words(line);
            let kept = object.iter().filter(|word| line.contains(word)).count();
            kept * 4 >= object.len() * 3
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
    /// The last sentence of user or assistant.
    last: Option<usize>,
    user: usize,
    assistant: usize,
    tool: usize,
    in_alarm: bool,
    /// The least crowded sentence decides.
    crowd: f64,
}

impl Mentions {
    fn add(&mut self, i: usize, sentence: &Sentence<'_>, crowd: f64) {
        if self.all() == 0 {
            self.first = i;
            self.crowd = crowd;
        }
        self.crowd = self.crowd.min(crowd);
        match sentence.speaker {
            Speaker::User => self.user += 1,
            Speaker::Assistant => self.assistant += 1,
            Speaker::Tool => self.tool += 1,
        }
        match sentence.speaker {
            Speaker::Tool => self.in_alarm |= is_alarm(sentence.text),
            Speaker::User | Speaker::Assistant => self.last = Some(i),
        }
    }

    fn all(&self) -> usize {
        self.user + self.assistant + self.tool
    }

    fn weight(&self, kind: CriticalKind, later: bool) -> Option<f64> {
        let spoken = self.user + self.assistant;
        let is_error = kind == CriticalKind::ErrorCode && self.in_alarm;
        if spoken == 0 && !later && !is_error {
            return None;
        }
        if kind == CriticalKind::Entity && (self.all() < 2 || spoken == 0) {
            return None;
        }
        let base = match kind {
            CriticalKind::Negation => 4.0,
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
        Some(base * speaker * again * if later { 2.0 } else { 1.0 } / self.crowd)
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
