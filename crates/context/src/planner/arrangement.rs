//! Which edits go together.

use std::collections::BTreeMap;

use crate::ladder::{Scope, Survey};
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
}

/// What is arranged.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Edits that were decided before.
    pub(super) base: &'a [Candidate],
    /// Everything else that could be done.
    pub(super) pool: &'a Pool,
    /// Numbers in the pool of the compactions that are made.
    pub(super) compactions: &'a [usize],
    /// Candidates of rungs before this one are taken, as far as they go together.
    pub(super) forced_below: usize,
    /// Clear a repeated result and its original rather than let one refer to the other, where that
    /// frees more.
    pub(super) clear_originals: bool,
    /// What counts toward the need.
    pub(super) scope: Scope<'a>,
}

impl<'a> Arrangement<'a> {
    /// `None` if the compactions would leave a zone less than its floor.
    pub(super) fn new(survey: &Survey<'_>, terms: &Terms<'a>) -> Option<Self> {
        let mut taken = vec![false; survey.input.segments.len()];
        let mut fixed: Vec<&Candidate> = Vec::new();
        for &at in terms.compactions {
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
        let mut arrangement = Self {
            start: start(survey, terms.scope, &fixed, terms.compactions.len())?,
            fixed,
            groups: Vec::new(),
            pool: terms.pool,
        };
        let offers = offers(survey, terms, &mut taken, &arrangement.fixed);
        arrangement.group(survey, terms, offers);
        Some(arrangement)
    }

    /// Takes what is forced and groups the rest.
    fn group(
        &mut self,
        survey: &Survey<'_>,
        terms: &Terms<'a>,
        offers: BTreeMap<usize, Vec<Offer>>,
    ) {
        let pool = self.pool;
        let mut forced: Vec<Offer> = Vec::new();
        for offers in offers.into_values() {
            let is_forced = |offer: &&Offer| pool[offer.candidate].0 < terms.forced_below;
            let most = offers
                .iter()
                .filter(is_forced)
                .max_by(|a, b| a.freed.cmp(&b.freed).then(b.cost.total_cmp(&a.cost)));
            if let Some(most) = most {
                forced.push(*most);
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

/// Tokens of a candidate that count toward a need.
pub(super) fn counted(survey: &Survey<'_>, scope: Scope<'_>, edit: &Candidate) -> usize {
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
    let mut freed = vec![0_isize; survey.demand.len()];
    for edit in edits {
        for at in edit.segments.clone() {
            freed[survey.zone[at]] += survey.segment(at).tokens as isize;
        }
        freed[survey.zone[*edit.segments.start()]] -= edit.after as isize;
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
    let by_zone = freed_by_zone(survey, fixed);
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

/// The offers by segment, without those that do not go with what is taken.
fn offers(
    survey: &Survey<'_>,
    terms: &Terms<'_>,
    taken: &mut [bool],
    fixed: &[&Candidate],
) -> BTreeMap<usize, Vec<Offer>> {
    let is_edited = taken.to_vec();
    for edit in fixed {
        if let EditOp::Dedupe { original } = edit.op {
            taken[original] = true;
        }
    }
    let mut offers: BTreeMap<usize, Vec<Offer>> = BTreeMap::new();
    let mut inputs: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, (_, edit)) in terms.pool.iter().enumerate() {
        let segment = *edit.segments.start();
        match (&edit.op, &survey.segment(segment).kind) {
            (EditOp::Compact(_), _) => continue,
            (EditOp::Dedupe { original }, _) if is_edited[*original] => continue,
            (EditOp::ClearToolInput, SegmentKind::ToolCall { call, .. }) if !taken[segment] => {
                inputs.insert(*call, at);
                continue;
            }
            _ if taken[segment] => continue,
            _ => offers
                .entry(segment)
                .or_default()
                .push(offer(survey, at, edit)),
        }
    }
    pair_inputs(survey, terms.pool, inputs, &mut offers);
    settle_references(survey, terms, &mut offers);
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

/// Arguments go with the result of their call; where that was cleared before, alone.
fn pair_inputs(
    survey: &Survey<'_>,
    pool: &Pool,
    inputs: BTreeMap<usize, usize>,
    offers: &mut BTreeMap<usize, Vec<Offer>>,
) {
    for (call, at) in inputs {
        let input = &pool[at].1;
        let clear = |offer: &Offer| pool[offer.candidate].1.op == EditOp::ClearToolResult;
        let cleared = survey.calls[&call].iter().find_map(|segment| {
            let to = offers.get(segment)?.iter().position(clear)?;
            Some((*segment, to))
        });
        if let Some((segment, to)) = cleared {
            let result = &mut offers.get_mut(&segment).expect("it was found there")[to];
            result.also = Some(at);
            result.position = result.position.min(input.position);
            result.freed += input.freed();
            result.loss += input.loss;
            result.cost += input.loss;
            result.zones[1] = (survey.zone[*input.segments.start()], input.freed());
        } else {
            let alone = offer(survey, at, input);
            offers
                .entry(*input.segments.start())
                .or_default()
                .push(alone);
        }
    }
}

/// A repeated result refers to its original only if that stays as it is: either the copies may
/// refer, or the original may be edited.
fn settle_references(
    survey: &Survey<'_>,
    terms: &Terms<'_>,
    offers: &mut BTreeMap<usize, Vec<Offer>>,
) {
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
    for (&segment, offers) in offers.iter() {
        for original in offers.iter().filter_map(original) {
            copies.entry(original).or_default().push(segment);
        }
    }
    for (first, copies) in copies {
        let of_first = offers.get(&first).map_or(0, |offers| most(offers, false));
        let sum = |dedupe| {
            copies
                .iter()
                .map(|copy| most(&offers[copy], dedupe))
                .sum::<usize>()
        };
        if terms.clear_originals && of_first + sum(false) > sum(true) {
            for copy in copies {
                let offers = offers.get_mut(&copy).expect("the copy has offers");
                offers.retain(|offer| original(offer).is_none());
            }
        } else {
            offers.remove(&first);
        }
    }
    offers.retain(|_, offers| !offers.is_empty());
    debug_assert!(offers.keys().all(|&at| at < survey.input.segments.len()));
}
