//! Marks at the ends of texts.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{common_prefix, common_suffix};
use crate::budget::place::Place;
use crate::validate::chat::Conversation;

/// Ranges of a rendering that marks enclose.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Bytes, each with the number of its place.
    pub(super) ranges: Vec<(Range<usize>, usize)>,
    /// Whether it is clear which of several equal texts each range is.
    pub(super) is_clear: bool,
}

/// The marks of a conversation.
///
/// Every place has marks of its own. Where the template compares texts, equal ones share their
/// marks: a range that is found is given to the texts that have its marks in the order of the
/// conversation.
pub(super) struct Marks {
    /// Begins every mark and stands nowhere in the conversation: letters and digits, which pass
    /// through every filter.
    word: String,
    /// The texts of each class of places with the same marks.
    classes: Vec<Class>,
    /// The class of each place.
    class_of: Vec<usize>,
    places: Vec<Place>,
    /// What makes places equal, for each of them.
    keys: Vec<[u8; 32]>,
}

/// Places with the same marks.
struct Class {
    texts: Vec<Text>,
    places: Vec<usize>,
    standing: Standing,
}

/// Where the marks of a text stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// At its ends, white space aside.
    AtEnds,
    /// Behind its first word and before its last one.
    Inside,
    /// Nowhere.
    Unmarked,
}

#[derive(Clone)]
struct Text {
    text: String,
    /// Where the marks stand; `None` for white space, which has none.
    marked: Option<Range<usize>>,
}

/// A mark in a rendering.
#[derive(Clone, Copy)]
struct Event {
    /// Bytes of the plain rendering before it.
    at: usize,
    is_begin: bool,
    class: usize,
    text: usize,
}

impl Marks {
    pub(super) fn new(conversation: &Conversation, places: &[Place], plain: &str) -> Self {
        let mut scratch = conversation.clone();
        let mut classes: Vec<Class> = Vec::with_capacity(places.len());
        let mut keys = Vec::with_capacity(places.len());
        for (number, place) in places.iter().enumerate() {
            let mut texts = Vec::new();
            place.visit_strings(&mut scratch, &mut |text| {
                texts.push(Text::new(text.clone()));
            });
            let role = place.message().map(|at| &conversation.messages[at]["role"]);
            let kind = format!("{:?} {role:?}", std::mem::discriminant(place));
            let texts_bytes = texts.iter().map(|text| text.text.as_bytes());
            let fields: Vec<&[u8]> = [kind.as_bytes()].into_iter().chain(texts_bytes).collect();
            keys.push(context::segment_digest(&fields));
            classes.push(Class {
                texts,
                places: vec![number],
                standing: Standing::AtEnds,
            });
        }
        let mut salt = 0_u32;
        let word = loop {
            let word = format!("qZ{salt}k");
            let is_taken = |class: &Class| class.texts.iter().any(|text| text.text.contains(&word));
            if !plain.contains(&word) && !classes.iter().any(is_taken) {
                break word;
            }
            salt += 1;
        };
        Self {
            word,
            class_of: (0..classes.len()).collect(),
            classes,
            places: places.to_vec(),
            keys,
        }
    }

    /// The texts of a place.
    pub(super) fn texts(&self, place: usize) -> impl Iterator<Item = &str> {
        let class = &self.classes[self.class_of[place]];
        class.texts.iter().map(|text| text.text.as_str())
    }

    /// Whether there is nothing to be found of a place.
    pub(super) fn is_blank(&self, place: usize) -> bool {
        self.texts(place).all(|text| text.trim().is_empty())
    }

    /// Whether a place has marks.
    pub(super) fn is_marked(&self, place: usize) -> bool {
        self.classes[self.class_of[place]].standing != Standing::Unmarked
    }

    /// The conversation with marks.
    pub(super) fn mark(&self, conversation: &Conversation) -> Conversation {
        let mut marked = conversation.clone();
        for (place, &class) in self.places.iter().zip(&self.class_of) {
            let mut number = 0;
            place.visit_strings(&mut marked, &mut |text| {
                self.insert(text, class, number);
                number += 1;
            });
        }
        marked
    }

    fn insert(&self, text: &mut String, class: usize, number: usize) {
        let Some(marked) = &self.classes[class].texts[number].marked else {
            return;
        };
        let word = &self.word;
        text.insert_str(marked.end, &format!("{word}e{class}x{number}Z"));
        text.insert_str(marked.start, &format!("{word}b{class}x{number}Z"));
    }

    /// Takes the marks out of a rendering: the ranges of each place, or, when that is not the plain
    /// rendering, the classes whose marks stand around the first difference.
    pub(super) fn take_out(&self, marked: &str, plain: &str) -> Result<Found, Vec<usize>> {
        let mut text = String::with_capacity(plain.len());
        let mut events = Vec::new();
        let mut rest = marked;
        while let Some(found) = rest.find(&self.word) {
            text.push_str(&rest[..found]);
            rest = &rest[found..];
            match self.event(rest) {
                Some((event, len)) => {
                    events.push(Event {
                        at: text.len(),
                        ..event
                    });
                    rest = &rest[len..];
                }
                None => {
                    text.push_str(&self.word);
                    rest = &rest[self.word.len()..];
                }
            }
        }
        text.push_str(rest);
        if text == plain {
            return Ok(self.ranges(&events, plain));
        }
        let same = common_prefix(&text, plain);
        let before = events.iter().rev().find(|event| event.at <= same);
        let after = events.iter().find(|event| event.at > same);
        Err(before
            .into_iter()
            .chain(after)
            .map(|event| event.class)
            .collect())
    }

    /// The mark that begins `text`, and its length.
    fn event(&self, text: &str) -> Option<(Event, usize)> {
        let body = &text[self.word.len()..];
        let (body, _) = body.split_once('Z')?;
        let is_begin = match body.as_bytes().first() {
            Some(b'b') => true,
            Some(b'e') => false,
            _ => return None,
        };
        let (class, number) = body[1..].split_once('x')?;
        let (class, number): (usize, usize) = (class.parse().ok()?, number.parse().ok()?);
        self.classes.get(class)?.texts.get(number)?;
        let event = Event {
            at: 0,
            is_begin,
            class,
            text: number,
        };
        Some((event, self.word.len() + body.len() + 1))
    }

    /// The ranges of places that marks enclose.
    fn ranges(&self, events: &[Event], plain: &str) -> Found {
        let mut by_class: Vec<Vec<Range<usize>>> = self.classes.iter().map(|_| vec![]).collect();
        let mut open: Vec<Option<Event>> = vec![None; self.classes.len()];
        for event in events {
            let found = &mut by_class[event.class];
            match (open[event.class].take(), event.is_begin) {
                (unclosed, true) => {
                    found.extend(unclosed.map(|begin| self.range(Some(begin), None, plain)));
                    open[event.class] = Some(*event);
                }
                (Some(begin), false) if begin.text == event.text => {
                    found.push(self.range(Some(begin), Some(*event), plain));
                }
                (begin, false) => {
                    found.extend(begin.map(|begin| self.range(Some(begin), None, plain)));
                    found.push(self.range(None, Some(*event), plain));
                }
            }
        }
        for (class, begin) in open.into_iter().enumerate() {
            by_class[class].extend(begin.map(|begin| self.range(Some(begin), None, plain)));
        }
        let mut all = Found {
            ranges: Vec::new(),
            is_clear: true,
        };
        for (class, found) in self.classes.iter().zip(by_class) {
            // A template that leaves something out leaves out what is oldest.
            let each = found.len().div_ceil(class.places.len()).max(1);
            let first = class
                .places
                .len()
                .saturating_sub(found.len().div_ceil(each));
            all.is_clear &= found.len().is_multiple_of(class.places.len());
            for (number, range) in found.into_iter().enumerate() {
                let place = class.places[(first + number / each).min(class.places.len() - 1)];
                all.ranges.push((range, place));
            }
        }
        all
    }

    /// The bytes between two marks and as much of the text outside of them as is there; where one
    /// of them was left out with its end of the text, as much as there is on its side.
    fn range(&self, begin: Option<Event>, end: Option<Event>, plain: &str) -> Range<usize> {
        let sides = |event: Event| {
            let text = &self.classes[event.class].texts[event.text];
            let marked = text.marked.clone().unwrap_or_default();
            (text.text.as_str(), marked)
        };
        let start = |event: Event, to: fn(Range<usize>) -> usize| {
            let (text, marked) = sides(event);
            event.at - common_suffix(&plain[..event.at], &text[..to(marked)])
        };
        let stop = |event: Event, from: fn(Range<usize>) -> usize| {
            let (text, marked) = sides(event);
            event.at + common_prefix(&plain[event.at..], &text[from(marked)..])
        };
        match (begin, end) {
            (Some(begin), Some(end)) => {
                start(begin, |marked| marked.start)..stop(end, |marked| marked.end)
            }
            (Some(begin), None) => {
                start(begin, |marked| marked.start)..stop(begin, |marked| marked.start)
            }
            (None, Some(end)) => start(end, |marked| marked.end)..stop(end, |marked| marked.end),
            (None, None) => 0..0,
        }
    }

    /// Moves marks that may have changed what the template does: equal texts get equal ones; then
    /// those of texts that begin or end with a tag, which templates look for, move inside; then the
    /// marks of the classes given, or all if there are none.
    pub(super) fn retreat(&mut self, near: &[usize]) {
        if self.join() {
            return;
        }
        let mut is_moved = false;
        for class in &mut self.classes {
            if class.standing == Standing::AtEnds && class.is_tagged() {
                class.retreat();
                is_moved = true;
            }
        }
        match (is_moved, near) {
            (true, _) => {}
            (false, []) => self.classes.iter_mut().for_each(Class::retreat),
            (false, near) => near.iter().for_each(|class| self.classes[*class].retreat()),
        }
    }

    /// Gives equal texts equal marks; whether there were any that had others.
    fn join(&mut self) -> bool {
        let mut known: BTreeMap<[u8; 32], usize> = BTreeMap::new();
        let mut classes: Vec<Class> = Vec::new();
        for (place, key) in self.keys.iter().enumerate() {
            let class = *known.entry(*key).or_insert(classes.len());
            match classes.get_mut(class) {
                Some(class) => class.places.push(place),
                None => classes.push(Class {
                    texts: self.classes[self.class_of[place]].texts.clone(),
                    places: vec![place],
                    standing: Standing::AtEnds,
                }),
            }
            self.class_of[place] = class;
        }
        let has_joined = classes.len() < self.classes.len();
        if has_joined {
            self.classes = classes;
        }
        has_joined
    }
}

impl Class {
    fn is_tagged(&self) -> bool {
        self.texts.iter().any(|text| {
            let text = text.text.trim();
            text.starts_with(['<', '[']) || text.ends_with(['>', ']'])
        })
    }

    fn retreat(&mut self) {
        self.standing = match self.standing {
            Standing::AtEnds => Standing::Inside,
            Standing::Inside | Standing::Unmarked => Standing::Unmarked,
        };
        for text in &mut self.texts {
            text.marked = match self.standing {
                Standing::AtEnds => text.marked.take(),
                Standing::Inside => inside(&text.text),
                Standing::Unmarked => None,
            };
        }
        if self.texts.iter().all(|text| text.marked.is_none()) {
            self.standing = Standing::Unmarked;
        }
    }
}

impl Text {
    fn new(text: String) -> Self {
        let start = text.len() - text.trim_start().len();
        let end = text.trim_end().len();
        Self {
            marked: (start < end).then_some(start..end),
            text,
        }
    }
}

/// The text without its first and its last word.
fn inside(text: &str) -> Option<Range<usize>> {
    let words = text.trim();
    let begin = text.len() - text.trim_start().len();
    let start = begin + words.find(char::is_whitespace)?;
    let end = begin + words.rfind(char::is_whitespace)?;
    (start < end).then_some(start..end)
}
