//! Rung 0: a tool result that stands in the prompt twice is kept once.

use std::collections::BTreeMap;

use super::{LadderStep, Survey, Wanted};
use crate::{Candidate, EditOp, Replacements, Rung, SegmentKind, Tier};

/// Below this a reference is as long as what it refers to.
const MIN_TOKENS: usize = 32;

/// The later of two identical results refers to the earlier one: that edit is the cheaper one,
/// since it stands further back.
pub(super) struct Dedupe;

impl LadderStep for Dedupe {
    fn candidates(
        &self,
        survey: &Survey<'_>,
        replacements: &mut dyn Replacements,
        wanted: &Wanted<'_>,
    ) -> Vec<Candidate> {
        let mut candidate = |(at, original): (usize, usize)| {
            let op = EditOp::Dedupe { original };
            let reason = "identical to an earlier tool result";
            survey.candidate(replacements, Rung::Dedupe, at, op, reason)
        };
        let all = || {
            let repeats = repeats(survey).iter().copied();
            let counted = repeats.filter(|&(at, _)| wanted.counts(survey, at));
            counted.filter_map(&mut candidate).collect()
        };
        let found = &mut survey.queues(wanted.scope).repeated;
        found.get_or_insert_with(all).clone()
    }
}

/// The results that may refer to an earlier one, each with the first that is identical to it.
fn repeats<'s>(survey: &'s Survey<'_>) -> &'s [(usize, usize)] {
    survey.repeats.get_or_init(|| find_repeats(survey))
}

fn find_repeats(survey: &Survey<'_>) -> Vec<(usize, usize)> {
    let mut originals = BTreeMap::new();
    let mut repeats = Vec::new();
    for (at, segment) in survey.input.segments.iter().enumerate() {
        let is_result = matches!(segment.kind, SegmentKind::ToolResult { .. });
        if !is_result || segment.edit.is_some() || segment.tokens < MIN_TOKENS {
            continue;
        }
        let original = *originals.entry(&segment.digest).or_insert(at);
        let may = survey.is_open_result(at) && survey.allows(at, Tier::Compactable);
        if original != at && may {
            repeats.push((at, original));
        }
    }
    repeats
}
