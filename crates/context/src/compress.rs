//! Tool results made shorter without a model.
//!
//! Five levels, each including the ones before: what is redundant (L1), what structure says more
//! briefly (L2), key lines and sentences (L3), a skeleton (L4), head and tail (L5). Every level says what it left
//! out, and how much of it: `[... 120 lines left out]`. JSON stays JSON at all levels.
//!
//! L1 loses nothing that a reader sees. L2 loses nothing of JSON and of search results, and of
//! logs and diffs what repeats; lines that report errors always stay. Time grows with the length
//! of the text, but for the logarithm of a sort.

use crate::CompressionLevel;

mod alarm;
mod diff;
mod focus;
mod head_tail;
mod html;
mod json;
mod key_lines;
mod marker;
mod matches;
mod outline;
mod records;
mod redundancy;
mod repeats;
mod rows;
mod sample;
mod shape;
mod templates;
mod units;

#[cfg(test)]
mod tests;

pub(crate) use alarm::is_alarm;
pub use focus::Focus;
pub(crate) use focus::content_words;

use json::{Document, Json};

/// A text that was shortened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// The text.
    pub text: String,
    /// Its tokens.
    pub tokens: usize,
    /// The last level that made it shorter.
    pub level: CompressionLevel,
}

/// `text` after the levels up to `level`, each as far as it makes the text shorter in bytes; `None`
/// if none does.
pub fn compress(text: &str, level: CompressionLevel, focus: &Focus) -> Option<String> {
    shrink(text, level, focus, &str::len).map(|(text, _)| text)
}

/// `text` after the levels up to `level` and its tokens, which are fewer than those of `text`; a
/// level that would not lower them is left out. `None` if none does.
///
/// `count` gives the tokens of a text.
pub fn shrink(
    text: &str,
    level: CompressionLevel,
    focus: &Focus,
    count: &dyn Fn(&str) -> usize,
) -> Option<(String, usize)> {
    let plain = redundancy::plain(text);
    let mut ladder = Ladder::new(text, plain.as_deref(), focus, count);
    for step in CompressionLevel::ALL
        .into_iter()
        .filter(|step| *step <= level)
    {
        ladder.climb(step);
    }
    ladder.best.map(|best| (best.text, best.tokens))
}

/// The result of every level, as [`shrink`] gives it, at the price of the last alone.
pub fn shrink_all(
    text: &str,
    focus: &Focus,
    count: &dyn Fn(&str) -> usize,
) -> [Option<Compressed>; 5] {
    let plain = redundancy::plain(text);
    let mut ladder = Ladder::new(text, plain.as_deref(), focus, count);
    CompressionLevel::ALL.map(|step| {
        ladder.climb(step);
        ladder.best.clone()
    })
}

/// `text` in at most `max_tokens`; `None` if it fits as it is, or if not even a word on what was
/// left out does.
///
/// The first level that fits is taken; L3 and L5 are fitted to the room.
pub fn fit(
    text: &str,
    max_tokens: usize,
    focus: &Focus,
    count: &dyn Fn(&str) -> usize,
) -> Option<Compressed> {
    let plain = redundancy::plain(text);
    let mut ladder = Ladder::new(text, plain.as_deref(), focus, count);
    let all = ladder.tokens;
    if all <= max_tokens {
        return None;
    }
    for step in [CompressionLevel::Redundancy, CompressionLevel::Structure] {
        ladder.climb(step);
        if ladder
            .best
            .as_ref()
            .is_some_and(|best| best.tokens <= max_tokens)
        {
            return ladder.best;
        }
    }
    let content = &ladder.content;
    let room = Room {
        max_tokens,
        bytes: text.len(),
        tokens: all,
        count,
    };
    // With less room than a twentieth, lines alone would say too little of the whole.
    if max_tokens >= all / 20
        && let Some((text, tokens)) = content.key_lines_filling(focus, &room)
    {
        return Some(Compressed {
            text,
            tokens,
            level: CompressionLevel::KeyLines,
        });
    }
    let skeleton = content.skeleton(focus);
    let tokens = count(&skeleton);
    if tokens <= max_tokens {
        return Some(Compressed {
            text: skeleton,
            tokens,
            level: CompressionLevel::Skeleton,
        });
    }
    let (text, tokens) = room.fit(&|limit| content.head_tail(limit))?;
    Some(Compressed {
        text,
        tokens,
        level: CompressionLevel::HeadTail,
    })
}

/// `text` without the white space of JSON or JSON lines; `None` if it is neither, or has none.
pub fn minify(text: &str) -> Option<String> {
    let minified = match json::read(text)? {
        Document::Value(value) => value.minified(),
        Document::Lines(lines) => json::minified_lines(&lines),
    };
    (minified.len() < text.len()).then_some(minified)
}

/// Bytes that L3 keeps in any case.
const KEY_LINES: usize = 240;
/// Bytes that L5 keeps in any case, and the most that it keeps.
const HEAD_TAIL: (usize, usize) = (400, 1600);

/// The levels of one text, climbed from the first on.
struct Ladder<'t> {
    text: &'t str,
    tokens: usize,
    focus: &'t Focus,
    count: &'t dyn Fn(&str) -> usize,
    /// What L2 to L5 begin with. Not the result of the level before: a skeleton of the key lines
    /// would know nothing of what they left out.
    content: Content<'t>,
    /// The shortest so far.
    best: Option<Compressed>,
}

impl<'t> Ladder<'t> {
    fn new(
        text: &'t str,
        plain: Option<&'t str>,
        focus: &'t Focus,
        count: &'t dyn Fn(&str) -> usize,
    ) -> Self {
        let content = Content::new(plain.unwrap_or(text));
        Self {
            text,
            tokens: count(text),
            focus,
            count,
            content,
            best: None,
        }
    }

    fn climb(&mut self, level: CompressionLevel) {
        let (bytes, tokens) = match &self.best {
            Some(best) => (best.text.len(), best.tokens),
            None => (self.text.len(), self.tokens),
        };
        let text = match level {
            CompressionLevel::Redundancy => self.content.unrepeated(),
            CompressionLevel::Structure => self.content.structured(),
            CompressionLevel::KeyLines => {
                self.content.key_lines(self.focus, KEY_LINES.max(bytes / 3))
            }
            CompressionLevel::Skeleton => self.content.skeleton(self.focus),
            CompressionLevel::HeadTail => {
                let limit = (bytes / 2).clamp(HEAD_TAIL.0, HEAD_TAIL.1);
                match self.content.head_tail(limit) {
                    Some(text) => text,
                    None => return,
                }
            }
        };
        // Most levels that have nothing to do give the text as it was.
        if text == self.text {
            return;
        }
        let after = (self.count)(&text);
        if after < tokens {
            self.best = Some(Compressed {
                text,
                tokens: after,
                level,
            });
        }
    }
}

/// A text as the levels see it.
enum Content<'t> {
    Json(Document<'t>),
    Text {
        /// After L1, repeated lines still in place.
        plain: &'t str,
        /// After L2, likewise; `None` if there is no structure to make use of.
        structured: Option<String>,
    },
}

impl<'t> Content<'t> {
    fn new(plain: &'t str) -> Self {
        match json::read(plain) {
            Some(document) => Self::Json(document),
            None => Self::Text {
                plain,
                structured: structure(plain),
            },
        }
    }

    /// L1.
    fn unrepeated(&self) -> String {
        match self {
            Self::Json(Document::Value(value)) => value.minified(),
            Self::Json(Document::Lines(lines)) => json::minified_lines(lines),
            Self::Text { plain, .. } => unrepeated(plain),
        }
    }

    /// L2.
    fn structured(&self) -> String {
        match self {
            Self::Json(Document::Value(value)) => records::tabled(value).minified(),
            Self::Json(Document::Lines(lines)) => table_of_lines(lines),
            Self::Text { plain, structured } => unrepeated(structured.as_deref().unwrap_or(plain)),
        }
    }

    /// L3.
    fn key_lines(&self, focus: &Focus, limit: usize) -> String {
        match self {
            Self::Json(document) => sampled(document, focus, sample::CHOSEN),
            Self::Text { .. } => key_lines::selected(self.lines(), focus, limit, false),
        }
    }

    /// L3 with as much as goes into `room`, and its tokens; `None` if nothing does.
    fn key_lines_filling(&self, focus: &Focus, room: &Room<'_>) -> Option<(String, usize)> {
        let Self::Json(document) = self else {
            let lines = |limit| Some(key_lines::selected(self.lines(), focus, limit, true));
            return room.fit(&lines);
        };
        // Four times as many items each time, up to more than a prompt holds.
        let mut fitting = None;
        for chosen in [sample::CHOSEN, 32, 128, 512, 2048] {
            let text = sampled(document, focus, chosen);
            let tokens = (room.count)(&text);
            if tokens > room.max_tokens {
                break;
            }
            fitting = Some((text, tokens));
        }
        fitting
    }

    /// L4.
    fn skeleton(&self, focus: &Focus) -> String {
        match self {
            Self::Json(document) => shape::shape(document).minified(),
            Self::Text { plain, .. } => outline::skeleton(plain, focus),
        }
    }

    /// L5; `None` if not even a marker fits.
    fn head_tail(&self, limit: usize) -> Option<String> {
        match self {
            Self::Json(document) => head_tail::json(document, limit),
            Self::Text { plain, .. } => Some(head_tail::text(plain, limit)),
        }
    }

    fn lines(&self) -> &str {
        match self {
            Self::Text { plain, structured } => structured.as_deref().unwrap_or(plain),
            Self::Json(_) => "",
        }
    }
}

/// How many tokens there are, and how to find the bytes that they have.
struct Room<'c> {
    max_tokens: usize,
    /// Of the whole text.
    bytes: usize,
    tokens: usize,
    count: &'c dyn Fn(&str) -> usize,
}

impl Room<'_> {
    /// The longest text found that fits, and its tokens; `make` gives one of about so many bytes.
    fn fit(&self, make: &dyn Fn(usize) -> Option<String>) -> Option<(String, usize)> {
        let mut best: Option<(String, usize)> = None;
        let (mut low, mut high) = (0, self.bytes);
        let mut limit = (self.max_tokens * self.bytes / self.tokens.max(1)).min(high);
        // Each try at least halves what is left between the bounds, or lands near the goal.
        for _ in 0..12 {
            let made = make(limit).map(|text| {
                let tokens = (self.count)(&text);
                (text, tokens)
            });
            match made {
                Some((text, tokens)) if tokens <= self.max_tokens => {
                    let is_near = tokens * 10 >= self.max_tokens * 9;
                    if best.as_ref().is_none_or(|(_, most)| tokens > *most) {
                        best = Some((text, tokens));
                    }
                    if is_near {
                        break;
                    }
                    low = limit;
                }
                Some(_) => high = limit,
                None => low = limit,
            }
            let middle = low + (high - low) / 2;
            if middle == limit || middle == low {
                break;
            }
            limit = middle;
        }
        best.or_else(|| {
            let least = make(0)?;
            let tokens = (self.count)(&least);
            (tokens <= self.max_tokens).then_some((least, tokens))
        })
    }
}

fn unrepeated(text: &str) -> String {
    repeats::referenced(text).unwrap_or_else(|| text.to_owned())
}

/// `text` with its structure told more briefly, if it has one.
fn structure(text: &str) -> Option<String> {
    if diff::is_diff(text) {
        diff::trimmed(text)
    } else if html::is_html(text) {
        html::readable(text)
    } else if matches::is_grouped(text) {
        None
    } else {
        matches::grouped(text).or_else(|| templates::mined(text))
    }
}

fn table_of_lines(lines: &[Json<'_>]) -> String {
    match records::tabled_lines(lines) {
        Some(table) => table.minified(),
        None => json::minified_lines(lines),
    }
}

fn sampled(document: &Document<'_>, focus: &Focus, chosen: usize) -> String {
    match document {
        Document::Value(value) => {
            records::tabled(&sample::sampled(value, focus, chosen)).minified()
        }
        Document::Lines(lines) => table_of_lines(&sample::sampled_items(lines, focus, chosen)),
    }
}
