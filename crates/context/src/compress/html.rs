//! HTML without what a browser needs and a reader does not.

use std::sync::LazyLock;

use regex::Regex;

use super::marker;

/// Whether `text` is an HTML page, or a good part of one.
pub(super) fn is_html(text: &str) -> bool {
    let start = text.trim_start().as_bytes();
    let begins = |with: &str| {
        start
            .get(..with.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(with.as_bytes()))
    };
    begins("<!doctype html") || begins("<html") || text.matches("</div>").take(3).count() == 3
}

/// `text` without scripts, styles, drawings, comments and attributes of layout.
pub(super) fn readable(text: &str) -> Option<String> {
    let without = HIDDEN.replace_all(text, "");
    let without = LAYOUT.replace_all(&without, "$1");
    let left_out = text.chars().count() - without.chars().count();
    (left_out > 2 * marker::LENGTH).then(|| {
        format!(
            "{}\n{}",
            without.trim_end(),
            marker::left_out(left_out, "character")
        )
    })
}

static HIDDEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?s)<(?i-u:script)[ >].*?</(?i-u:script)>|<(?i-u:style)[ >].*?</(?i-u:style)>",
        r"|<(?i-u:svg)[ >].*?</(?i-u:svg)>|<!--.*?-->",
    ))
    .expect("the pattern is valid")
});

static LAYOUT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"([a-zA-Z0-9"'])(?:[ \n]+(?:class|style|role|tabindex|target|rel|width|height|on[a-z]+"#,
        r#"|data-[a-z0-9-]+|aria-[a-z0-9-]+)=(?:"[^"<>]*"|'[^'<>]*'))+"#,
    ))
    .expect("the pattern is valid")
});
