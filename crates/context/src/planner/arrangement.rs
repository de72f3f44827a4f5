//! Which edits go together.

use std::collections::BTreeMap;

use smallvec::{SmallVec, smallvec};

use crate::ladder::{Scope, Survey, longest_summary};
use crate::sweep::{Choice, Group, Offer, Price, Start, Swept, sweep};
use crate::{Candidate, EditOp, LadderMode, PlanPoint, Rung, SegmentKind};

/// Candidates with the number of their rung on the ladder.
pub(super) type Pool = Vec<(usize, Candidate)>;

/// A plan that was found, before it is compared with others.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Its edits.
    pub(super) edits: Vec<Candidate>,
    /// What they cost.
    pub(super) choice: Choice,
    /// The same for the report.
    pub(super) point: PlanPoint,
    /// Milliseconds of prefill beyond those without edits.
    pub(super) extra_ms: f64,
    /// What the freed tokens are worth in the turns to come.
    pub(super) benefit: f64,
    /// The other plans that were compared.
    pub(super) points: Vec<PlanPoint>,
}

/// Which candidates are taken in any case and which may be chosen.
pub(super) struct Arrangement<'a> {
    /// Taken.
    pub(super) fixed: Vec<&'a Candidate>,
    /// What they do.
    pub(super) start: Start,
    /// May be chosen; by position, from the prompt's end to its head.
    pub(super) groups: Vec<Group>,
    pool: &'a Pool,
    /// Segments of what is taken.
    taken: Vec<bool>,
}

/// What is arranged.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Edits that were decided before.
    pub(super) base: &'a [Candidate],
    /// Everything else that could be done.
    pub(super) pool: &'a Pool,
    /// Of this the edits of single segments, as [`by_segment`] orders them.
    pub(super) singles: &'a [(usize, usize)],
    /// Candidates of rungs before this one are taken, as far as they go together.
    pub(super) forced_below: usize,
    /// Clear a repeated result and its original rather than let one refer to the other, where that
    /// frees more.
    pub(super) clear_originals: bool,
    /// What counts toward the need.
    pub(super) scope: Scope<'a>,
}

impl<'a> Arrangement<'a> {
    /// Of what is taken in any case, with those compactions, as numbers in the pool. `None` if they
    /// would leave a zone less than its floor.
    pub(super) fn of_fixed(
        survey: &Survey<'_>,
        terms: &Terms<'a>,
        compactions: &[usize],
    ) -> Option<Self> {
        let mut taken = vec![false; survey.input.segments.len()];
        let mut fixed: Vec<&Candidate> = Vec::new();
        for &at in compactions {
            let edit = &terms.pool[at].1;
            taken[edit.segments.clone()].fill(true);
            fixed.push(edit);
        }
        // What was decided inside a span that is summarised after all is void, and so is a
        // reference to something in it.
        let is_gone = |edit: &Candidate, taken: &[bool]| match edit.op {
            EditOp::Dedupe { original } => taken[original] || taken[*edit.segments.start()],
            _ => taken[*edit.segments.start()],
        };
        let base: Vec<&Candidate> = terms
            .base
            .iter()
            .filter(|edit| !is_gone(edit, &taken))
            .collect();
        for edit in base {
            taken[edit.segments.clone()].fill(true);
            fixed.push(edit);
        }
        Some(Self {
            start: start(survey, terms.scope, &fixed, compactions.len())?,
            fixed,
            groups: Vec::new(),
            pool: terms.pool,
            taken,
        })
    }

    /// With everything else that goes with it.
    pub(super) fn with_offers(mut self, survey: &Survey<'_>, terms: &Terms<'a>) -> Self {
        let offers = offers(survey, terms, &mut self.taken, &self.fixed);
        self.group(survey, terms, offers);
        self
    }

    /// Only what is taken in any case.
    pub(super) fn fixed_choice(&self, price: &Price<'_>) -> Choice {
        Choice::fixed(&self.start, price)
    }

    /// Takes what is forced and groups the rest.
    fn group(&mut self, survey: &Survey<'_>, terms: &Terms<'a>, offers: Offers) {
        let pool = self.pool;
        let mut forced: Vec<Offer> = Vec::new();
        self.groups.reserve(offers.len());
        for (_, offers) in offers {
            let is_forced = |offer: &&Offer| pool[offer.candidate].0 < terms.forced_below;
            let forced_offers = || offers.iter().filter(is_forced);
            let most = forced_offers()
                .max_by(|a, b| a.freed.cmp(&b.freed).then(b.cost.total_cmp(&a.cost)));
            if let Some(most) = most {
                // To use a rung up is no reason to lose twice as much for a little more room.
                let mild = |offer: &&Offer| {
                    terms.forced_below != usize::MAX
                        && 5 * offer.freed >= 3 * most.freed
                        && 2.0 * offer.cost <= most.cost
                };
                let mild = forced_offers().filter(mild);
                let mildest = mild.min_by(|a, b| a.cost.total_cmp(&b.cost));
                forced.push(*mildest.unwrap_or(most));
                continue;
            }
            self.groups.push(Group::new(offers));
        }
        self.groups.sort_by_key(|group| usize::MAX - group.position);
        // Where a floor does not let all of them be taken, the longest use its room best.
        forced.sort_by_key(|offer| usize::MAX - offer.freed);
        for offer in &forced {
            self.force(survey, terms.scope, offer);
        }
    }

    fn force(&mut self, survey: &Survey<'_>, scope: Scope<'_>, offer: &Offer) {
        let fits = |(zone, tokens): (usize, usize)| self.start.room[zone] >= tokens;
        let [one, two] = offer.zones;
        let both = one.0 != two.0 || fits((one.0, one.1 + two.1));
        if !fits(one) || !fits(two) || !both {
            return;
        }
        for (zone, tokens) in offer.zones {
            self.start.room[zone] -= tokens;
        }
        for at in [Some(offer.candidate), offer.also].into_iter().flatten() {
            let edit = &self.pool[at].1;
            self.fixed.push(edit);
            self.start.edits += 1;
            self.start.position = self.start.position.min(edit.position);
            self.start.counted += counted(survey, scope, edit);
        }
        self.start.freed += offer.freed;
        self.start.loss += offer.loss;
        self.start.cost += offer.cost;
    }

    /// The most that can count toward the need, floors aside.
    pub(super) fn reach(&self) -> usize {
        self.start.counted + self.groups.iter().map(Group::most).sum::<usize>()
    }

    /// The best choice that frees `need`.
    pub(super) fn sweep(&self, price: &Price<'_>, need: usize) -> Swept {
        sweep(&self.groups, &self.start, price, need)
    }

    /// The edits of a choice, in the order of their segments.
    pub(super) fn edits(&self, choice: &Choice) -> Vec<Candidate> {
        let mut edits: Vec<Candidate> = self.fixed.iter().copied().cloned().collect();
        for &(group, offer) in &choice.picks {
            let offer = &self.groups[group].offers[offer];
            for at in [Some(offer.candidate), offer.also].into_iter().flatten() {
                edits.push(self.pool[at].1.clone());
            }
        }
        edits.sort_by_key(|edit| *edit.segments.start());
        edits
    }
}

/// The edits that are no compactions, as segment and number in the pool, by segment; those of parts
/// of an example, of which one may be made, by its first one.
pub(super) fn by_segment(pool: &Pool, num_segments: usize) -> Vec<(usize, usize)> {
    let edits = || pool.iter().enumerate();
    let mut first = BTreeMap::new();
    for (_, (_, edit)) in edits().filter(|(_, (_, edit))| edit.op == EditOp::DropExample) {
        let parts = edit.segments.clone();
        first.extend(parts.map(|part| (part, *edit.segments.start())));
    }
    let singles = || {
        let singles = edits().filter(|(_, (_, edit))| !matches!(edit.op, EditOp::Compact(_)));
        singles.map(|(at, (_, edit))| {
            let segment = *edit.segments.start();
            (first.get(&segment).copied().unwrap_or(segment), at)
        })
    };
    // Sorting by counting: where the edits of each segment begin.
    let mut next = vec![0; num_segments + 1];
    for (segment, _) in singles() {
        next[segment + 1] += 1;
    }
    for segment in 0..num_segments {
        next[segment + 1] += next[segment];
    }
    let mut sorted = vec![(0, 0); next[num_segments]];
    for (segment, at) in singles() {
        sorted[next[segment]] = (segment, at);
        next[segment] += 1;
    }
    sorted
}

/// Tokens of a candidate that count toward a need.
pub(super) fn counted(survey: &Survey<'_>, scope: Scope<'_>, edit: &Candidate) -> usize {
    if matches!(scope, Scope::Prompt) {
        return edit.freed();
    }
    let inside = |at: usize| scope.contains(survey.segment(at));
    let before = edit.segments.clone().filter(|&at| inside(at));
    let before: usize = before.map(|at| survey.segment(at).tokens).sum();
    let after = if inside(*edit.segments.start()) {
        edit.after
    } else {
        0
    };
    before.saturating_sub(after)
}

/// Tokens that candidates take from each zone; negative where a summary brings more than it takes,
/// since it stands in the zone of the first segment of its span.
pub(super) fn freed_by_zone(survey: &Survey<'_>, edits: &[&Candidate]) -> Vec<isize> {
    by_zone(survey, edits, |edit| edit.after)
}

/// The same, as far as it matters to the zones' floors: a summary counts as the longest of its
/// level, so that a floor that keeps room for one is not in the way of one that has become shorter.
pub(super) fn taken_from_room(survey: &Survey<'_>, edits: &[&Candidate]) -> Vec<isize> {
    by_zone(survey, edits, |edit| match edit.op {
        EditOp::Compact(level) => longest_summary(survey, level, edit.before).max(edit.after),
        _ => edit.after,
    })
}

fn by_zone(
    survey: &Survey<'_>,
    edits: &[&Candidate],
    after: impl Fn(&Candidate) -> usize,
) -> Vec<isize> {
    let mut freed = vec![0_isize; survey.demand.len()];
    for edit in edits {
        for (freed, tokens) in freed.iter_mut().zip(survey.tokens_by_zone(&edit.segments)) {
            *freed += tokens as isize;
        }
        freed[survey.zone[*edit.segments.start()]] -= after(edit) as isize;
    }
    freed
}

/// The price of a rung beside what its edits lose, where rungs compete: a later one needs a model,
/// or another place to keep things.
fn penalty(survey: &Survey<'_>, rung: Rung) -> f64 {
    match (survey.input.policy.ladder_mode, rung) {
        (LadderMode::Strict, _) | (_, Rung::Dedupe | Rung::ClearToolResults) => 0.0,
        (_, Rung::CompactHistory) => 0.05,
        (_, Rung::ReduceRetrieval) => 0.10,
        (_, Rung::Offload | Rung::Ask) => 0.15,
    }
}

fn start(
    survey: &Survey<'_>,
    scope: Scope<'_>,
    fixed: &[&Candidate],
    compactions: usize,
) -> Option<Start> {
    let by_zone = taken_from_room(survey, fixed);
    let rooms = survey.room.iter().zip(&by_zone);
    if compactions > 0 && rooms.clone().any(|(room, freed)| *freed > *room as isize) {
        return None;
    }
    let loss: f64 = fixed.iter().map(|edit| edit.loss).sum();
    let penalties: f64 = fixed.iter().map(|edit| penalty(survey, edit.rung)).sum();
    Some(Start {
        position: fixed
            .iter()
            .map(|edit| edit.position)
            .min()
            .unwrap_or(survey.input.prompt_tokens),
        freed: fixed.iter().map(|edit| edit.freed()).sum(),
        counted: fixed.iter().map(|edit| counted(survey, scope, edit)).sum(),
        loss,
        cost: loss + penalties,
        edits: fixed.len(),
        room: rooms
            .map(|(room, freed)| room.saturating_add_signed(-freed))
            .collect(),
    })
}

/// The offers by segment, in the order of the segments.
type Offers = Vec<(usize, SmallVec<[Offer; 1]>)>;

/// The offers without those that do not go with what is taken.
fn offers(
    survey: &Survey<'_>,
    terms: &Terms<'_>,
    taken: &mut [bool],
    fixed: &[&Candidate],
) -> Offers {
    let is_edited = taken.to_vec();
    for edit in fixed {
        if let EditOp::Dedupe { original } = edit.op {
            taken[original] = true;
        }
    }
    let mut offers = Offers::with_capacity(terms.singles.len());
    let mut inputs: Vec<(usize, usize)> = Vec::new();
    let mut repeats = false;
    for edits in terms.singles.chunk_by(|a, b| a.0 == b.0) {
        let segment = edits[0].0;
        let mut here = SmallVec::with_capacity(edits.len());
        for &(_, at) in edits {
            let edit = &terms.pool[at].1;
            if taken[edit.segments.clone()].contains(&true) {
                continue;
            }
            match (&edit.op, &survey.segment(segment).kind) {
                (EditOp::Dedupe { original }, _) if is_edited[*original] => {}
                (EditOp::ClearToolInput, SegmentKind::ToolCall { call, .. }) => {
                    inputs.push((*call, at));
                }
                (op, _) => {
                    repeats |= matches!(op, EditOp::Dedupe { .. });
                    here.push(offer(survey, at, edit));
                }
            }
        }
        if !here.is_empty() {
            offers.push((segment, here));
        }
    }
    if repeats {
        settle_references(terms, &mut offers);
    }
    for (call, at) in inputs {
        pair_input(survey, terms.pool, fixed, (call, at), &mut offers);
    }
    offers
}

fn offer(survey: &Survey<'_>, at: usize, edit: &Candidate) -> Offer {
    let zone = survey.zone[*edit.segments.start()];
    Offer {
        candidate: at,
        also: None,
        position: edit.position,
        freed: edit.freed(),
        loss: edit.loss,
        cost: edit.loss + penalty(survey, edit.rung),
        zones: [(zone, edit.freed()), (zone, 0)],
    }
}

fn find(offers: &Offers, segment: usize) -> Option<usize> {
    offers
        .binary_search_by_key(&segment, |(segment, _)| *segment)
        .ok()
}

/// Arguments go with the result of their call; where that is cleared already, alone.
fn pair_input(
    survey: &Survey<'_>,
    pool: &Pool,
    fixed: &[&Candidate],
    (call, at): (usize, usize),
    offers: &mut Offers,
) {
    let input = &pool[at].1;
    let results = &survey.calls[&call];
    let is_clear = |op: &EditOp| *op == EditOp::ClearToolResult;
    let clears = |offer: &Offer| is_clear(&pool[offer.candidate].1.op);
    let offered = results.iter().find_map(|segment| {
        let group = find(offers, *segment)?;
        Some((group, offers[group].1.iter().position(clears)?))
    });
    if let Some((group, to)) = offered {
        let result = &mut offers[group].1[to];
        result.also = Some(at);
        result.position = result.position.min(input.position);
        result.freed += input.freed();
        result.loss += input.loss;
        result.cost += input.loss;
        result.zones[1] = (survey.zone[*input.segments.start()], input.freed());
        return;
    }
    let is_cleared = |segment: &usize| {
        let mut clears = fixed.iter().filter(|edit| is_clear(&edit.op));
        survey.segment(*segment).edit.is_some()
            || clears.any(|edit| edit.segments.contains(segment))
    };
    if results.iter().any(is_cleared) {
        let segment = *input.segments.start();
        let place = offers.partition_point(|(other, _)| *other < segment);
        offers.insert(place, (segment, smallvec![offer(survey, at, input)]));
    }
}

/// A repeated result refers to its original only if that stays as it is: either the copies may
/// refer, or the original may be edited.
fn settle_references(terms: &Terms<'_>, offers: &mut Offers) {
    let original = |offer: &Offer| match terms.pool[offer.candidate].1.op {
        EditOp::Dedupe { original } => Some(original),
        _ => None,
    };
    let most = |offers: &[Offer], dedupe: bool| {
        let kind = offers
            .iter()
            .filter(|offer| dedupe || original(offer).is_none());
        kind.map(|offer| offer.freed).max().unwrap_or(0)
    };
    let mut copies: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (group, (_, offers)) in offers.iter().enumerate() {
        for original in offers.iter().filter_map(original) {
            copies.entry(original).or_default().push(group);
        }
    }
    for (first, copies) in copies {
        let first = find(offers, first);
        let of_first = first.map_or(0, |first| most(&offers[first].1, false));
        let sum = |dedupe| {
            let freed = copies.iter().map(|copy| most(&offers[*copy].1, dedupe));
            freed.sum::<usize>()
        };
        if terms.clear_originals && of_first + sum(false) > sum(true) {
            for copy in copies {
                offers[copy].1.retain(|offer| original(offer).is_none());
            }
        } else if let Some(first) = first {
            offers[first].1.clear();
        }
    }
    offers.retain(|(_, offers)| !offers.is_empty());
}
