//! Words by which the section of a sentence is known.

use std::sync::LazyLock;

use regex::Regex;

use super::{Section, Sentence, Speaker};
use crate::CriticalKind;
use crate::compress::is_alarm;
use crate::critical::scan;

/// The section that a sentence belongs to by its words. What a tool has said is an error, an
/// artifact or a fact, whatever its words.
pub(super) fn section(sentence: &Sentence<'_>) -> Section {
    let text = sentence.text;
    let names_artifact = || {
        let mut found = scan(text).into_iter();
        found.any(|found| matches!(found.kind, CriticalKind::Path | CriticalKind::Url))
    };
    match sentence.speaker {
        Speaker::Tool => {}
        Speaker::User if PREFERENCE.is_match(text) => return Section::Preferences,
        Speaker::User if CONSTRAINT.is_match(text) => return Section::Constraints,
        _ if DECISION.is_match(text) => return Section::Decisions,
        _ if OPEN.is_match(text) => return Section::OpenTasks,
        _ => {}
    }
    if is_alarm(text) {
        Section::Errors
    } else if names_artifact() {
        Section::Artifacts
    } else {
        Section::Facts
    }
}

/// Whether a sentence, of a user, says how they like things.
pub(crate) fn states_preference(text: &str) -> bool {
    PREFERENCE.is_match(text)
}

/// Whether a sentence says what its speaker does next.
pub(super) fn is_next_step(text: &str) -> bool {
    NEXT.is_match(text)
}

/// Whether text gives orders: addressed to the reader, or with a word of obligation.
pub(crate) fn is_instruction(text: &str) -> bool {
    ORDER.is_match(text)
}

static CONSTRAINT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?i-u:must|mustn't|never|always|do not|don't|should(?:n't)?|only|avoid",
        r"|required?",
        r"|requires|mandatory|forbidden|not allowed|at most|at least|no more than",
        r"|no less than|budget",
        r"|limit(?:ed)?|deadline|make sure|ensure|under no circumstances|may not|cannot)(?-u:\b)",
    ))
    .expect("the pattern is valid")
});

static PREFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?i-u:prefer(?:s|red|ences?)?|preferably|i (?:do not |don't )?like|i'd like (?:it|answers",
        r"|output)",
        r"|please (?:answer|reply|write|respond|format|keep)|answer in|reply in|respond in",
        r"|write in",
        r"|metric units|in bullet points|concise|style)(?-u:\b)",
    ))
    .expect("the pattern is valid")
});

static DECISION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?i-u:decided|decision|we will use|we'll use|we use|let's use|let us use|chose",
        r"|chosen|choose|going with|go with|agreed|settled on|instead|switch(?:ed|ing)? to",
        r"|changed? (?u-i:[^ ]+ ){0,3}to|moved? to|because|no longer|rather than)(?-u:\b)",
    ))
    .expect("the pattern is valid")
});

static OPEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?i-u:to ?do|still (?:needs?|has|have|open|missing|to)|remaining|remains",
        r"|left to do",
        r"|pending|not yet|open (?:task|question|issue|point)s?|needs to be|has to be",
        r"|follow[- ]up",
        r"|later we|we need to|afterwards)(?-u:\b)",
    ))
    .expect("the pattern is valid")
});

static NEXT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?i-u:next step|next,? (?:i|we)|next:|i will now|i'll now|now i(?:'ll| will)",
        r"|i am going to|i'm going to|let me now)(?-u:\b)|^(?i-u:next)(?-u:\b)",
    ))
    .expect("the pattern is valid")
});

/// Words of obligation, address of the reader, and verbs with which orders begin.
static ORDER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?i-u:you (?:must|should|have to|need to|will|are|may)|must|shall|never|always",
        r"|do not|don't|ignore (?:all|any|the|previous|your)|disregard|instructions?|the summary",
        r"|system prompt|from now on|remember (?:to|that)|make sure|be sure)(?-u:\b)",
        r"|^[^A-Za-z]{0,4}(?i-u:please|add|answer|approve|call|change|copy|create|delete",
        r"|disable|do",
        r"|download|email|enable|execute|export|follow|forget|forward|give|grant|include|insert",
        r"|install|open|post|print|publish|put|read|remember|remove|repeat|replace|reply",
        r"|reveal|run",
        r"|say|send|set|share|show|start|stop|submit|tell|treat|turn|update|upload|use",
        r"|write)[ :,]",
    ))
    .expect("the pattern is valid")
});
