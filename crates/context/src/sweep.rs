//! Which edits, and from where on.
//!
//! A causal model with a prefix cache computes everything behind the first changed token again, so
//! only the earliest edit of a plan costs anything to compute; those behind it ride free. The sweep
//! therefore walks the possible positions of the earliest edit from the prompt's end to its head,
//! chooses the least harmful edits at or behind each, and compares what the choices cost.

mod exact;
mod frontier;
mod greedy;
mod packing;
mod price;

use smallvec::SmallVec;

use crate::PlanPoint;
use exact::Table;
use greedy::Greedy;
use packing::packed;

pub(crate) use frontier::frontier;
pub(crate) use price::{Price, per_ms};

/// Groups up to which the choice is exact, up to the rounding of tokens to buckets.
const MAX_EXACT: usize = 64;

/// Positions that are tried; more are thinned out evenly, so that the work grows with the number of
/// candidates and not with its square.
const MAX_STOPS: usize = 64;

/// One way to edit a segment: a candidate, or two that belong together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// The caller's number of the candidate.
    pub(crate) candidate: usize,
    /// The caller's number of the one that goes with it.
    pub(crate) also: Option<usize>,
    /// Where it begins.
    pub(crate) position: usize,
    /// Tokens that it frees.
    pub(crate) freed: usize,
    /// What is lost.
    pub(crate) loss: f64,
    /// The loss as it is weighed here: with the penalty of its rung.
    pub(crate) cost: f64,
    /// Zone and tokens that it frees there, for each of the two.
    pub(crate) zones: [(usize, usize); 2],
}

/// Ways to edit a segment of which one may be taken.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Where the earliest of them begins.
    pub(crate) position: usize,
    /// None frees more for less; ascending by tokens freed.
    pub(crate) offers: SmallVec<[Offer; 1]>,
}

/// What is edited in any case.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// Where it begins; the prompt's length if nothing is.
    pub(crate) position: usize,
    /// Tokens that it frees.
    pub(crate) freed: usize,
    /// Of these, the tokens that count toward the need.
    pub(crate) counted: usize,
    /// What is lost.
    pub(crate) loss: f64,
    /// The loss as it is weighed.
    pub(crate) cost: f64,
    /// Number of edits.
    pub(crate) edits: usize,
    /// Tokens that may still be freed, by zone.
    pub(crate) room: Vec<usize>,
}

/// A choice among the groups.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// What it costs by the objective, less what it saves; doing nothing is 0.
    pub(crate) score: f64,
    /// Where the earliest edit begins.
    pub(crate) position: usize,
    /// Tokens freed.
    pub(crate) freed: usize,
    /// What is lost.
    pub(crate) loss: f64,
    /// The loss as it is weighed.
    pub(crate) cost: f64,
    /// Number of edits.
    pub(crate) edits: usize,
    /// Group and offer.
    pub(crate) picks: Vec<(usize, usize)>,
}

/// The best choice, and what the others would have been.
#[derive(Clone, Debug, Default)]
pub(crate) struct Swept {
    /// `None` if no choice frees enough.
    pub(crate) best: Option<Choice>,
    /// All choices that were compared.
    pub(crate) points: Vec<PlanPoint>,
}

impl Offer {
    /// Tokens that it frees in a zone.
    fn freed_in(&self, zone: usize) -> usize {
        let there = self.zones.iter().filter(|(at, _)| *at == zone);
        there.map(|(_, tokens)| tokens).sum()
    }
}

impl Group {
    /// A group of the offers that are not beaten by another one.
    pub(crate) fn new(mut offers: SmallVec<[Offer; 1]>) -> Self {
        let positions = offers.iter().map(|offer| offer.position);
        let position = positions.min().unwrap_or(usize::MAX);
        offers.sort_by(|a, b| b.freed.cmp(&a.freed).then(a.cost.total_cmp(&b.cost)));
        let mut cheapest = f64::INFINITY;
        offers.retain(|offer| {
            let keep = offer.cost < cheapest;
            cheapest = cheapest.min(offer.cost);
            keep
        });
        offers.reverse();
        Self { position, offers }
    }

    /// The most that it can free.
    pub(crate) fn most(&self) -> usize {
        self.offers.last().map_or(0, |offer| offer.freed)
    }
}

impl Group {
    /// The most that it can free in a zone.
    fn most_in(&self, zone: usize) -> usize {
        let inside = |offer: &Offer| offer.freed_in(zone);
        self.offers.iter().map(inside).max().unwrap_or(0)
    }
}

impl Choice {
    /// Of nothing but what is edited in any case.
    pub(crate) fn fixed(start: &Start, price: &Price<'_>) -> Self {
        Self {
            score: price.score(start.position, start.freed, start.cost),
            position: start.position,
            freed: start.freed,
            loss: start.loss,
            cost: start.cost,
            edits: start.edits,
            picks: Vec::new(),
        }
    }

    /// Without its picks, which only the best one needs.
    fn new(
        groups: &[Group],
        start: &Start,
        price: &Price<'_>,
        picks: impl Iterator<Item = (usize, usize)>,
    ) -> Self {
        let mut choice = Self::fixed(start, price);
        for (group, offer) in picks {
            let offer = &groups[group].offers[offer];
            choice.position = choice.position.min(offer.position);
            choice.freed += offer.freed;
            choice.loss += offer.loss;
            choice.cost += offer.cost;
            choice.edits += 1 + usize::from(offer.also.is_some());
        }
        choice.score = price.score(choice.position, choice.freed, choice.cost);
        choice
    }

    /// Whether it is to be preferred: by score, then by what is visible.
    fn beats(&self, other: &Self) -> bool {
        let by = |choice: &Self| (choice.score, choice.loss);
        let ((score, loss), (other_score, other_loss)) = (by(self), by(other));
        score
            .total_cmp(&other_score)
            .then(loss.total_cmp(&other_loss))
            .then(other.position.cmp(&self.position))
            .is_lt()
    }
}

impl Swept {
    fn consider(
        &mut self,
        groups: &[Group],
        start: &Start,
        price: &Price<'_>,
        picks: impl Iterator<Item = (usize, usize)> + Clone,
    ) {
        let choice = Choice::new(groups, start, price, picks.clone());
        self.points.push(price.point(&choice));
        if self.best.as_ref().is_none_or(|best| choice.beats(best)) {
            let best = self.best.take();
            let mut room = best.map_or_else(|| Vec::with_capacity(groups.len()), |best| best.picks);
            room.clear();
            room.extend(picks);
            self.best = Some(Choice {
                picks: room,
                ..choice
            });
        }
    }
}

/// Whether to take the most of every group would leave some zone less than its floor. Told from
/// above where offers of a group are in different zones.
fn floors_bind(groups: &[Group], start: &Start) -> bool {
    let mut most = vec![0; start.room.len()];
    let mut here = most.clone();
    for group in groups {
        for offer in &group.offers {
            for (zone, _) in offer.zones {
                here[zone] = offer.freed_in(zone).max(here[zone]);
            }
        }
        for (zone, _) in group.offers.iter().flat_map(|offer| offer.zones) {
            most[zone] += std::mem::take(&mut here[zone]);
        }
    }
    most.iter().zip(&start.room).any(|(most, room)| most > room)
}

/// Chooses from `groups`, which are sorted by position from the prompt's end to its head, so that
/// at least `need` tokens are freed, at the lowest score.
///
/// For each position: the edits of least loss that free enough, by efficiency and, up to 64 groups,
/// exactly; then every further one whose savings are worth its loss. Where floors keep all of these
/// from freeing enough, any choice that does.
pub(crate) fn sweep(groups: &[Group], start: &Start, price: &Price<'_>, need: usize) -> Swept {
    let rest = need.saturating_sub(start.counted);
    let floors = floors_bind(groups, start);
    let mut greedy = Greedy::new(groups, start, price, rest, floors);
    let mut table = match floors {
        true => None,
        false => Table::new(groups, start, price, rest),
    };
    let mut swept = Swept::default();
    for stop in stops(groups, start, price, rest) {
        if let Some(picks) = greedy.picks(stop) {
            swept.consider(groups, start, price, picks);
        }
        let exact = table.as_mut().filter(|_| stop <= MAX_EXACT);
        if let Some(picks) = exact.and_then(|table| table.picks(stop)) {
            swept.consider(groups, start, price, picks.into_iter());
        }
    }
    if swept.best.is_none()
        && let Some(picks) = packed(groups, start, rest)
    {
        swept.consider(groups, start, price, picks.into_iter());
    }
    swept
}

/// How many groups to consider each time: up to the last one of each position that makes a
/// difference, once the groups so far can free enough.
fn stops(groups: &[Group], start: &Start, price: &Price<'_>, rest: usize) -> Vec<usize> {
    let effective = |group: &Group| group.position.min(start.position).min(price.matched());
    let mut stops = Vec::new();
    let mut reach = 0;
    if rest == 0 {
        stops.push(0);
    }
    for (at, group) in groups.iter().enumerate() {
        reach += group.most();
        let last = groups
            .get(at + 1)
            .is_none_or(|next| effective(next) < effective(group));
        if last && reach >= rest {
            stops.push(at + 1);
        }
    }
    if stops.len() > MAX_STOPS {
        let stride = stops.len().div_ceil(MAX_STOPS);
        let last = stops.len() - 1;
        let thinned = stops.iter().enumerate();
        stops = thinned
            .filter(|(at, _)| at % stride == 0 || *at == last)
            .map(|(_, stop)| *stop)
            .collect();
    }
    stops
}

#[cfg(test)]
mod tests;
