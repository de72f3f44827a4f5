//! Edits that were asked for already: a plan is sought for several wishes, and a larger one goes on
//! where a smaller one stopped.

use super::Survey;
use crate::{Candidate, CompressionLevel};

/// What a kind's cheapest segments are first asked for, and how many of the latest ones with them:
/// the sweep needs a choice of cheap ones and a choice of late ones, not all of a long history.
const CHEAPEST: usize = 160;
const LATEST: usize = 64;

/// The queues of one prompt, or of a part of it.
#[derive(Default)]
pub(super) struct Queues {
    /// They are of a zone or of a tool's results.
    pub(super) is_part: bool,
    /// Tool results that refer to an earlier one.
    pub(super) repeated: Option<Vec<Candidate>>,
    /// Old tool results to clear.
    pub(super) cleared: Option<Queue>,
    /// Old tool results to shorten.
    pub(super) old_compressed: Option<Levels>,
    /// Tool results to shorten before they are loaded.
    pub(super) unseen_compressed: Option<Levels>,
    /// Old reasoning to clear.
    pub(super) reasoning: Option<Queue>,
    /// Documents to leave out.
    pub(super) dropped: Option<Queue>,
    /// Texts to move to memory.
    pub(super) moved: Option<Queue>,
}

/// Segments that are asked one by one for one edit until enough is freed: first the cheapest by
/// importance per token together with the latest, then the others.
pub(super) struct Queue {
    found: Vec<Candidate>,
    /// What is asked whatever is wanted, until it is.
    first: Vec<usize>,
    /// What has not been asked yet; once sorted, the last one is next.
    others: Vec<usize>,
    is_sorted: bool,
    /// Of what was found, the edits of the first ones, and what they free.
    begun: (usize, usize),
    /// What all that was found frees.
    freed: usize,
}

impl Queue {
    /// Of these segments, in the order of the prompt.
    pub(super) fn new(survey: &Survey<'_>, mut segments: Vec<usize>) -> Self {
        let mut others = Vec::new();
        if segments.len() > CHEAPEST + LATEST {
            let latest = segments.split_off(segments.len() - LATEST);
            segments.select_nth_unstable_by(CHEAPEST, |a, b| by_price(survey, *a, *b));
            others = segments.split_off(CHEAPEST);
            segments.sort_unstable_by(|a, b| by_price(survey, *a, *b));
            segments.extend(latest);
        }
        Self {
            found: Vec::with_capacity(segments.len()),
            first: segments,
            others,
            is_sorted: false,
            begun: (0, 0),
            freed: 0,
        }
    }

    /// The edits that free so many tokens, or all.
    pub(super) fn until(
        &mut self,
        survey: &Survey<'_>,
        tokens: usize,
        mut ask: impl FnMut(usize) -> Option<Candidate>,
    ) -> Vec<Candidate> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            self.found.extend(first.into_iter().filter_map(&mut ask));
            self.freed = self.found.iter().map(Candidate::freed).sum();
            self.begun = (self.found.len(), self.freed);
        }
        if self.freed < tokens && !self.is_sorted {
            self.others
                .sort_unstable_by(|a, b| by_price(survey, *b, *a));
            self.is_sorted = true;
        }
        while self.freed < tokens
            && let Some(at) = self.others.pop()
        {
            if let Some(candidate) = ask(at) {
                self.freed += candidate.freed();
                self.found.push(candidate);
            }
        }
        let (mut end, mut freed) = self.begun;
        while freed < tokens && end < self.found.len() {
            freed += self.found[end].freed();
            end += 1;
        }
        self.found[..end].to_vec()
    }
}

/// Segments that are all shortened to one level after the other, up to the first at which they free
/// enough together.
pub(super) struct Levels {
    segments: Vec<usize>,
    found: Vec<Candidate>,
    /// By level that was asked for: where its edits end, and what they free.
    ends: Vec<(usize, usize)>,
}

impl Levels {
    /// Of these segments.
    pub(super) fn new(segments: Vec<usize>) -> Self {
        Self {
            segments,
            found: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// The edits of every level up to the first whose own free so many tokens, or of all.
    pub(super) fn until(
        &mut self,
        tokens: usize,
        mut ask: impl FnMut(usize, CompressionLevel) -> Option<Candidate>,
    ) -> Vec<Candidate> {
        let mut end = 0;
        for (number, level) in CompressionLevel::ALL.into_iter().enumerate() {
            if number == self.ends.len() {
                let from = self.found.len();
                let segments = self.segments.iter();
                self.found.extend(segments.filter_map(|&at| ask(at, level)));
                let freed = self.found[from..].iter().map(Candidate::freed).sum();
                self.ends.push((self.found.len(), freed));
            }
            let (to, freed) = self.ends[number];
            end = to;
            if freed >= tokens {
                break;
            }
        }
        self.found[..end].to_vec()
    }
}

/// The cheapest first, by importance per token.
fn by_price(survey: &Survey<'_>, a: usize, b: usize) -> std::cmp::Ordering {
    let price = |at: usize| survey.price[at];
    price(a).total_cmp(&price(b)).then(a.cmp(&b))
}
