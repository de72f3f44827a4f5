//! Edits that are made whether or not the budget asks for them.

use super::arrangement::counted;
use super::search::{Goal, Search};
use crate::ladder::{Scope, Wanted, all_cleared, step};
use crate::{Candidate, EditOp, Rung, SegmentKind, Tier, Trigger};

/// Rules whose trigger has come, documents below the least score, zones and tools above their caps.
pub(super) fn edits(search: &mut Search<'_, '_>) -> Vec<Candidate> {
    let mut edits = compacted(search);
    let free = |edits: &[Candidate], at: usize| {
        !edits
            .iter()
            .any(|edit: &Candidate| edit.segments.contains(&at))
    };
    for edit in cleared(search) {
        if free(&edits, *edit.segments.start()) {
            edits.push(edit);
        }
    }
    for edit in unfit_documents(search) {
        if free(&edits, *edit.segments.start()) {
            edits.push(edit);
        }
    }
    cap(search, edits)
}

/// Everything that the rung offers, if the policy has the rung.
fn offered(search: &mut Search<'_, '_>, rung: Rung, tokens: usize) -> Vec<Candidate> {
    if !search.survey.input.policy.ladder.contains(&rung) {
        return Vec::new();
    }
    let wanted = Wanted {
        tokens,
        scope: Scope::Prompt,
    };
    step(rung).map_or_else(Vec::new, |step| {
        step.candidates(search.survey, search.asked, &wanted)
    })
}

/// The summary of all old turns, if its trigger has come.
fn compacted(search: &mut Search<'_, '_>) -> Vec<Candidate> {
    let input = search.survey.input;
    let rule = &input.policy.compaction;
    if rule
        .trigger
        .is_none_or(|trigger| input.prompt_tokens <= trigger)
    {
        return Vec::new();
    }
    let mut spans: Vec<Candidate> = Vec::new();
    let offered = offered(search, Rung::CompactHistory, 1).into_iter();
    for edit in offered.filter(|edit| edit.op == EditOp::Compact(rule.level)) {
        match spans.last_mut() {
            Some(last) if last.segments.start() == edit.segments.start() => *last = edit,
            _ => spans.push(edit),
        }
    }
    spans
}

/// All old tool results, if their trigger has come and they are enough; with the arguments of their
/// calls, if these go as well.
fn cleared(search: &mut Search<'_, '_>) -> Vec<Candidate> {
    let input = search.survey.input;
    let rule = &input.policy.clearing;
    let uses = || {
        let calls = input.segments.iter();
        calls
            .filter(|segment| matches!(segment.kind, SegmentKind::ToolCall { .. }))
            .count()
    };
    let come = match rule.trigger {
        None => false,
        Some(Trigger::InputTokens(tokens)) => input.prompt_tokens > tokens,
        Some(Trigger::ToolUses(count)) => uses() > count,
    };
    if !come {
        return Vec::new();
    }
    if !input.policy.ladder.contains(&Rung::ClearToolResults) {
        return Vec::new();
    }
    let mut room = search.survey.room.clone();
    let mut edits = all_cleared(search.survey, search.asked, |zone, tokens| {
        let fits = room[zone] >= tokens;
        room[zone] -= if fits { tokens } else { 0 };
        fits
    });
    let freed: usize = edits.iter().map(Candidate::freed).sum();
    if freed < rule.clear_at_least {
        edits.clear();
    }
    edits
}

/// Documents below the least score. The client's score decides; without one, the words shared with
/// the live turn, and then only for documents that are not cached yet: those words change every
/// turn, and a cached document costs less to keep than to leave out.
fn unfit_documents(search: &mut Search<'_, '_>) -> Vec<Candidate> {
    let survey = search.survey;
    let input = survey.input;
    if !input.policy.ladder.contains(&Rung::ReduceRetrieval) {
        return Vec::new();
    }
    let mut room = survey.room.clone();
    let mut edits = Vec::new();
    for (at, segment) in input.segments.iter().enumerate() {
        let unread = segment.start >= input.cache.matched;
        let score = segment
            .score
            .or_else(|| unread.then_some(segment.relevance));
        let unfit = matches!(segment.kind, SegmentKind::Document)
            && score.is_some_and(|score| score < input.policy.retrieval.min_score);
        if !unfit || !survey.allows(at, Tier::Compactable) {
            continue;
        }
        let (op, reason) = (EditOp::DropDocument, "below the least score");
        let edit = survey.candidate(search.asked, Rung::ReduceRetrieval, at, op, reason);
        let zone = survey.zone[at];
        if let Some(edit) = edit.filter(|edit| edit.freed() <= room[zone]) {
            room[zone] -= edit.freed();
            edits.push(edit);
        }
    }
    edits
}

/// Brings tools and zones that exceed their caps down: a tool to its cap, a zone to its target, so
/// that the next turn does not exceed the cap again.
fn cap(search: &mut Search<'_, '_>, mut edits: Vec<Candidate>) -> Vec<Candidate> {
    let policy = &search.survey.input.policy;
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
        let goal = |to: usize| Goal {
            need: tokens - to,
            wish: freed + tokens - done - to,
            scope,
        };
        edits = match search.solve(&edits, &goal(target)) {
            Ok(found) => found.edits,
            // What the rungs can do is done even if it is not enough: the zone stays above its cap
            // only by what may not be touched.
            Err(most) => match search.solve(&edits, &goal(max)) {
                Ok(found) => found.edits,
                Err(_) => most,
            },
        };
    }
    edits
}
