//! The choice by efficiency: least loss per token freed first.

use super::{Group, Offer, Price, Start};

/// From one offer of a group to the next that frees more. Offers are counted from 1, and 0 is none.
#[derive(Clone, Copy)]
struct Step {
    group: usize,
    from: usize,
    to: usize,
    freed: usize,
    cost: f64,
    /// Cost per token freed.
    ratio: f64,
}

/// Groups with their steps in the order of their efficiency.
pub(super) struct Greedy<'a> {
    groups: &'a [Group],
    start: &'a Start,
    price: &'a Price<'a>,
    rest: usize,
    /// The groups, if floors can bind them; if not, rooms are not kept account of.
    floors: Option<&'a [Group]>,
    steps: Vec<Step>,
    /// The least that a step frees.
    smallest: usize,
    /// By number of groups considered, the cheapest single offer that frees enough.
    single: Vec<Option<(usize, usize)>>,
    /// What the cheapest steps free, of the groups considered so far.
    covered: Taken,
    /// Steps that were tried for that.
    cut: usize,
    taken: Taken,
}

/// What is taken so far.
#[derive(Default)]
struct Taken {
    /// The offer of each group, counted from 1, or 0.
    level: Vec<usize>,
    room: Vec<usize>,
    freed: usize,
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
        let mut steps = Vec::with_capacity(groups.len());
        let mut hull = Vec::new();
        for (at, group) in groups.iter().enumerate() {
            push_hull(&mut steps, &mut hull, at, &group.offers);
        }
        Self {
            single: singles(groups, start, rest),
            groups,
            start,
            price,
            rest,
            floors: floors.then_some(groups),
            covered: Taken::default(),
            cut: 0,
            taken: Taken::default(),
            smallest: steps.iter().map(|step| step.freed).min().unwrap_or(0),
            steps: by_ratio(&steps),
        }
    }

    /// Group and offer of what is chosen among the first `stop` groups, which are no fewer than in
    /// the call before, by group; `None` if floors do not let enough be freed.
    pub(super) fn picks(
        &mut self,
        stop: usize,
    ) -> Option<impl Iterator<Item = (usize, usize)> + Clone> {
        self.cover(stop);
        let single = self.single[stop].filter(|_| self.rest > 0);
        let (mut next, cost) = self.trim(stop, single.is_some());
        if let Some((group, offer)) = single
            && (self.taken.freed < self.rest || self.groups[group].offers[offer].cost < cost)
        {
            let only = &self.groups[group].offers[offer];
            self.taken.clear(stop, &self.start.room);
            self.taken.level[group] = offer + 1;
            if self.floors.is_some() {
                take_room(&mut self.taken.room, only);
            }
            self.taken.freed = only.freed;
            next = 0;
        }
        if self.taken.freed < self.rest {
            return None;
        }
        self.ride(stop, next);
        let levels = self.taken.level.iter().enumerate();
        Some(levels.filter_map(|(at, level)| Some((at, level.checked_sub(1)?))))
    }

    /// Takes the cheapest steps until enough is freed. Without floors the steps taken are the first
    /// ones in their order, so that those of further groups only push the last ones out.
    fn cover(&mut self, stop: usize) {
        let (covered, rest) = (&mut self.covered, self.rest);
        if self.floors.is_some() {
            covered.clear(stop, &self.start.room);
            self.cut = 0;
        }
        let further = covered.level.len()..stop;
        covered.level.resize(stop, 0);
        for step in &self.steps[..self.cut] {
            if further.contains(&step.group) {
                covered.take(step, None);
            }
        }
        while let Some(last) = self.steps[..self.cut].last() {
            if last.group < stop {
                if covered.freed < rest + last.freed {
                    break;
                }
                covered.level[last.group] = last.from;
                covered.freed -= last.freed;
            }
            self.cut -= 1;
        }
        for step in &self.steps[self.cut..] {
            if covered.freed >= rest {
                break;
            }
            if step.group < stop {
                covered.take(step, self.floors);
            }
            self.cut += 1;
        }
    }

    /// Gives back what was not needed, worst first. Tells which is the first step that may be left,
    /// and, if asked for, the cost of what is taken.
    fn trim(&mut self, stop: usize, costs: bool) -> (usize, f64) {
        let (covered, taken) = (&self.covered, &mut self.taken);
        taken.level.clone_from(&covered.level);
        taken.room.clone_from(&covered.room);
        taken.freed = covered.freed;
        let tried = &self.steps[..self.cut];
        let mut cost = 0.0;
        if costs {
            let inside = tried.iter().filter(|step| step.group < stop);
            let taken = inside.filter(|step| taken.level[step.group] >= step.to);
            cost = taken.fold(0.0, |cost, step| cost + step.cost);
        }
        let mut next = self.cut;
        for (number, step) in tried.iter().enumerate().rev() {
            if taken.freed < self.rest + self.smallest {
                break;
            }
            if taken.freed >= self.rest + step.freed
                && step.group < stop
                && taken.level[step.group] == step.to
                && taken.swap(step.group, step.to, step.from, self.floors)
            {
                taken.freed -= step.freed;
                cost -= step.cost;
                next = number;
            }
        }
        // What a floor was in the way of may fit now.
        (if self.floors.is_some() { 0 } else { next }, cost)
    }

    /// Takes every step from `next` on whose savings are worth its loss: the recomputing is paid
    /// already.
    fn ride(&mut self, stop: usize, next: usize) {
        let (start, taken) = (self.start, &mut self.taken);
        let wish = self.price.wish().saturating_sub(start.freed);
        let last = self.groups[..stop].last();
        let position = last.map_or(start.position, |group| group.position.min(start.position));
        let worth = self
            .price
            .worth_per_token(position, start.freed + taken.freed);
        for step in &self.steps[next..] {
            if step.group >= stop {
                continue;
            }
            let pays = self.price.loss_weight() * step.cost < worth * step.freed as f64;
            if taken.freed >= wish || !pays {
                break;
            }
            taken.take(step, self.floors);
        }
    }
}

impl Taken {
    /// Nothing of so many groups.
    fn clear(&mut self, groups: usize, room: &[usize]) {
        self.level.clear();
        self.level.resize(groups, 0);
        self.room.clear();
        self.room.extend_from_slice(room);
        self.freed = 0;
    }

    /// Takes a step if the one before it was taken and the floors allow it.
    fn take(&mut self, step: &Step, floors: Option<&[Group]>) {
        if self.level[step.group] == step.from && self.swap(step.group, step.from, step.to, floors)
        {
            self.freed += step.freed;
        }
    }

    /// Replaces the offer that is taken of a group by another, if the floors allow it.
    #[inline]
    fn swap(&mut self, group: usize, from: usize, to: usize, floors: Option<&[Group]>) -> bool {
        let fits = floors.is_none_or(|groups| self.exchange(&groups[group].offers, from, to));
        if fits {
            self.level[group] = to;
        }
        fits
    }

    /// Gives the room of one offer to another, if there is enough for it.
    fn exchange(&mut self, offers: &[Offer], from: usize, to: usize) -> bool {
        let offer = |at: usize| Some(&offers[at.checked_sub(1)?]);
        if let Some(from) = offer(from) {
            give_room(&mut self.room, from);
        }
        let fits = offer(to).is_none_or(|to| has_room(&self.room, to));
        if let Some(next) = offer(if fits { to } else { from }) {
            take_room(&mut self.room, next);
        }
        fits
    }
}

/// The steps along the lower convex hull of a group's offers: their efficiency falls, so that they
/// come in their order when all steps are sorted. `hull` is room to work in.
fn push_hull(steps: &mut Vec<Step>, hull: &mut Vec<Step>, group: usize, offers: &[Offer]) {
    hull.clear();
    for (at, offer) in offers.iter().enumerate() {
        loop {
            let from = hull.last().map_or(0, |step| step.to);
            let (freed, cost) = match from.checked_sub(1) {
                None => (0, 0.0),
                Some(from) => (offers[from].freed, offers[from].cost),
            };
            let (freed, cost) = (offer.freed - freed, offer.cost - cost);
            let ratio = cost / freed as f64;
            if hull.pop_if(|last| last.ratio >= ratio).is_none() {
                let to = at + 1;
                hull.push(Step {
                    group,
                    from,
                    to,
                    freed,
                    cost,
                    ratio,
                });
                break;
            }
        }
    }
    steps.append(hull);
}

/// The steps in the order of their ratios. Of equal ones those of the first group come first, in
/// their own order; that is the order they are in.
fn by_ratio(steps: &[Step]) -> Vec<Step> {
    // Numbers are moved and compared faster than steps.
    let mut order: Vec<(u64, usize)> = Vec::with_capacity(steps.len());
    order.extend(
        steps
            .iter()
            .enumerate()
            .map(|(at, step)| (order_of(step.ratio), at)),
    );
    order.sort_unstable();
    order.into_iter().map(|(_, at)| steps[at]).collect()
}

/// A number for the place of another one in the total order.
fn order_of(ratio: f64) -> u64 {
    let bits = ratio.to_bits();
    if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
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
