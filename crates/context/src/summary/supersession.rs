//! Statements that a later one has replaced.

use std::sync::LazyLock;

use regex::Regex;

use super::{Sentence, Speaker};
use crate::CriticalKind;
use crate::compress::content_words;
use crate::critical::scan;

/// Latest changes that are looked at: of more, the older ones are themselves replaced or settled.
const CHANGES: usize = 64;

/// Which of `sentences` a later one supersedes.
///
/// A later sentence does so if it says that something changed (`changed to`, `instead`,
/// `no longer`, `now`), and names the old value, or gives another value to what both speak of. A
/// user's statement is superseded by the user alone, and a tool supersedes nothing.
pub(crate) fn superseded(sentences: &[Sentence<'_>]) -> Vec<bool> {
    let mut superseded = vec![false; sentences.len()];
    let changes = (0..sentences.len())
        .rev()
        .filter(|i| sentences[*i].speaker != Speaker::Tool && CHANGE.is_match(sentences[*i].text));
    let changes: Vec<usize> = changes.take(CHANGES).collect();
    let Some(last) = changes.first().copied() else {
        return superseded;
    };
    let statements: Vec<Statement<'_>> = sentences[..=last].iter().map(Statement::new).collect();
    for change in changes {
        let old = old_values(sentences[change].text);
        for earlier in 0..change {
            let may = match sentences[earlier].speaker {
                Speaker::User => sentences[change].speaker == Speaker::User,
                Speaker::Assistant => true,
                Speaker::Tool => false,
            };
            let is_replaced = || {
                let (before, after) = (&statements[earlier], &statements[change]);
                before.has(&old) || before.is_revalued_by(after) || before.is_ended_by(after)
            };
            superseded[earlier] |= may && is_replaced();
        }
    }
    superseded
}

/// What a sentence speaks of, and the values it gives.
struct Statement<'a> {
    text: &'a str,
    /// Numbers, names, quotations.
    values: Vec<&'a str>,
    /// Words that are no values, sorted.
    topic: Vec<u64>,
    /// The two words before each value: what has it.
    keys: Vec<Vec<u64>>,
}

impl<'a> Statement<'a> {
    fn new(sentence: &Sentence<'a>) -> Self {
        let text = sentence.text;
        let mut topic_text = String::with_capacity(text.len());
        let mut values = Vec::new();
        let mut keys = Vec::new();
        let mut at = 0;
        for found in scan(text) {
            if matches!(found.kind, CriticalKind::Negation | CriticalKind::Entity) {
                continue;
            }
            topic_text.push_str(&text[at.min(found.range.start)..found.range.start]);
            topic_text.push(' ');
            let before = content_words(&WORDS.replace_all(&text[..found.range.start], " "));
            keys.push(before.into_iter().rev().take(2).collect());
            at = found.range.end;
            values.push(&text[found.range]);
        }
        topic_text.push_str(&text[at..]);
        let mut topic = content_words(&WORDS.replace_all(&topic_text, " "));
        topic.sort_unstable();
        topic.dedup();
        Self {
            text,
            values,
            topic,
            keys,
        }
    }

    fn has(&self, old: &[&str]) -> bool {
        old.iter().any(|old| self.values.contains(old))
    }

    /// Whether `after` gives another value to something that has one here, and not this one again.
    fn is_revalued_by(&self, after: &Self) -> bool {
        let is_number = |value: &str| value.bytes().any(|byte| byte.is_ascii_digit());
        let of = |keys: &[u64], others: &[u64]| keys.iter().any(|key| others.contains(key));
        let given = || after.values.iter().zip(&after.keys);
        self.values.iter().zip(&self.keys).any(|(old, keys)| {
            let again = given().any(|(value, others)| value == old && of(keys, others));
            !again
                && given().any(|(new, others)| {
                    let is_other = !self.values.contains(new) && is_number(new) == is_number(old);
                    is_other && of(keys, others)
                })
        })
    }

    /// Whether `after` says that this is over: `no longer`, and mostly the same words.
    fn is_ended_by(&self, after: &Self) -> bool {
        let common = shared(&self.topic, &after.topic);
        ENDED.is_match(after.text)
            && !ENDED.is_match(self.text)
            && common >= 2
            && common * 2 >= self.topic.len().min(after.topic.len())
    }
}

fn shared(a: &[u64], b: &[u64]) -> usize {
    a.iter()
        .filter(|word| b.binary_search(word).is_ok())
        .count()
}

/// The values that a change names as gone: `from 8123`, `instead of 8123`, `no longer 8123`.
fn old_values(text: &str) -> Vec<&str> {
    let mut old = Vec::new();
    for gone in GONE.find_iter(text) {
        let next = scan(&text[gone.end()..])
            .into_iter()
            .find(|found| !matches!(found.kind, CriticalKind::Negation | CriticalKind::Entity));
        // Another word or two may stand between: `from port 8123`.
        if let Some(found) = next.filter(|found| found.range.start <= 24) {
            old.push(&text[gone.end()..][found.range]);
        }
    }
    old
}

static CHANGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?i-u:(?:changed?|switch(?:ed)?|moved?|updated?|renamed?|migrated?|raised",
        r"|lowered",
        r"|increased|reduced|set)(?u-i: [^ ]+){0,4} to|replaced? (?:by|with)|instead",
        r"|no longer|any ?more",
        r"|(?:is|are) now|now (?:is|are|uses?|be|on|at|runs?|lives?|called|set)|from now on",
        r"|actually",
        r"|correction|rather than|supersedes?|overrides?|scrap that|forget (?:that",
        r"|about))(?-u:\b)",
        r"|^(?i-u:now)(?-u:\b)",
    ))
    .expect("the pattern is valid")
});

/// The words of a change that are not what has changed.
static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?i-u:changed?|switch(?:ed)?|moved?|updated?|renamed?|migrated?|raised|lowered",
        r"|increased|reduced|set|replaced?|instead|longer|any ?more|actually|correction|rather",
        r"|supersedes?|overrides?|scrap|forget)(?-u:\b)",
    ))
    .expect("the pattern is valid")
});

static GONE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?-u:\b)(?i-u:from|instead of|no longer|rather than|not|replace[ds]?|drop)(?-u:\b)",
    )
    .expect("the pattern is valid")
});

static ENDED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?-u:\b)(?i-u:no longer|not (?u-i:[^.]*)any ?more|scrap that|forget about)(?-u:\b)",
    )
    .expect("the pattern is valid")
});
