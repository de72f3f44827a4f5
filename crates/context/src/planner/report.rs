//! The decision in the caller's terms.

use super::Marks;
use super::arrangement::{Found, freed_by_zone};
use crate::ladder::{Survey, overhead};
use crate::proactive::{limits, regime};
use crate::sweep::{Price, frontier};
use crate::{Candidate, Infeasible, Plan, PlanPoint, Rung, Zone, ZoneShare};

/// The plan that was chosen, among the others that were compared.
pub(super) fn plan(
    survey: &Survey<'_>,
    marks: &Marks,
    chosen: Found,
    points: Vec<PlanPoint>,
) -> Plan {
    let input = survey.input;
    let price = Price::new(input, 0);
    let tokens_after = input.prompt_tokens.saturating_sub(chosen.choice.freed);
    let is_needed = marks.used > marks.high.min(marks.budget);
    Plan {
        regime: regime(is_needed, &chosen.edits),
        need: marks.need,
        earliest_edit: chosen.edits.iter().map(|edit| edit.position).min(),
        tokens_after,
        prefill_before: price.prefill_tokens(input.prompt_tokens, 0),
        prefill_after: chosen.point.prefill_tokens,
        loss: chosen.edits.iter().map(|edit| edit.loss).sum(),
        frontier: frontier(points, &chosen.point),
        features: survey.features.clone(),
        allocation: shares(survey, &chosen.edits),
        remaining: input
            .policy
            .budget
            .saturating_sub(tokens_after + input.policy.output.min),
        max_observation_tokens: limits(survey, &chosen.edits, marks.high, tokens_after),
        edits: chosen.edits,
    }
}

/// Tokens by zone: what each has, what its share of the budget is, what it has after the edits.
///
/// Where the budget cannot be divided by the rules (a protected zone above its own maximum, say) a
/// zone is given what it has after the edits.
fn shares(survey: &Survey<'_>, edits: &[Candidate]) -> Vec<ZoneShare> {
    let zones = &survey.input.policy.zones;
    let edits: Vec<&Candidate> = edits.iter().collect();
    let freed = freed_by_zone(survey, &edits);
    let after = survey
        .demand
        .iter()
        .zip(freed)
        .map(|(demand, freed)| demand.saturating_add_signed(-freed));
    let after: Vec<usize> = after.collect();
    let allocated = |at: usize| match &survey.allocation {
        Some(allocation) => allocation.zones[at].tokens,
        None => after[at],
    };
    (0..zones.len())
        .map(|at| ZoneShare {
            zone: zones[at].zone.clone(),
            demand: survey.demand[at],
            allocated: allocated(at),
            after: after[at],
        })
        .collect()
}

/// Why nothing fits, given the edits that free the most.
pub(super) fn infeasible(survey: &Survey<'_>, most: &[Candidate], tried: Vec<Rung>) -> Infeasible {
    let input = survey.input;
    let edits: Vec<&Candidate> = most.iter().collect();
    let freed = freed_by_zone(survey, &edits);
    let mut fixed = vec![0; survey.demand.len()];
    for (at, segment) in input.segments.iter().enumerate() {
        if survey.is_locked(at) {
            fixed[survey.zone[at]] += segment.tokens;
        }
    }
    let mut protected = Vec::new();
    let mut after_all_edits = Vec::new();
    for (at, rule) in input.policy.zones.iter().enumerate() {
        let (demand, fixed) = (survey.demand[at], fixed[at]);
        if fixed > 0 {
            protected.push((rule.zone.clone(), fixed));
        }
        if demand > fixed {
            after_all_edits.push((
                rule.zone.clone(),
                (demand - fixed).saturating_add_signed(-freed[at]),
            ));
        }
    }
    let overhead = overhead(input, &survey.demand);
    let output = input.policy.output.min;
    let sum = |zones: &[(Zone, usize)]| zones.iter().map(|(_, tokens)| tokens).sum::<usize>();
    Infeasible {
        budget: input.policy.budget,
        required: sum(&protected) + sum(&after_all_edits) + overhead + output + input.incoming,
        protected,
        overhead,
        output,
        incoming: input.incoming,
        after_all_edits,
        tried,
    }
}
