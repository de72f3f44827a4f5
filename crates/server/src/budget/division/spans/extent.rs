//! From where strings stand to what belongs to them.

use std::ops::Range;

use crate::budget::place::Place;

/// Bytes before a tool's name in which its definition begins.
const BEFORE_TOOL: usize = 4_096;

/// Bytes before a call's name in which its JSON begins.
const BEFORE_CALL: usize = 64;

/// Bytes behind a name in which its parameters or arguments begin.
const BEHIND_NAME: usize = 32;

/// Ranges of a rendered conversation on their way to [`super::Spans`].
pub(super) struct Extents<'a> {
    plain: &'a str,
    places: &'a [Place],
    /// Ascending, without overlap.
    ranges: Vec<(Range<usize>, usize)>,
}

impl<'a> Extents<'a> {
    pub(super) fn new(
        plain: &'a str,
        places: &'a [Place],
        ranges: Vec<(Range<usize>, usize)>,
    ) -> Self {
        let mut extents = Self {
            plain,
            places,
            ranges,
        };
        extents.tidy();
        extents
    }

    /// Looks for the texts of a place behind those of the places before it and in front of those
    /// behind it, where nothing else was found.
    pub(super) fn search<'t>(
        &self,
        place: usize,
        texts: impl Iterator<Item = &'t str>,
    ) -> Option<Range<usize>> {
        let before = self.ranges.iter().filter(|(_, other)| *other < place);
        let mut cursor = before.map(|(range, _)| range.end).max().unwrap_or(0);
        let behind = self.ranges.iter().filter(|(_, other)| *other > place);
        let limit = behind
            .map(|(range, _)| range.start)
            .filter(|start| *start >= cursor)
            .min();
        let limit = limit.unwrap_or(self.plain.len());
        let mut found: Option<Range<usize>> = None;
        for text in texts.map(str::trim).filter(|text| !text.is_empty()) {
            let at = cursor + self.plain[cursor..limit].find(text)?;
            cursor = at + text.len();
            found = Some(found.map_or(at, |range| range.start)..cursor);
        }
        found
    }

    /// Gives a range to a place, as far as it is nobody's.
    pub(super) fn add(&mut self, place: usize, range: Option<Range<usize>>) {
        let Some(mut range) = range else { return };
        for (other, _) in &self.ranges {
            if other.start <= range.start && range.start < other.end {
                range.start = other.end.min(range.end);
            } else if range.start < other.start && other.start < range.end {
                range.end = other.start;
            }
        }
        if !range.is_empty() {
            self.ranges.push((range, place));
            self.ranges.sort_unstable_by_key(|(range, _)| range.start);
        }
    }

    /// The ranges with what belongs to them: all of a tool's definition and of a call, and what
    /// stands between the parts of one place.
    pub(super) fn finish(mut self) -> Vec<(Range<usize>, usize)> {
        self.join();
        self.keep_longest();
        for at in 0..self.ranges.len() {
            let (range, place) = self.ranges[at].clone();
            let from = at
                .checked_sub(1)
                .map_or(0, |before| self.ranges[before].0.end);
            let to = self
                .ranges
                .get(at + 1)
                .map_or(self.plain.len(), |next| next.0.start);
            let whole = match self.places[place] {
                Place::Tool(_) => self.tool(range, from..to),
                Place::Call(..) => self.call(range, from..to),
                _ => range,
            };
            self.ranges[at].0 = whole;
        }
        self.ranges
    }

    /// Sorts ranges, and cuts what two of them claim off the later one.
    fn tidy(&mut self) {
        self.ranges
            .sort_by_key(|(range, place)| (range.start, *place));
        let mut end = 0;
        self.ranges.retain_mut(|(range, _)| {
            range.start = range.start.max(end);
            end = end.max(range.end);
            range.start < range.end
        });
    }

    /// Neighbours of one place become one.
    fn join(&mut self) {
        self.ranges.dedup_by(|next, last| {
            let is_same = next.1 == last.1;
            if is_same {
                last.0.end = next.0.end;
            }
            is_same
        });
    }

    /// A text that the template shows in several places is counted in one: a segment is a range of
    /// tokens. The others are the template's.
    fn keep_longest(&mut self) {
        let mut longest = vec![0; self.places.len()];
        for (range, place) in &self.ranges {
            longest[*place] = longest[*place].max(range.end - range.start);
        }
        self.ranges.retain(|(range, place)| {
            let is_longest = range.end - range.start == longest[*place];
            longest[*place] = if is_longest {
                usize::MAX
            } else {
                longest[*place]
            };
            is_longest
        });
    }

    /// A tool's definition: the outermost object around its strings, else their lines.
    fn tool(&self, strings: Range<usize>, free: Range<usize>) -> Range<usize> {
        if let Some(object) = self.object_around(&strings, &free, BEFORE_TOOL) {
            return object;
        }
        let line = self.plain[free.start..strings.start].rfind('\n');
        let start = line.map_or(free.start, |at| free.start + at + 1);
        let end = self.brackets_behind(&strings, &free).unwrap_or(strings.end);
        let rest = &self.plain[end..free.end];
        let line = rest[..floor(rest, BEHIND_NAME)].find('\n');
        start..end + line.unwrap_or(0)
    }

    /// A call: the object around its strings, else its name with the arguments behind it.
    fn call(&self, strings: Range<usize>, free: Range<usize>) -> Range<usize> {
        if let Some(object) = self.object_around(&strings, &free, BEFORE_CALL) {
            return object;
        }
        let end = self.brackets_behind(&strings, &free).unwrap_or(strings.end);
        strings.start..end
    }

    /// The outermost object that begins at most `before` bytes before the strings and has all of
    /// them.
    fn object_around(
        &self,
        strings: &Range<usize>,
        free: &Range<usize>,
        before: usize,
    ) -> Option<Range<usize>> {
        let from = ceil(
            self.plain,
            free.start.max(strings.start.saturating_sub(before)),
        );
        let braces = self.plain[from..strings.start].match_indices('{');
        braces.map(|(at, _)| from + at).find_map(|start| {
            let end = closing(&self.plain[..free.end], start)?;
            (end >= strings.end).then_some(start..end)
        })
    }

    /// The end of the brackets that open inside the strings or soon behind them.
    fn brackets_behind(&self, strings: &Range<usize>, free: &Range<usize>) -> Option<usize> {
        let all = &self.plain[strings.start..free.end];
        let opens = all.match_indices(['{', '(']).map(|(at, _)| at).next()?;
        if strings.start + opens > strings.end + BEHIND_NAME {
            return None;
        }
        let end = closing(&self.plain[..free.end], strings.start + opens)?;
        (end >= strings.end).then_some(end)
    }
}

/// The end of the brackets that open at `start`; `None` if they do not close.
fn closing(text: &str, start: usize) -> Option<usize> {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match (in_string, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[' | b'(') => depth += 1,
            (false, b'}' | b']' | b')') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The first border of a character from `at` on.
fn ceil(text: &str, at: usize) -> usize {
    (at..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len())
}

/// The last border of a character up to `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}
