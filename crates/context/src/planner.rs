//! The planner: from a prompt, its rules and what is cached of it to a list of edits.
//!
//! Pure: no clock, no randomness, no order of a hash map. The same input gives the same plan.

mod arrangement;
mod asked;
mod report;
mod search;
mod standing;

use crate::hysteresis::{BATCHES, Batch, Weights};
use crate::ladder::{Scope, Survey};
use crate::sweep::{Price, per_ms};
use crate::{Candidate, Infeasible, Low, Need, Plan, PlanInput, Replacements};
use arrangement::Found;
use asked::Asked;
use search::{Goal, Search};

/// Plans the edits of a prompt.
///
/// 1. What holds whatever the need: rules with a trigger of their own that has come, documents
///    below the least score, zones and tools above their caps.
/// 2. If prompt, announced tokens and output minimum exceed the budget: edits that free the
///    difference, or more, down to the low mark, if that costs less over the turns to come.
/// 3. If they only exceed the high mark: edits down to the low mark, if what they save is worth
///    what they lose and recompute, and the last batch is long enough ago.
///
/// No edit begins before the stable prefix ends or touches what is protected, pinned, or needed by
/// what stays; no segment is edited twice; a call and its result are summarised together or not at
/// all; an edit that would leave a zone less than its floor is not made.
///
/// # Errors
/// When the prompt does not fit even after all edits that the ladder has: what is left, by zone.
///
/// # Panics
/// If the policy has no rule for a segment's zone, or a segment depends on one that there is not.
pub fn plan(input: &PlanInput, replacements: &mut dyn Replacements) -> Result<Plan, Infeasible> {
    let survey = Survey::new(input);
    let mut asked = Asked::new(replacements, input.segments.len());
    let mut search = Search::new(&survey, &mut asked);
    let marks = Marks::new(input);
    let standing = standing::edits(&mut search);
    let unchanged = search.found(&standing, &Price::new(input, marks.wish(0.0)));
    let freed = unchanged.choice.freed;
    if marks.used - freed.min(marks.used) <= marks.budget.min(marks.high) {
        return Ok(report::plan(&survey, &marks, unchanged, Vec::new()));
    }
    let mut forced = None;
    if marks.need.hard > freed {
        let goal = marks.goal(marks.need.hard, marks.need.hard);
        forced = match search.solve(&standing, &goal) {
            Ok(found) => Some(found),
            Err(most) => match standing::edits_after(&mut search, &goal) {
                Some(edits) => Some(search.found(&edits, &Price::new(input, marks.wish(0.0)))),
                None => return Err(report::infeasible(&survey, &most, search.tried)),
            },
        };
    }
    let batches = if forced.is_some() || marks.may_batch(input) {
        batches(&mut search, &standing, &marks, forced.is_some())
    } else {
        Vec::new()
    };
    let considered = forced.iter().chain(&batches);
    let mut points: Vec<_> = considered
        .flat_map(|found| found.points.iter().cloned())
        .collect();
    if forced.is_none() {
        points.push(unchanged.point.clone());
    }
    let chosen = choose(input, unchanged, forced, batches);
    Ok(report::plan(&survey, &marks, chosen, points))
}

/// Tokens of the prompt's marks.
struct Marks {
    /// Tokens of the prompt, announced ones and the output minimum.
    used: usize,
    /// The high mark.
    high: usize,
    /// The budget.
    budget: usize,
    /// What is to be freed.
    need: Need,
    /// The low mark, if it is given.
    low: Option<usize>,
}

impl Marks {
    fn new(input: &PlanInput) -> Self {
        let policy = &input.policy;
        let budget = policy.budget;
        let used = input.prompt_tokens + input.incoming + policy.output.min;
        let share = |share: f64| (share * budget as f64) as usize;
        let high = share(policy.utilization.high);
        let low = match policy.utilization.low {
            Low::Share(low) => Some(share(low)),
            Low::Auto => None,
        };
        let default_low = low.unwrap_or(high.saturating_sub(share(BATCHES[0])));
        let soft = if used > high {
            used.saturating_sub(default_low)
        } else {
            0
        };
        let hard = used.saturating_sub(budget);
        Self {
            used,
            high,
            budget,
            need: Need { hard, soft },
            low,
        }
    }

    /// Tokens to free down to the low mark; without one, down to the high mark less that share of
    /// the budget.
    fn wish(&self, batch: f64) -> usize {
        let auto = self
            .high
            .saturating_sub((batch * self.budget as f64) as usize);
        self.used.saturating_sub(self.low.unwrap_or(auto))
    }

    /// Whether a batch may be made that is not forced.
    fn may_batch(&self, input: &PlanInput) -> bool {
        let outlook = &input.policy.outlook;
        let since = outlook.turns_since_edits;
        self.used > self.high && since.is_none_or(|turns| turns >= outlook.min_turns_between_edits)
    }

    fn goal(&self, need: usize, wish: usize) -> Goal<'static> {
        Goal {
            need,
            wish: wish.max(need),
            scope: Scope::Prompt,
            must: need <= self.need.hard,
        }
    }
}

/// The batches that could be made: one down to the low mark, or those of growing size until they
/// cost more over the turns to come.
fn batches(
    search: &mut Search<'_, '_>,
    standing: &[Candidate],
    marks: &Marks,
    is_forced: bool,
) -> Vec<Found> {
    let input = search.survey.input;
    let wishes: Vec<usize> = match marks.low {
        Some(_) => vec![marks.wish(0.0)],
        None => BATCHES.iter().map(|&batch| marks.wish(batch)).collect(),
    };
    let mut batches: Vec<Found> = Vec::new();
    // What is forced has been found already; no batch is smaller.
    for wish in wishes.into_iter().filter(|wish| *wish > marks.need.hard) {
        match search.solve(standing, &marks.goal(wish, wish)) {
            Ok(found) => {
                let cost = amortised(input, &found);
                let rises = batches
                    .last()
                    .is_some_and(|last| cost > amortised(input, last));
                batches.push(found);
                if rises {
                    break;
                }
            }
            // The mark is out of reach: on the way to it, only what pays for itself is done.
            Err(_) => {
                if !is_forced {
                    batches.extend(search.worthwhile(standing, &marks.goal(0, wish)));
                }
                break;
            }
        }
    }
    batches
}

/// What a plan costs until the conversation ends, made as often as its growth asks for.
fn amortised(input: &PlanInput, found: &Found) -> f64 {
    let batch = Batch {
        freed: found.choice.freed,
        extra_ms: found.extra_ms,
        cost: found.choice.cost,
        benefit: found.benefit,
    };
    let outlook = &input.policy.outlook;
    let weights = Weights {
        loss: input.policy.objective.loss,
        prefill_ms: per_ms(input),
    };
    batch.amortised(&weights, outlook.growth_per_turn, outlook.turns)
}

/// The plan that costs least until the conversation ends. What is not forced must be better than
/// to do nothing more.
fn choose(
    input: &PlanInput,
    unchanged: Found,
    forced: Option<Found>,
    batches: Vec<Found>,
) -> Found {
    let must = forced.is_some();
    let pays = |found: &Found| must || found.choice.score < unchanged.choice.score;
    let mut best = forced;
    for found in batches.into_iter().filter(|found| pays(found)) {
        let is_less = |best: &Found| amortised(input, &found) < amortised(input, best);
        if best.as_ref().is_none_or(is_less) {
            best = Some(found);
        }
    }
    best.unwrap_or(unchanged)
}
