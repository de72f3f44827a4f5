//! Answers that were given already.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use crate::{EditOp, Replacements, SummaryLevel, SummaryTokens};

/// Replacements of which none is asked for twice.
pub(super) struct Asked<'a> {
    replacements: &'a mut dyn Replacements,
    /// By segment: a handful of edits at most.
    edits: Vec<Vec<(EditOp, Option<usize>)>>,
    summaries: HashMap<(RangeInclusive<usize>, SummaryLevel), SummaryTokens>,
}

impl<'a> Asked<'a> {
    /// Nothing asked yet, of a prompt of so many segments.
    pub(super) fn new(replacements: &'a mut dyn Replacements, num_segments: usize) -> Self {
        Self {
            replacements,
            edits: vec![Vec::new(); num_segments],
            summaries: HashMap::new(),
        }
    }
}

impl Replacements for Asked<'_> {
    fn tokens_after(&mut self, segment: usize, op: &EditOp) -> Option<usize> {
        let known = &mut self.edits[segment];
        if let Some((_, answer)) = known.iter().find(|(asked, _)| asked == op) {
            return *answer;
        }
        let answer = self.replacements.tokens_after(segment, op);
        known.push((op.clone(), answer));
        answer
    }

    fn names_kept(&mut self, segment: usize, op: &EditOp) -> Option<f64> {
        self.replacements.names_kept(segment, op)
    }

    fn summary_tokens(
        &mut self,
        span: RangeInclusive<usize>,
        level: SummaryLevel,
    ) -> SummaryTokens {
        let replacements = &mut self.replacements;
        let answer = self.summaries.entry((span.clone(), level));
        *answer.or_insert_with(|| replacements.summary_tokens(span, level))
    }

    fn written(&self) -> Vec<(RangeInclusive<usize>, SummaryLevel)> {
        self.replacements.written()
    }
}
