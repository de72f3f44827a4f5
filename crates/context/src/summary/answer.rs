//! What a model wrote when it was asked for a summary.

use std::sync::LazyLock;

use regex::Regex;

use super::{Section, SectionedSummary, Sentence, SpanPart, Speaker, sentences};
use crate::compress::content_words;

/// A model's summary, in shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanSummary {
    /// Its sections, in at most the tokens asked for.
    pub summary: SectionedSummary,
    /// Lines that did not fit.
    pub dropped: Vec<String>,
    /// Lines that gave an order of a tool result as a constraint, decision, preference or task;
    /// taken out.
    pub untrusted: Vec<String>,
}

/// What of a model's `answer` may stand as the summary of `parts`: without its reasoning, calls of
/// tools, fences and introductions, in sections, in at most `max_tokens`. `None` if nothing is
/// left.
pub fn clean_summary(
    answer: &str,
    parts: &[SpanPart<'_>],
    max_tokens: usize,
    count: &dyn Fn(&str) -> usize,
) -> Option<CleanSummary> {
    let text = without_reasoning(answer);
    let text = FOREIGN.replace_all(text, "\n");
    let lines = text.lines().filter(|line| !INTRODUCTION.is_match(line));
    let mut summary = SectionedSummary::parse(&lines.collect::<Vec<_>>().join("\n"));
    let untrusted = distrust(&mut summary, parts);
    let dropped = summary.cap(max_tokens, count);
    (!summary.is_empty()).then_some(CleanSummary {
        summary,
        dropped,
        untrusted,
    })
}

/// What follows the reasoning; reasoning that does not end leaves what stood before it.
fn without_reasoning(answer: &str) -> &str {
    let answer = match answer.rsplit_once("</think>") {
        Some((_, rest)) => rest,
        None => answer,
    };
    answer.split("<think>").next().unwrap_or(answer)
}

/// Takes out of the sections that bind the reader what only a tool has ordered.
fn distrust(summary: &mut SectionedSummary, parts: &[SpanPart<'_>]) -> Vec<String> {
    let sentences = sentences(parts);
    let words = |wanted: &dyn Fn(&Sentence<'_>) -> bool| -> Vec<Vec<u64>> {
        let chosen = sentences.iter().filter(|sentence| wanted(sentence));
        chosen.map(|s| sorted_words(s.text)).collect()
    };
    let orders = words(&|sentence| sentence.is_order_of_a_tool());
    if orders.is_empty() {
        return Vec::new();
    }
    let spoken = words(&|sentence| sentence.speaker == Speaker::User);
    let mut untrusted = Vec::new();
    let binding = [
        Section::Goal,
        Section::Constraints,
        Section::Decisions,
        Section::Preferences,
        Section::OpenTasks,
        Section::NextStep,
    ];
    for section in binding {
        summary.retain(section, |line| {
            let line_words = sorted_words(line);
            let ordered = best_share(&line_words, &orders);
            let trusted = ordered < 0.5 || best_share(&line_words, &spoken) >= ordered;
            if !trusted {
                untrusted.push(line.clone());
            }
            trusted
        });
    }
    untrusted
}

/// The largest share of `words` that one of `texts` has.
fn best_share(words: &[u64], texts: &[Vec<u64>]) -> f64 {
    let shared = texts.iter().map(|text| {
        words
            .iter()
            .filter(|word| text.binary_search(word).is_ok())
            .count()
    });
    shared.max().unwrap_or(0) as f64 / words.len().max(1) as f64
}

fn sorted_words(text: &str) -> Vec<u64> {
    let mut words = content_words(text);
    words.sort_unstable();
    words.dedup();
    words
}

/// Calls of tools, and the marks of a code block.
static FOREIGN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)<tool_call>.*?(?:</tool_call>|$)|<\|[^|>]*\|>|```[a-z]*")
        .expect("the pattern is valid")
});

static INTRODUCTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^[ \t]*(?i-u:here is|here's|sure|certainly|below is|of course)(?-u:\b)[^\n]*:?[ \t]*$",
    )
    .expect("the pattern is valid")
});
