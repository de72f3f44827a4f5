//! Which bytes of a rendered conversation are whose.
//!
//! A chat template may leave text out, move it, trim it or write it as JSON, so what a text costs
//! cannot be read off the message. The conversation is rendered a second time with a mark at both
//! ends of every text: without the marks that rendering must be the plain one, byte for byte, and
//! then the marks say exactly where each text stands.
//!
//! Some templates look at how a text begins or ends, or compare texts, and render something else
//! when they meet a mark. Then equal texts get equal marks, and marks that can be the cause move
//! inside of their text, or go; texts without marks are searched for between their neighbours, and
//! a few that are not found are replaced by others to see what changes. Whatever is left belongs to
//! the template.

use std::ops::Range;

use crate::budget::place::Place;
use crate::validate::chat::Conversation;

mod extent;
mod mark;

use extent::Extents;
use mark::{Found, Marks};

/// Renderings with marks, one for a template that takes them.
const MAX_RENDERS: usize = 7;

/// Texts whose place is found by leaving them out.
const MAX_PROBES: usize = 8;

/// Where texts stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::budget) struct Spans {
    /// For each place: its bytes in the rendered conversation; empty if it is not shown. They do
    /// not overlap, and may stand in another order than the places.
    pub(in crate::budget) ranges: Vec<Range<usize>>,
    /// Whether all were found by marks. Otherwise some were searched for: a text that also stands
    /// elsewhere may have been found there.
    pub(in crate::budget) is_exact: bool,
}

impl Spans {
    /// Finds the texts at `places` in `plain`, the rendered `conversation`. `render` renders
    /// another one the same way; `None` if the template refuses it.
    pub(in crate::budget) fn find(
        conversation: &Conversation,
        places: &[Place],
        plain: &str,
        render: impl Fn(&Conversation) -> Option<String>,
    ) -> Self {
        let mut marks = Marks::new(conversation, places, plain);
        let mut found = None;
        for _ in 0..MAX_RENDERS {
            let near = match render(&marks.mark(conversation)) {
                Some(rendered) => match marks.take_out(&rendered, plain) {
                    Ok(taken) => {
                        found = Some(taken);
                        break;
                    }
                    Err(near) => near,
                },
                // The template refuses what is marked; it says not which.
                None => Vec::new(),
            };
            marks.retreat(&near);
        }
        let is_marked = found.is_some();
        let Found { ranges, is_clear } = found.unwrap_or_default();
        let mut extents = Extents::new(plain, places, ranges);
        let mut is_exact = is_clear;
        let mut probes = MAX_PROBES;
        for (number, place) in places.iter().enumerate() {
            let is_known = is_marked && marks.is_marked(number);
            if is_known || marks.is_blank(number) {
                continue;
            }
            is_exact = false;
            let range = extents.search(number, marks.texts(number)).or_else(|| {
                probes = probes.checked_sub(1)?;
                difference(conversation, *place, plain, &render)
            });
            extents.add(number, range);
        }
        Self {
            ranges: by_place(extents.finish(), places.len()),
            is_exact,
        }
    }
}

/// Every place's range; one that is not shown has an empty one behind that of the place before it.
fn by_place(found: Vec<(Range<usize>, usize)>, places: usize) -> Vec<Range<usize>> {
    let mut shown = vec![None; places];
    for (range, place) in found {
        shown[place] = Some(range);
    }
    let mut before = 0;
    let ranges = shown.into_iter().map(|range| {
        let range = range.unwrap_or(before..before);
        before = range.end;
        range
    });
    ranges.collect()
}

/// The bytes of `plain` that are others when the text at `place` is another.
fn difference(
    conversation: &Conversation,
    place: Place,
    plain: &str,
    render: &impl Fn(&Conversation) -> Option<String>,
) -> Option<Range<usize>> {
    const OTHER: &str = "\u{1}";
    let mut changed = conversation.clone();
    place.visit_strings(&mut changed, &mut |text| OTHER.clone_into(text));
    let other = render(&changed)?;
    let start = common_prefix(plain, &other);
    let end = plain.len() - common_suffix(&plain[start..], &other[start..]);
    (start < end).then_some(start..end)
}

/// Bytes with which both texts begin.
fn common_prefix(a: &str, b: &str) -> usize {
    let pairs = a.chars().zip(b.chars());
    pairs
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum()
}

/// Bytes with which both texts end.
fn common_suffix(a: &str, b: &str) -> usize {
    let pairs = a.chars().rev().zip(b.chars().rev());
    pairs
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum()
}
