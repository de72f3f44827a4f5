//! Edits that are made whether or not the budget asks for them.

use super::arrangement::{counted, taken_from_room};
use super::search::{Goal, Search};
use crate::hysteresis::BATCHES;
use crate::ladder::{Scope, Survey, Wanted, all_cleared, all_reasoning, is_reducible, step};
use crate::{Candidate, EditOp, Low, Rung, Segment, SegmentKind, Trigger};

/// Rules whose trigger has come, documents below the least score, zones and tools above their caps.
pub(super) fn edits(search: &mut Search<'_, '_>) -> Vec<Candidate> {
    let edits = rules(search);
    cap(search, edits)
}

/// The same, but for the caps only what `goal` leaves of them to do: what they would choose for
/// themselves stays as chosen, and may free less of a segment than the goal needs. `None` if the
/// goal is out of reach even so.
pub(super) fn edits_after(search: &mut Search<'_, '_>, goal: &Goal<'_>) -> Option<Vec<Candidate>> {
    let rules = rules(search);
    let found = search.solve(&rules, goal).ok()?;
    Some(cap(search, found.edits))
}

/// Rules whose trigger has come, and documents below the least score.
fn rules(search: &mut Search<'_, '_>) -> Vec<Candidate> {
    let mut standing = Standing {
        edits: Vec::new(),
        taken: vec![false; search.survey.input.segments.len()],
        room: search.survey.room.clone(),
    };
    compact(search, &mut standing);
    clear_reasoning(search, &mut standing);
    clear(search, &mut standing);
    drop_unfit(search, &mut standing);
    standing.edits
}

/// Edits that go together and leave every zone its floor.
#[derive(Clone)]
struct Standing {
    edits: Vec<Candidate>,
    taken: Vec<bool>,
    /// Tokens that may still be freed, by zone.
    room: Vec<usize>,
}

impl Standing {
    /// Adds an edit if it goes with the others.
    fn add(&mut self, survey: &Survey<'_>, edit: &Candidate) -> bool {
        let freed = taken_from_room(survey, &[edit]);
        let fits = |(room, freed): (&usize, &isize)| *freed <= *room as isize;
        let free = !self.taken[edit.segments.clone()].contains(&true);
        if !free || !self.room.iter().zip(&freed).all(fits) {
            return false;
        }
        for (room, freed) in self.room.iter_mut().zip(freed) {
            *room = room.saturating_add_signed(-freed);
        }
        self.taken[edit.segments.clone()].fill(true);
        self.edits.push(edit.clone());
        true
    }
}

/// The summary of all old turns, if its trigger has come and it is worth it.
fn compact(search: &mut Search<'_, '_>, standing: &mut Standing) {
    let policy = &search.survey.input.policy;
    let (tokens, rule) = (search.survey.input.prompt_tokens, &policy.compaction);
    let come = rule.trigger.is_some_and(|trigger| tokens > trigger);
    if !come || !policy.ladder.contains(&Rung::CompactHistory) {
        return;
    }
    let wanted = Wanted {
        tokens: 1,
        scope: Scope::Prompt,
    };
    let step = step(Rung::CompactHistory).expect("the rung has edits");
    let mut offered = step.candidates(search.survey, search.asked, &wanted);
    // One that is written may be more detailed than what was asked for.
    offered.retain(|edit| matches!(edit.op, EditOp::Compact(level) if level <= rule.level));
    // The longest span of those that begin together; of the others the floors left none.
    offered.sort_by_key(|edit| (*edit.segments.start(), usize::MAX - edit.segments.end()));
    let (mut with, mut freed) = (standing.clone(), 0);
    for edit in &offered {
        if with.add(search.survey, edit) {
            freed += edit.freed();
        }
    }
    if freed >= rule.compact_at_least {
        *standing = with;
    }
}

/// All old reasoning, if the rule needs no trigger.
fn clear_reasoning(search: &mut Search<'_, '_>, standing: &mut Standing) {
    let survey = search.survey;
    let policy = &survey.input.policy;
    let always = policy.thinking.is_some_and(|rule| rule.always);
    if !always || !policy.ladder.contains(&Rung::ClearToolResults) {
        return;
    }
    for edit in &all_reasoning(survey, search.asked) {
        standing.add(survey, edit);
    }
}

/// All old tool results, if their trigger has come and they are enough; with the arguments of their
/// calls, if these go as well.
fn clear(search: &mut Search<'_, '_>, standing: &mut Standing) {
    let input = search.survey.input;
    let rule = &input.policy.clearing;
    let is_use = |segment: &&Segment| matches!(segment.kind, SegmentKind::ToolCall { .. });
    let come = match rule.trigger {
        None => false,
        Some(Trigger::InputTokens(tokens)) => input.prompt_tokens > tokens,
        Some(Trigger::ToolUses(count)) => input.segments.iter().filter(is_use).count() > count,
    };
    if !come || !input.policy.ladder.contains(&Rung::ClearToolResults) {
        return;
    }
    let mut with = standing.clone();
    let survey = search.survey;
    let cleared = all_cleared(survey, search.asked, |edit| with.add(survey, edit));
    if cleared.iter().map(Candidate::freed).sum::<usize>() >= rule.clear_at_least {
        *standing = with;
    }
}

/// Leaves out documents below the least score. The client's score decides; without one, the words
/// shared with the live turn, and then only for documents that are not cached yet: those words
/// change every turn, and a cached document costs less to keep than to leave out.
fn drop_unfit(search: &mut Search<'_, '_>, standing: &mut Standing) {
    let survey = search.survey;
    let input = survey.input;
    if !input.policy.ladder.contains(&Rung::ReduceRetrieval) {
        return;
    }
    for (at, segment) in input.segments.iter().enumerate() {
        let unread = segment.start >= input.cache.matched;
        let score = segment
            .score
            .or_else(|| unread.then_some(segment.relevance));
        let unfit = score.is_some_and(|score| score < input.policy.retrieval.min_score);
        if unfit && is_reducible(survey, at) {
            let (op, reason) = (EditOp::DropDocument, "below the least score");
            let rung = Rung::ReduceRetrieval;
            if let Some(edit) = survey.candidate(search.asked, rung, at, op, reason) {
                standing.add(survey, &edit);
            }
        }
    }
}

/// Brings tools and zones that exceed their caps down: a tool to its cap, a zone to its target; and
/// further by what rides free, in the proportion of the low to the high mark, so that the next turn
/// does not exceed the cap again.
fn cap(search: &mut Search<'_, '_>, mut edits: Vec<Candidate>) -> Vec<Candidate> {
    let policy = &search.survey.input.policy;
    let below = match policy.utilization.low {
        Low::Share(low) if low < policy.utilization.high => low / policy.utilization.high,
        Low::Share(_) => 1.0,
        Low::Auto => 1.0 - BATCHES[0],
    };
    let tools = policy.clearing.tools.iter().filter_map(|rule| {
        let max = rule.max?;
        Some((Scope::Tool(&rule.name), max, max))
    });
    let zones = policy
        .zones
        .iter()
        .filter(|rule| !rule.tier.is_fixed())
        .map(|rule| {
            let (target, max) = (rule.bounds.target.min(rule.bounds.max), rule.bounds.max);
            (Scope::Zone(&rule.zone), target, max)
        });
    for (scope, target, max) in tools.chain(zones) {
        let segments = search.survey.input.segments.iter();
        let inside = segments.filter(|segment| scope.contains(segment));
        let tokens: usize = inside.map(|segment| segment.tokens).sum();
        let done: usize = edits
            .iter()
            .map(|edit| counted(search.survey, scope, edit))
            .sum();
        if tokens.saturating_sub(done) <= max {
            continue;
        }
        let freed: usize = edits.iter().map(Candidate::freed).sum();
        let low = (below * max as f64) as usize;
        let goal = |to: usize, must: bool| Goal {
            need: tokens - to,
            wish: freed + tokens.saturating_sub(done + low.min(to)),
            scope,
            must,
        };
        edits = match search.solve(&edits, &goal(target, false)) {
            Ok(found) => found.edits,
            Err(_) => match search.solve(&edits, &goal(max, true)) {
                Ok(found) => found.edits,
                // What can be done is done even if it is not enough: the zone stays above its cap
                // only by what may not be touched.
                Err(most) => most,
            },
        };
    }
    edits
}
