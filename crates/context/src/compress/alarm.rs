//! Lines that say that something went wrong.

use std::sync::LazyLock;

use regex::Regex;

/// Whether `line` reports an error or a warning; counts of zero errors do not.
pub(crate) fn is_alarm(line: &str) -> bool {
    if !ALARM.is_match(line) {
        return false;
    }
    match NONE.is_match(line) {
        true => ALARM.is_match(&NONE.replace_all(line, " ")),
        false => true,
    }
}

static ALARM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?i-u:errors?|err|fail(?:ed|ure|ures|s|ing)?|fatal|panic(?:ked)?|exceptions?",
        r"|traceback|critical|abort(?:ed|ing)?|denied|refused|rejected|timed out|timeout",
        r"|unreachable",
        r"|segfault|segmentation fault|core dumped|undefined|unresolved|cannot|can't|could not",
        r"|couldn't|unable|no such|not found|invalid|conflict|corrupt(?:ed)?|killed|oom",
        r"|warn(?:ing)?)",
        r"(?-u:\b)|[A-Z][A-Za-z]*(?:Error|Exception|Panic)(?-u:\b)|(?-u:\b)E[0-9]{3,5}(?-u:\b)",
    ))
    .expect("the pattern is valid")
});

static NONE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u:\b)(?i-u:(?:0|no|without)[ ]+(?:errors?|failures?|failed|warnings?|exceptions?)",
        r"|(?:errors?|failures?|failed|warnings?)[=: ]+0)(?-u:\b)",
    ))
    .expect("the pattern is valid")
});
