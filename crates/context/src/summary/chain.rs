//! Summaries that extend an earlier one.

use super::{Section, SectionedSummary, Sentence, superseded};
use crate::compress::content_words;
use crate::retrieval::words::words;

/// An earlier summary with what came after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The sections.
    pub summary: SectionedSummary,
    /// Lines of the earlier summary that later ones supersede.
    pub superseded: Vec<String>,
    /// Lines that did not fit.
    pub dropped: Vec<String>,
}

/// `anchor` with `addition` behind it, in at most `max_tokens`.
///
/// The anchor's lines stay word for word, so that nothing fades by being summarised again and
/// again. They go if a later line supersedes them, if a task is said to be done, and the next step
/// if there is another.
pub fn merge_summaries(
    anchor: &SectionedSummary,
    addition: &SectionedSummary,
    max_tokens: usize,
    count: &dyn Fn(&str) -> usize,
) -> Merged {
    let later: Vec<(Section, &str)> = addition.all_lines().collect();
    let mut lines: Vec<(Section, &str)> = anchor.all_lines().collect();
    let earlier = lines.len();
    lines.extend(&later);
    let sentences: Vec<Sentence<'_>> = lines
        .iter()
        .map(|(section, text)| Sentence {
            text,
            line: text,
            speaker: section.speaker(),
            part: 0,
        })
        .collect();
    let gone = superseded(&sentences);
    let mut summary = SectionedSummary::default();
    let mut out = Vec::new();
    for (i, (section, text)) in lines.iter().enumerate() {
        let is_replaced = i < earlier
            && match section {
                Section::NextStep => !addition.lines(Section::NextStep).is_empty(),
                Section::OpenTasks => later.iter().any(|(_, later)| is_done_by(text, later)),
                _ => false,
            };
        if gone[i] || is_replaced {
            out.push((*text).to_owned());
        } else if !summary
            .lines(*section)
            .iter()
            .any(|known| says_the_same(known, text))
        {
            summary.push(*section, text);
        }
    }
    let dropped = summary.cap(max_tokens, count);
    Merged {
        summary,
        superseded: out,
        dropped,
    }
}

fn is_done_by(task: &str, later: &str) -> bool {
    let folded = later.to_lowercase();
    let is_done = ["done", "completed", "finished", "fixed", "resolved"];
    let says_done = is_done.iter().any(|word| folded.contains(word));
    let not_yet = [
        "not done",
        "not yet",
        "unfinished",
        "not completed",
        "not fixed",
    ];
    says_done && !not_yet.iter().any(|word| folded.contains(word)) && overlap(task, later) >= 0.6
}

/// Whether two lines have the same words, in whatever order: a number that differs is news.
fn says_the_same(a: &str, b: &str) -> bool {
    let sorted = |text: &str| {
        let mut words = words(text);
        words.sort_unstable();
        words
    };
    a == b || sorted(a) == sorted(b)
}

/// Share of the words of `a` that `b` has.
fn overlap(a: &str, b: &str) -> f64 {
    let (a, b) = (content_words(a), content_words(b));
    let shared = a.iter().filter(|word| b.contains(word)).count();
    shared as f64 / a.len().max(1) as f64
}
