//! Answers that were given already.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use crate::{EditOp, Replacements, SummaryLevel};

/// Replacements of which none is asked for twice.
pub(super) struct Asked<'a> {
    replacements: &'a mut dyn Replacements,
    edits: HashMap<(usize, EditOp), Option<usize>>,
    summaries: HashMap<(RangeInclusive<usize>, SummaryLevel), Option<usize>>,
}

impl<'a> Asked<'a> {
    /// Nothing asked yet.
    pub(super) fn new(replacements: &'a mut dyn Replacements) -> Self {
        Self {
            replacements,
            edits: HashMap::new(),
            summaries: HashMap::new(),
        }
    }
}

impl Replacements for Asked<'_> {
    fn tokens_after(&mut self, segment: usize, op: &EditOp) -> Option<usize> {
        let replacements = &mut self.replacements;
        let answer = self.edits.entry((segment, op.clone()));
        *answer.or_insert_with(|| replacements.tokens_after(segment, op))
    }

    fn summary_tokens(
        &mut self,
        span: RangeInclusive<usize>,
        level: SummaryLevel,
    ) -> Option<usize> {
        let replacements = &mut self.replacements;
        let answer = self.summaries.entry((span.clone(), level));
        *answer.or_insert_with(|| replacements.summary_tokens(span, level))
    }
}
