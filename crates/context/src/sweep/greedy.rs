//! The choice by efficiency: least loss per token freed first.

use super::{Group, Offer, Price, Start};

/// From one offer of a group, or none, to the next that frees more.
struct Step {
    group: usize,
    from: Option<usize>,
    to: usize,
    freed: usize,
    cost: f64,
}

/// Groups with their steps in the order of their efficiency.
pub(super) struct Greedy<'a> {
    groups: &'a [Group],
    start: &'a Start,
    price: &'a Price<'a>,
    rest: usize,
    /// Whether floors can bind; if not, rooms are not kept account of.
    floors: bool,
    steps: Vec<Step>,
    /// By number of groups considered, the cheapest single offer that frees enough.
    single: Vec<Option<(usize, usize)>>,
}

/// What is taken so far.
struct Taken {
    level: Vec<Option<usize>>,
    room: Vec<usize>,
    freed: usize,
    cost: f64,
}

impl<'a> Greedy<'a> {
    /// For choices that free `rest` tokens beyond the start.
    pub(super) fn new(
        groups: &'a [Group],
        start: &'a Start,
        price: &'a Price<'a>,
        rest: usize,
        floors: bool,
    ) -> Self {
        let mut steps = Vec::new();
        for (at, group) in groups.iter().enumerate() {
            push_hull(&mut steps, at, &group.offers);
        }
        let ratio = |step: &Step| step.cost / step.freed as f64;
        steps.sort_by(|a, b| {
            let by_position = (a.group, a.to).cmp(&(b.group, b.to));
            ratio(a).total_cmp(&ratio(b)).then(by_position)
        });
        Self {
            single: singles(groups, start, rest),
            groups,
            start,
            price,
            rest,
            floors,
            steps,
        }
    }

    /// Group and offer of what is chosen among the first `stop` groups; `None` if floors do not let
    /// enough be freed.
    pub(super) fn picks(&self, stop: usize) -> Option<Vec<(usize, usize)>> {
        let mut taken = Taken {
            level: vec![None; stop],
            room: self.start.room.clone(),
            freed: 0,
            cost: 0.0,
        };
        self.cover(stop, &mut taken);
        let single = self.single[stop].filter(|_| self.rest > 0);
        if let Some((group, offer)) = single
            && (taken.freed < self.rest || self.groups[group].offers[offer].cost < taken.cost)
        {
            let offer_taken = &self.groups[group].offers[offer];
            taken.level.fill(None);
            taken.level[group] = Some(offer);
            taken.room.clone_from(&self.start.room);
            if self.floors {
                take_room(&mut taken.room, offer_taken);
            }
            (taken.freed, taken.cost) = (offer_taken.freed, offer_taken.cost);
        }
        if taken.freed < self.rest {
            return None;
        }
        self.ride(stop, &mut taken);
        let picked = taken.level.iter().enumerate();
        Some(
            picked
                .filter_map(|(at, level)| level.map(|level| (at, level)))
                .collect(),
        )
    }

    /// Takes steps until enough is freed, then gives back what was not needed, worst first.
    fn cover(&self, stop: usize, taken: &mut Taken) {
        let mut path = Vec::new();
        for step in self.steps.iter().filter(|step| step.group < stop) {
            if taken.freed >= self.rest {
                break;
            }
            if self.take(step, taken) {
                path.push(step);
            }
        }
        for step in path.into_iter().rev() {
            let last = taken.level[step.group] == Some(step.to);
            if last
                && taken.freed - step.freed >= self.rest
                && self.swap(step.group, Some(step.to), step.from, taken)
            {
                taken.freed -= step.freed;
                taken.cost -= step.cost;
            }
        }
    }

    /// Replaces the offer that is taken of a group, or none, by another, or none, if the floors
    /// allow it.
    fn swap(
        &self,
        group: usize,
        from: Option<usize>,
        to: Option<usize>,
        taken: &mut Taken,
    ) -> bool {
        if !self.floors {
            taken.level[group] = to;
            return true;
        }
        let offer = |at: usize| &self.groups[group].offers[at];
        if let Some(from) = from {
            give_room(&mut taken.room, offer(from));
        }
        let fits = to.is_none_or(|to| has_room(&taken.room, offer(to)));
        let next = if fits { to } else { from };
        if let Some(next) = next {
            take_room(&mut taken.room, offer(next));
        }
        taken.level[group] = next;
        fits
    }

    /// Takes every further step whose savings are worth its loss: the recomputing is paid already.
    fn ride(&self, stop: usize, taken: &mut Taken) {
        let start = self.start;
        let wish = self.price.wish().saturating_sub(start.freed);
        let last = self.groups[..stop].last();
        let position = last.map_or(start.position, |group| group.position.min(start.position));
        let worth = self
            .price
            .worth_per_token(position, start.freed + taken.freed);
        for step in self.steps.iter().filter(|step| step.group < stop) {
            let pays = self.price.loss_weight() * step.cost < worth * step.freed as f64;
            if taken.freed >= wish || !pays {
                break;
            }
            self.take(step, taken);
        }
    }

    /// Takes a step if the one before it was taken and the floors allow it.
    fn take(&self, step: &Step, taken: &mut Taken) -> bool {
        let follows = taken.level[step.group] == step.from;
        let fits = follows && self.swap(step.group, step.from, Some(step.to), taken);
        if fits {
            taken.freed += step.freed;
            taken.cost += step.cost;
        }
        fits
    }
}

/// The steps along the lower convex hull of a group's offers: their efficiency falls, so that they
/// come in their order when all steps are sorted.
fn push_hull(steps: &mut Vec<Step>, group: usize, offers: &[Offer]) {
    let mut hull: Vec<usize> = Vec::new();
    let ratio = |from: Option<usize>, to: usize| {
        let (freed, cost) = from.map_or((0, 0.0), |from| (offers[from].freed, offers[from].cost));
        (offers[to].cost - cost) / (offers[to].freed - freed) as f64
    };
    for at in 0..offers.len() {
        while let Some(&last) = hull.last() {
            let before = hull.len().checked_sub(2).map(|before| hull[before]);
            if ratio(before, last) < ratio(Some(last), at) {
                break;
            }
            hull.pop();
        }
        hull.push(at);
    }
    let mut from = None;
    for to in hull {
        let (freed, cost) = from.map_or((0, 0.0), |from: usize| {
            (offers[from].freed, offers[from].cost)
        });
        steps.push(Step {
            group,
            from,
            to,
            freed: offers[to].freed - freed,
            cost: offers[to].cost - cost,
        });
        from = Some(to);
    }
}

/// For each number of groups, the cheapest offer among them that frees `rest` tokens on its own.
fn singles(groups: &[Group], start: &Start, rest: usize) -> Vec<Option<(usize, usize)>> {
    let mut best: Option<(usize, usize)> = None;
    let mut singles = vec![None];
    for (at, group) in groups.iter().enumerate() {
        let mut offers = group.offers.iter().enumerate();
        let enough = |offer: &Offer| offer.freed >= rest && has_room(&start.room, offer);
        if let Some((to, offer)) = offers.find(|(_, offer)| enough(offer)) {
            let cheaper = best.is_none_or(|(group, to)| offer.cost < groups[group].offers[to].cost);
            if cheaper {
                best = Some((at, to));
            }
        }
        singles.push(best);
    }
    singles
}

pub(super) fn has_room(room: &[usize], offer: &Offer) -> bool {
    let [(zone, tokens), (also, more)] = offer.zones;
    if zone == also {
        room[zone] >= tokens + more
    } else {
        room[zone] >= tokens && room[also] >= more
    }
}

pub(super) fn take_room(room: &mut [usize], offer: &Offer) {
    for (zone, tokens) in offer.zones {
        room[zone] -= tokens;
    }
}

fn give_room(room: &mut [usize], offer: &Offer) {
    for (zone, tokens) in offer.zones {
        room[zone] += tokens;
    }
}
