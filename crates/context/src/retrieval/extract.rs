//! The sentences of a document that a query is about, and those that name something.

use std::ops::Range;

use super::Document;
use super::bm25::Query;
use super::choice::Extract;
use crate::particulars::particulars;

/// Stands where sentences were left out.
const GAP: &str = " [...] ";
/// What a sentence is worth that names what no other one does, beside one with all words of the
/// query: less than an answer, more than chance.
const NAMED: f64 = 0.4;
/// Characters after which text without an end of sentence is cut at white space.
const LONGEST: usize = 400;

/// The best sentences of `document` that fit into `cap` tokens, in their order; `None` if not one
/// does.
///
/// What is written around the document's text counts: it is the difference between its tokens and
/// those of its text alone. Sentences are taken by weight of query words per token, of those without
/// any first the ones that name what no other one does: the next question may be about that. The
/// rest comes from the start of the text on.
pub(super) fn extract(
    document: &Document<'_>,
    query: &Query,
    cap: usize,
    count: &dyn Fn(&str) -> usize,
) -> Option<Extract> {
    let around = document.tokens.saturating_sub(count(document.text));
    let room = cap.checked_sub(around)?;
    let sentences = sentences(document.text);
    let texts: Vec<&str> = sentences
        .iter()
        .map(|range| &document.text[range.clone()])
        .collect();
    let named = particulars(&texts);
    let name = NAMED * query.total().max(1.0);
    let mut ranked: Vec<Sentence> = sentences
        .iter()
        .enumerate()
        .map(|(number, range)| {
            let text = &document.text[range.clone()];
            Sentence {
                number,
                weight: query.weight(text) + name * named[number],
                tokens: count(text),
            }
        })
        .collect();
    let all: f64 = ranked.iter().map(Sentence::worth).sum();
    ranked.sort_by(|a, b| b.rate().total_cmp(&a.rate()).then(a.number.cmp(&b.number)));
    let mut kept = take(&ranked, room, count(GAP));
    // Tokens at the seams can differ from those of the sentences alone.
    loop {
        let text = join(document.text, &sentences, &kept);
        let tokens = count(&text);
        if tokens <= room && !kept.is_empty() {
            let worth: f64 = kept.iter().map(Sentence::worth).sum();
            return Some(Extract {
                text,
                tokens: tokens + around,
                share: worth / all,
            });
        }
        kept.pop()?;
    }
}

/// The first of `ranked` that fit into `room`, each with a gap unless it follows or precedes one
/// that was taken.
fn take(ranked: &[Sentence], room: usize, gap: usize) -> Vec<Sentence> {
    let mut is_taken = vec![false; ranked.len() + 2];
    let mut taken: Vec<Sentence> = Vec::new();
    let mut tokens = 0;
    for sentence in ranked {
        let beside = is_taken[sentence.number] || is_taken[sentence.number + 2];
        let gap = if taken.is_empty() || beside { 0 } else { gap };
        if tokens + sentence.tokens + gap <= room {
            tokens += sentence.tokens + gap;
            is_taken[sentence.number + 1] = true;
            taken.push(*sentence);
        }
    }
    taken
}

#[derive(Clone, Copy, Debug)]
struct Sentence {
    number: usize,
    /// Of the query's words in it, and of what it names.
    weight: f64,
    tokens: usize,
}

impl Sentence {
    /// What it adds to an extract. A sentence without a word of the query is context.
    fn worth(&self) -> f64 {
        self.weight.max(1e-3)
    }

    fn rate(&self) -> f64 {
        self.weight / self.tokens.max(1) as f64
    }
}

/// The kept sentences in the order of the text, with gaps marked.
fn join(text: &str, sentences: &[Range<usize>], kept: &[Sentence]) -> String {
    let mut numbers: Vec<usize> = kept.iter().map(|sentence| sentence.number).collect();
    numbers.sort_unstable();
    let mut joined = String::new();
    let mut previous: Option<usize> = None;
    for number in numbers {
        let range = sentences[number].clone();
        match previous {
            Some(previous) if previous + 1 == number => {
                joined.push_str(&text[sentences[previous].end..range.end]);
            }
            Some(_) => {
                joined.push_str(GAP);
                joined.push_str(&text[range]);
            }
            None => joined.push_str(&text[range]),
        }
        previous = Some(number);
    }
    joined
}

/// Where the sentences of `text` are: they end at a line's end, at `.`, `!` or `?` before white
/// space, at their full-width forms, and where they become too long.
fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    let mut length = 0;
    while let Some((at, c)) = characters.next() {
        length += 1;
        let end = at + c.len_utf8();
        let before_space = characters
            .peek()
            .is_none_or(|(_, next)| next.is_whitespace());
        let ends = match c {
            '\n' | '。' | '！' | '？' => true,
            '.' | '!' | '?' => before_space,
            _ => length >= LONGEST && (before_space || length >= 2 * LONGEST),
        };
        if ends {
            push_trimmed(&mut sentences, text, start..end);
            start = end;
            length = 0;
        }
    }
    push_trimmed(&mut sentences, text, start..text.len());
    sentences
}

fn push_trimmed(sentences: &mut Vec<Range<usize>>, text: &str, range: Range<usize>) {
    let sentence = &text[range.clone()];
    let start = range.start + sentence.len() - sentence.trim_start().len();
    let end = start + sentence.trim().len();
    if start < end {
        sentences.push(start..end);
    }
}
