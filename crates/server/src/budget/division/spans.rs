//! Which bytes of a rendered conversation are whose.
//!
//! A chat template may leave things out, reorder them or write them as JSON, so the conversation is
//! rendered a second time with a mark at both ends of every text. Without the marks that rendering
//! must be the plain one; then the marks say exactly where each text stands.

use std::ops::Range;

use super::place::Place;
use crate::validate::chat::Conversation;

/// Where texts stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::budget) struct Spans {
    /// For each place: its bytes in the rendered conversation; empty if it is not shown. They do
    /// not overlap, and may stand in another order than the places.
    pub(in crate::budget) ranges: Vec<Range<usize>>,
    /// Whether they were found by marks. Otherwise they were searched for: a text that also stands
    /// elsewhere may have been found there.
    pub(in crate::budget) is_exact: bool,
}

impl Spans {
    /// Finds the texts at `places` in `plain`, the rendered `conversation`. `render` renders
    /// another one the same way.
    pub(in crate::budget) fn find(
        conversation: &Conversation,
        places: &[Place],
        plain: &str,
        render: impl Fn(&Conversation) -> Option<String>,
    ) -> Self {
        let marks = Marks::absent_from(plain);
        // Templates ask how some texts begin or end (`<tool_response>`): those stay unmarked if the
        // first attempt changes what is rendered.
        let all = |_: &str| true;
        let untagged = |text: &str| !text.starts_with('<') && !text.ends_with('>');
        let attempts: [&dyn Fn(&str) -> bool; 2] = [&all, &untagged];
        for wants_mark in attempts {
            let mut marked = conversation.clone();
            for (number, place) in places.iter().enumerate() {
                if let Some(text) = place.text_mut(&mut marked)
                    && wants_mark(text.trim())
                {
                    marks.insert(text, number);
                }
            }
            let Some(rendered) = render(&marked) else {
                continue;
            };
            let found = marks.take_out(&rendered, places.len());
            if found.text == plain {
                return found.spans(conversation, places);
            }
        }
        Self::search(conversation, places, plain)
    }

    /// Finds texts one after the other.
    fn search(conversation: &Conversation, places: &[Place], plain: &str) -> Self {
        let mut cursor = 0;
        let names = places.iter().map(|&place| {
            let text = place.text(conversation).unwrap_or_default().trim();
            let at = plain[cursor..].find(text).filter(|_| !text.is_empty())?;
            let name = cursor + at..cursor + at + text.len();
            cursor = name.end;
            Some(name)
        });
        let names: Vec<_> = names.collect();
        Self {
            ranges: ranges(places, plain, &names),
            is_exact: false,
        }
    }
}

/// The bytes of every place, given those of its text or name, without overlaps.
fn ranges(places: &[Place], text: &str, names: &[Option<Range<usize>>]) -> Vec<Range<usize>> {
    let mut before = 0;
    let shown = places.iter().zip(names).map(|(&place, name)| match name {
        Some(name) => {
            let range = whole(place, text, name.clone());
            before = range.end;
            range
        }
        None => before..before,
    });
    let mut ranges: Vec<Range<usize>> = shown.collect();
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_by_key(|&at| (ranges[at].start, ranges[at].end));
    let mut end = 0;
    for at in order {
        let range = &mut ranges[at];
        range.start = range.start.max(end);
        range.end = range.end.max(range.start);
        end = range.end;
    }
    ranges
}

/// Two words that stand nowhere in a conversation; letters and digits pass through every filter.
struct Marks {
    begin: String,
    end: String,
}

/// A rendering without its marks, and where they stood.
struct Found {
    text: String,
    begins: Vec<Option<usize>>,
    ends: Vec<Option<usize>>,
}

impl Marks {
    fn absent_from(text: &str) -> Self {
        let mut salt = 0_u32;
        loop {
            let (begin, end) = (format!("qZb{salt}x"), format!("qZe{salt}x"));
            if !text.contains(&begin) && !text.contains(&end) {
                return Self { begin, end };
            }
            salt += 1;
        }
    }

    /// Puts marks around a text, inside of its white space, which templates may trim.
    fn insert(&self, text: &mut String, number: usize) {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return;
        }
        let begin = trimmed.as_ptr() as usize - text.as_ptr() as usize;
        let end = begin + trimmed.len();
        text.insert_str(end, &format!("{}{number}X", self.end));
        text.insert_str(begin, &format!("{}{number}X", self.begin));
    }

    fn take_out(&self, marked: &str, count: usize) -> Found {
        let mut found = Found {
            text: String::with_capacity(marked.len()),
            begins: vec![None; count],
            ends: vec![None; count],
        };
        let mut rest = marked;
        loop {
            let begin = rest.find(&self.begin);
            let end = rest.find(&self.end);
            let (at, word, is_begin) = match (begin, end) {
                (None, None) => break,
                (Some(begin), end) if end.is_none_or(|end| begin < end) => {
                    (begin, &self.begin, true)
                }
                (_, Some(end)) => (end, &self.end, false),
                (Some(_), None) => break,
            };
            found.text.push_str(&rest[..at]);
            let after = &rest[at + word.len()..];
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number = after[..digits]
                .parse()
                .ok()
                .filter(|&number: &usize| number < count);
            let Some(number) = number else {
                found.text.push_str(word);
                rest = after;
                continue;
            };
            let ends = if is_begin {
                &mut found.begins
            } else {
                &mut found.ends
            };
            ends[number] = Some(found.text.len());
            rest = &after[(digits + 1).min(after.len())..];
        }
        found.text.push_str(rest);
        found
    }
}

impl Found {
    fn spans(&self, conversation: &Conversation, places: &[Place]) -> Spans {
        let names = places.iter().enumerate().map(|(number, &place)| {
            let text = || place.text(conversation).unwrap_or_default();
            match (self.begins[number], self.ends[number]) {
                (Some(begin), Some(end)) if begin <= end => Some(begin..end),
                // Its beginning is left out, as reasoning inside of an answer is.
                (_, Some(end)) => {
                    let kept = common_suffix(&self.text[..end], text().trim_end());
                    Some(end - kept..end)
                }
                (Some(begin), None) => {
                    let kept = common_prefix(&self.text[begin..], text().trim_start());
                    Some(begin..begin + kept)
                }
                (None, None) => None,
            }
        });
        let names: Vec<_> = names.collect();
        Spans {
            ranges: ranges(places, &self.text, &names),
            is_exact: true,
        }
    }
}

/// The bytes of what a name stands for: a tool's whole definition, a call's name and arguments.
fn whole(place: Place, text: &str, name: Range<usize>) -> Range<usize> {
    match place {
        Place::Tool(_) => {
            let line = text[..name.start].rfind('\n').map_or(0, |at| at + 1);
            match text[line..name.start].find('{') {
                Some(brace) => line + brace..object_end(text, line + brace).max(name.end),
                None => name,
            }
        }
        Place::Call(..) => {
            // Arguments follow their name within a few characters.
            let next = text[name.end..]
                .char_indices()
                .take(32)
                .find(|&(_, c)| c == '{');
            match next {
                Some((brace, _)) => name.start..object_end(text, name.end + brace).max(name.end),
                None => name,
            }
        }
        _ => name,
    }
}

/// The end of the JSON object that begins at `start`; `start` if it has none.
fn object_end(text: &str, start: usize) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{') => depth += 1,
            (false, b'}') => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    start
}

fn common_suffix(a: &str, b: &str) -> usize {
    let pairs = a.chars().rev().zip(b.chars().rev());
    pairs
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum()
}

fn common_prefix(a: &str, b: &str) -> usize {
    let pairs = a.chars().zip(b.chars());
    pairs
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum()
}
