//! The way down the ladder to a plan that frees enough.

use super::arrangement::{Arrangement, Found, Pool, Terms, by_segment, counted};
use super::asked::Asked;
use crate::ladder::{Scope, Survey, Wanted, step};
use crate::sweep::{Choice, Price};
use crate::{Candidate, EditOp, LadderMode, PlanPoint, Rung};

/// What a plan must do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal<'a> {
    /// Tokens to free, with what was decided before.
    pub(super) need: usize,
    /// Tokens whose freeing is worth something.
    pub(super) wish: usize,
    /// Where the needed ones are.
    pub(super) scope: Scope<'a>,
    /// Everything is asked for before the goal is given up.
    pub(super) must: bool,
}

/// A search for plans of one prompt.
pub(super) struct Search<'s, 'r> {
    /// The prompt.
    pub(super) survey: &'s Survey<'s>,
    /// The rungs that were asked for candidates.
    pub(super) tried: Vec<Rung>,
    /// Replacements, as far as they were asked for.
    pub(super) asked: &'s mut Asked<'r>,
}

impl<'s, 'r> Search<'s, 'r> {
    /// Of a prompt.
    pub(super) fn new(survey: &'s Survey<'s>, asked: &'s mut Asked<'r>) -> Self {
        Self {
            survey,
            tried: Vec::new(),
            asked,
        }
    }

    /// The best plan that keeps `base` and reaches the goal: in strict mode with the first rungs
    /// that suffice, in cost mode with all.
    ///
    /// # Errors
    /// All edits that go together, if they do not reach it; none, if the goal is no must.
    pub(super) fn solve(
        &mut self,
        base: &[Candidate],
        goal: &Goal<'_>,
    ) -> Result<Found, Vec<Candidate>> {
        let price = Price::new(self.survey.input, goal.wish);
        let strict = self.survey.input.policy.ladder_mode == LadderMode::Strict;
        let rungs = self.survey.input.policy.ladder.clone();
        let total = goal.wish.max(goal.need);
        let mut pool = Pool::new();
        let mut reach = 0;
        for (number, &rung) in rungs.iter().enumerate() {
            let before = pool.len();
            let missing = total.saturating_sub(reach);
            self.extend(&mut pool, number, rung, missing, goal.scope);
            if !strict {
                continue;
            }
            match self.best(base, &pool, goal, &price, number) {
                Ok(found) => return Ok(found),
                Err(most) => reach = most,
            }
            // What was asked for may exclude each other; and to take all of the earlier rungs may
            // fill a floor's room badly, or take the milder edits where the others would do.
            if !goal.must {
                if let Ok(found) = self.best(base, &pool, goal, &price, 0) {
                    return Ok(found);
                }
                continue;
            }
            let asked = pool.len();
            pool.truncate(before);
            self.extend(&mut pool, number, rung, usize::MAX, goal.scope);
            let again = if pool.len() > asked { number } else { 0 };
            for forced_below in [again, 0] {
                match self.best(base, &pool, goal, &price, forced_below) {
                    Ok(found) => return Ok(found),
                    Err(most) => reach = most,
                }
            }
        }
        if !strict {
            if let Ok(found) = self.best(base, &pool, goal, &price, 0) {
                return Ok(found);
            }
            if !goal.must {
                return Err(Vec::new());
            }
            pool.clear();
            for (number, &rung) in rungs.iter().enumerate() {
                self.extend(&mut pool, number, rung, usize::MAX, goal.scope);
            }
            if let Ok(found) = self.best(base, &pool, goal, &price, 0) {
                return Ok(found);
            }
        }
        if !goal.must {
            return Err(Vec::new());
        }
        // Where floors bind, to take all that fits can succeed where choosing did not.
        let most = self.everything(base, &pool, goal);
        let counts = |edit| counted(self.survey, goal.scope, edit);
        match most.iter().map(counts).sum::<usize>() >= goal.need {
            true => Ok(self.found(&most, &price)),
            false => Err(most),
        }
    }

    /// What pays for itself toward a goal that is out of reach.
    pub(super) fn worthwhile(&mut self, base: &[Candidate], goal: &Goal<'_>) -> Option<Found> {
        let price = Price::new(self.survey.input, goal.wish);
        let mut pool = Pool::new();
        for (number, rung) in self
            .survey
            .input
            .policy
            .ladder
            .clone()
            .into_iter()
            .enumerate()
        {
            self.extend(&mut pool, number, rung, goal.wish, goal.scope);
        }
        self.best(base, &pool, goal, &price, 0).ok()
    }

    /// The plan that has exactly these edits.
    pub(super) fn found(&self, edits: &[Candidate], price: &Price<'_>) -> Found {
        let pool = Pool::new();
        let terms = Terms {
            base: edits,
            pool: &pool,
            singles: &[],
            forced_below: 0,
            clear_originals: false,
            scope: Scope::Prompt,
        };
        let arrangement = Arrangement::of_fixed(self.survey, &terms, &[])
            .expect("only a compaction of the pool can be refused");
        let choice = arrangement.fixed_choice(price);
        found(&arrangement, choice, price, Vec::new())
    }

    /// Adds candidates of a rung that free about so many tokens.
    fn extend(
        &mut self,
        pool: &mut Pool,
        number: usize,
        rung: Rung,
        tokens: usize,
        scope: Scope<'_>,
    ) {
        if !self.tried.contains(&rung) {
            self.tried.push(rung);
        }
        let wanted = Wanted { tokens, scope };
        if let Some(step) = step(rung) {
            let candidates = step.candidates(self.survey, self.asked, &wanted);
            pool.extend(candidates.into_iter().map(|candidate| (number, candidate)));
        }
    }

    /// The best plan from a pool; or, if it does not suffice, the most that it can free.
    fn best(
        &self,
        base: &[Candidate],
        pool: &Pool,
        goal: &Goal<'_>,
        price: &Price<'_>,
        forced_below: usize,
    ) -> Result<Found, usize> {
        let bound = bound(self.survey, base, pool, goal.scope);
        if bound < goal.need {
            return Err(bound);
        }
        let singles = by_segment(pool, self.survey.input.segments.len());
        let mut points = Vec::new();
        let mut reach = 0;
        let repeats = |(_, edit): &(usize, Candidate)| matches!(edit.op, EditOp::Dedupe { .. });
        let modes: &[bool] = if pool.iter().any(repeats) {
            &[false, true]
        } else {
            &[false]
        };
        for &clear_originals in modes {
            let mut best: Option<(Arrangement<'_>, Choice)> = None;
            for compactions in compactions(base, pool, forced_below) {
                let terms = Terms {
                    base,
                    pool,
                    singles: &singles,
                    forced_below,
                    clear_originals,
                    scope: goal.scope,
                };
                let Some(fixed) = Arrangement::of_fixed(self.survey, &terms, &compactions) else {
                    continue;
                };
                // Further edits lose more and begin no later: the best that they can do is to go
                // down to the low mark for nothing.
                let least = price.least(&fixed.start);
                let is_beaten = best.as_ref().is_some_and(|(_, best)| least >= best.score);
                if is_beaten && fixed.start.counted >= goal.need {
                    points.push(price.point(&fixed.fixed_choice(price)));
                    continue;
                }
                let arrangement = fixed.with_offers(self.survey, &terms);
                reach = reach.max(arrangement.reach());
                if arrangement.reach() < goal.need {
                    continue;
                }
                let swept = arrangement.sweep(price, goal.need);
                points.extend(swept.points);
                let Some(choice) = swept.best else { continue };
                if best
                    .as_ref()
                    .is_none_or(|(_, best)| choice.score < best.score)
                {
                    best = Some((arrangement, choice));
                }
            }
            if let Some((arrangement, choice)) = best {
                return Ok(found(&arrangement, choice, price, points));
            }
        }
        // Floors can keep a plan from what its parts would reach.
        Err(reach.min(goal.need.saturating_sub(1)))
    }

    /// The edits that free the most together.
    fn everything(&self, base: &[Candidate], pool: &Pool, goal: &Goal<'_>) -> Vec<Candidate> {
        let singles = by_segment(pool, self.survey.input.segments.len());
        let mut most: Option<(usize, Vec<Candidate>)> = None;
        for clear_originals in [false, true] {
            for compactions in compactions(base, pool, 0) {
                let terms = Terms {
                    base,
                    pool,
                    singles: &singles,
                    forced_below: usize::MAX,
                    clear_originals,
                    scope: goal.scope,
                };
                let Some(fixed) = Arrangement::of_fixed(self.survey, &terms, &compactions) else {
                    continue;
                };
                let arrangement = fixed.with_offers(self.survey, &terms);
                let counted = arrangement.start.counted;
                if most.as_ref().is_none_or(|(best, _)| counted > *best) {
                    let edits = arrangement.fixed.iter().copied().cloned().collect();
                    most = Some((counted, edits));
                }
            }
        }
        let mut edits = most.map_or_else(|| base.to_vec(), |(_, edits)| edits);
        edits.sort_by_key(|edit| *edit.segments.start());
        edits
    }
}

fn found(
    arrangement: &Arrangement<'_>,
    choice: Choice,
    price: &Price<'_>,
    points: Vec<PlanPoint>,
) -> Found {
    Found {
        edits: arrangement.edits(&choice),
        point: price.point(&choice),
        extra_ms: price.extra_ms(choice.position, choice.freed),
        benefit: price.benefit(choice.freed.min(price.wish())),
        choice,
        points,
    }
}

/// More than a pool can free with what was decided before: as if no edit stood in another's way.
fn bound(survey: &Survey<'_>, base: &[Candidate], pool: &Pool, scope: Scope<'_>) -> usize {
    let single = Singles::new(pool);
    let spans = spans(base, pool).into_iter().map(|span| {
        let more = span.into_iter().map(|at| {
            let span = &pool[at].1;
            counted(survey, scope, span).saturating_sub(single.inside(span))
        });
        more.max().unwrap_or(0)
    });
    let decided = base.iter().map(|edit| counted(survey, scope, edit));
    spans.sum::<usize>() + decided.sum::<usize>() + single.all()
}

/// The most that the edits of single segments free, summed up from the prompt's head.
struct Singles(Vec<usize>);

impl Singles {
    fn new(pool: &Pool) -> Self {
        let ends = pool.iter().map(|(_, edit)| *edit.segments.end() + 1);
        let mut most = vec![0; 1 + ends.max().unwrap_or(0)];
        for (_, edit) in pool {
            let most = &mut most[*edit.segments.start() + 1];
            if !matches!(edit.op, EditOp::Compact(_)) {
                *most = edit.freed().max(*most);
            }
        }
        let mut sum = 0;
        for most in &mut most {
            sum += *most;
            *most = sum;
        }
        Self(most)
    }

    /// Of those inside a span.
    fn inside(&self, span: &Candidate) -> usize {
        self.0[*span.segments.end() + 1] - self.0[*span.segments.start()]
    }

    fn all(&self) -> usize {
        self.0[self.0.len() - 1]
    }
}

/// The sets of compactions to try, as numbers in the pool: none; each of the oldest span; the
/// oldest spans together, twice as many each time, each at the level that frees most; all that free
/// more than the edits inside them. Where compaction is forced, only the last.
fn compactions(base: &[Candidate], pool: &Pool, forced_below: usize) -> Vec<Vec<usize>> {
    let spans = spans(base, pool);
    let Some(first) = spans.first() else {
        return vec![Vec::new()];
    };
    let most = most_freeing(pool, &spans);
    if pool[first[0]].0 < forced_below {
        return vec![most];
    }
    let single = first.iter().map(|&at| vec![at]);
    let longest: Vec<usize> = spans.iter().map(|span| longest(pool, span)).collect();
    let doubled = std::iter::successors(Some(2), |count| Some(count * 2));
    let heads = doubled.take_while(|count| *count < longest.len());
    let heads = heads.map(|count| longest[..count].to_vec());
    let mut sets: Vec<Vec<usize>> = std::iter::once(Vec::new())
        .chain(single)
        .chain(heads)
        .collect();
    for all in [longest.clone(), most] {
        if !sets.contains(&all) {
            sets.push(all);
        }
    }
    sets
}

/// The compactions of a pool, by span: those that overlap, by others that overlap, are of the same
/// one.
fn spans(base: &[Candidate], pool: &Pool) -> Vec<Vec<usize>> {
    let overlaps = |a: &Candidate, b: &Candidate| {
        a.segments.start() <= b.segments.end() && b.segments.start() <= a.segments.end()
    };
    let decided = || {
        let edits = base.iter();
        edits.filter(|edit| matches!(edit.op, EditOp::Compact(_)))
    };
    let is_open = |edit: &Candidate| {
        matches!(edit.op, EditOp::Compact(_)) && !decided().any(|other| overlaps(other, edit))
    };
    let mut open: Vec<usize> = (0..pool.len()).filter(|&at| is_open(&pool[at].1)).collect();
    open.sort_by_key(|&at| *pool[at].1.segments.start());
    let mut spans: Vec<Vec<usize>> = Vec::new();
    let mut end = None;
    for at in open {
        let segments = &pool[at].1.segments;
        match spans.last_mut() {
            Some(span) if end >= Some(*segments.start()) => span.push(at),
            _ => spans.push(vec![at]),
        }
        end = end.max(Some(*segments.end()));
    }
    spans
}

fn longest(pool: &Pool, span: &[usize]) -> usize {
    let freed = |at: usize| pool[at].1.freed();
    span.iter()
        .copied()
        .max_by_key(|&at| (freed(at), usize::MAX - at))
        .unwrap_or(span[0])
}

/// The spans whose summary frees more than what could be done inside them.
fn most_freeing(pool: &Pool, spans: &[Vec<usize>]) -> Vec<usize> {
    let single = Singles::new(pool);
    let longest = spans.iter().map(|span| longest(pool, span));
    let frees = |at: &usize| pool[*at].1.freed() > single.inside(&pool[*at].1);
    longest.filter(frees).collect()
}
