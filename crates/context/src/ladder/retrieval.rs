//! Rung 3: fewer documents and examples.

use std::ops::RangeInclusive;

use super::queue::Queue;
use super::{LadderStep, Survey, Wanted, examples};
use crate::{Candidate, EditOp, Replacements, Rung, SegmentKind, Tier};

/// Below this a document is kept or left out as a whole.
const MIN_EXTRACTED: usize = 128;

/// Documents of which an extract is offered: the most important ones, for the others are left out.
const MAX_EXTRACTED: usize = 8;

/// Leaves documents and examples out, or keeps the best sentences of documents.
pub(super) struct ReduceRetrieval;

/// Whether the rung could leave a segment out.
pub(crate) fn is_reducible(survey: &Survey<'_>, at: usize) -> bool {
    let is_document = matches!(survey.segment(at).kind, SegmentKind::Document);
    is_document && survey.allows(at, Tier::Compactable)
}

impl LadderStep for ReduceRetrieval {
    fn candidates(
        &self,
        survey: &Survey<'_>,
        replacements: &mut dyn Replacements,
        wanted: &Wanted<'_>,
    ) -> Vec<Candidate> {
        let documents: Vec<usize> = (0..survey.input.segments.len())
            .filter(|&at| is_reducible(survey, at) && wanted.counts(survey, at))
            .collect();
        let mut best: Vec<usize> = documents
            .iter()
            .copied()
            .filter(|&at| {
                survey.segment(at).edit.is_none() && survey.segment(at).tokens >= MIN_EXTRACTED
            })
            .collect();
        best.sort_by(|&a, &b| {
            let by = |at: usize| survey.importance[at];
            by(b).total_cmp(&by(a)).then(a.cmp(&b))
        });
        best.truncate(MAX_EXTRACTED);
        let rung = Rung::ReduceRetrieval;
        let queue = &mut survey.queues(wanted.scope).dropped;
        let all = || Queue::new(survey, documents);
        let queue = queue.get_or_insert_with(all);
        let mut found = queue.until(survey, wanted.tokens, |at| {
            let (op, reason) = (EditOp::DropDocument, "document of low value");
            survey.candidate(replacements, rung, at, op, reason)
        });
        for at in best {
            let (op, reason) = (EditOp::ExtractDocument, "best sentences of a document");
            found.extend(survey.candidate(replacements, rung, at, op, reason));
        }
        let counts = |example: &&RangeInclusive<usize>| {
            let mut parts = (*example).clone();
            parts.any(|at| wanted.counts(survey, at))
        };
        for example in examples(survey).iter().filter(counts) {
            found.extend(examples::candidate(survey, replacements, example.clone()));
        }
        found
    }
}
