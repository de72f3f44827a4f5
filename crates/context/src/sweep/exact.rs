//! The choice by dynamic programming over tokens freed.

use super::{Group, MAX_EXACT, Price, Start};

/// Buckets of tokens: few enough that 64 groups take a fraction of a millisecond. As long as no
/// more tokens than this are to be freed, a bucket is one token and the choice is exact.
const MAX_BUCKETS: usize = 512;

/// The least cost to free at least so many buckets of tokens, by groups considered.
pub(super) struct Table<'a> {
    groups: &'a [Group],
    start: &'a Start,
    price: &'a Price<'a>,
    /// Tokens that must be freed.
    rest: usize,
    /// Tokens per bucket.
    unit: usize,
    /// Groups considered so far.
    done: usize,
    /// The least cost, by buckets.
    cost: Vec<f64>,
    /// By group and buckets: the offer taken, counted from 1, or 0.
    taken: Vec<Vec<u8>>,
}

impl<'a> Table<'a> {
    /// A table of no group yet, for groups that no floor binds. `None` if nothing is to be freed:
    /// then there are no states to count by.
    pub(super) fn new(
        groups: &'a [Group],
        start: &'a Start,
        price: &'a Price<'a>,
        rest: usize,
    ) -> Option<Self> {
        let tokens = rest.max(price.wish().saturating_sub(start.freed));
        let unit = tokens.div_ceil(MAX_BUCKETS);
        let width = tokens.checked_div(unit).map(|_| tokens.div_ceil(unit))?;
        let mut cost = vec![f64::INFINITY; width + 1];
        cost[0] = 0.0;
        Some(Self {
            groups,
            start,
            price,
            rest,
            unit,
            done: 0,
            cost,
            taken: Vec::new(),
        })
    }

    /// Group and offer of the best choice among the first `stop` groups, which are no fewer than in
    /// the call before; `None` if rounding leaves too little.
    pub(super) fn picks(&mut self, stop: usize) -> Option<Vec<(usize, usize)>> {
        assert!(
            self.done <= stop && stop <= MAX_EXACT,
            "the table only grows"
        );
        while self.done < stop {
            self.add();
        }
        let start = self.start;
        let position = self.groups[..stop]
            .last()
            .map_or(start.position, |group| group.position.min(start.position));
        let score = |buckets: usize| {
            let freed = start.freed + buckets * self.unit;
            self.price
                .score(position, freed, start.cost + self.cost[buckets])
        };
        let mut best: Option<(f64, usize)> = None;
        for buckets in self.rest.div_ceil(self.unit)..self.cost.len() {
            // What costs no more and frees more is better.
            let cost = self.cost[buckets];
            if cost.is_infinite() || self.cost.get(buckets + 1) == Some(&cost) {
                continue;
            }
            let score = score(buckets);
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, buckets));
            }
        }
        let mut buckets = best?.1;
        let mut picks = Vec::new();
        for group in (0..stop).rev() {
            if let Some(offer) = (self.taken[group][buckets] as usize).checked_sub(1) {
                picks.push((group, offer));
                buckets =
                    buckets.saturating_sub(self.groups[group].offers[offer].freed / self.unit);
            }
        }
        Some(picks)
    }

    fn add(&mut self) {
        let mut taken = vec![0; self.cost.len()];
        // From many buckets to few, so that what is read is still without this group.
        for buckets in (1..self.cost.len()).rev() {
            for (at, offer) in self.groups[self.done].offers.iter().enumerate() {
                let before = buckets.saturating_sub(offer.freed / self.unit);
                let with = self.cost[before] + offer.cost;
                if before < buckets && with < self.cost[buckets] {
                    self.cost[buckets] = with;
                    taken[buckets] = at as u8 + 1;
                }
            }
        }
        self.taken.push(taken);
        self.done += 1;
    }
}
