//! Compactions that have changed what the model would have said.

use std::ops::RangeInclusive;

use super::entry::EntryKind;
use super::store::Slot;
use super::{EditLedger, Entry, SegmentChain, span_length};
use crate::{EditOp, SummaryLevel};

/// What is known of how far a compaction moves the model's own earlier answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftVerdict {
    /// Nothing that speaks against it.
    #[default]
    Tolerable,
    /// Too far: a more detailed summary is to take its place.
    Excessive,
    /// Too far, and nothing more detailed fits: it stays, and is not called excessive again.
    Unavoidable,
}

impl EditLedger {
    /// Calls the compaction of exactly these segments at that level excessive, and forgets the
    /// waiting summaries of them that are no more detailed. Whether it was: not if there is no such
    /// edit, if it is the most detailed, or if it was found to be unavoidable.
    pub fn flag_drift(
        &mut self,
        chain: &SegmentChain,
        segments: &RangeInclusive<usize>,
        level: SummaryLevel,
    ) -> bool {
        if level.more_detailed().is_none() {
            return false;
        }
        match self.verdict_mut(chain, segments, Some(level)) {
            None | Some(DriftVerdict::Unavoidable) => return false,
            Some(verdict) => *verdict = DriftVerdict::Excessive,
        }
        let (key, span) = (chain.keys()[*segments.end()], span_length(segments));
        for worse in SummaryLevel::ALL.into_iter().filter(|one| *one >= level) {
            let kind = EntryKind::Summaries(worse);
            let slot = Slot { key, kind };
            if let Some(Entry::Summaries(known)) = self.store.peek(&slot)
                && known.iter().any(|one| one.span == span)
            {
                self.store.forget(&slot);
            }
        }
        true
    }

    /// Calls an excessive compaction of exactly these segments unavoidable.
    pub fn accept_drift(&mut self, chain: &SegmentChain, segments: &RangeInclusive<usize>) {
        if let Some(verdict) = self.verdict_mut(chain, segments, None)
            && *verdict == DriftVerdict::Excessive
        {
            *verdict = DriftVerdict::Unavoidable;
        }
    }

    /// Forgets the compaction of exactly these segments if it is excessive: another one stands for
    /// them now.
    pub fn supersede_drifted(&mut self, chain: &SegmentChain, segments: &RangeInclusive<usize>) {
        let verdict = self.verdict_mut(chain, segments, None).copied();
        if verdict == Some(DriftVerdict::Excessive) {
            let (key, kind) = (chain.keys()[*segments.end()], EntryKind::Span);
            self.store.forget(&Slot { key, kind });
        }
    }

    /// Of the compaction of exactly these segments, at that level if one is given.
    fn verdict_mut(
        &mut self,
        chain: &SegmentChain,
        segments: &RangeInclusive<usize>,
        level: Option<SummaryLevel>,
    ) -> Option<&mut DriftVerdict> {
        let slot = Slot {
            key: *chain.keys().get(*segments.end())?,
            kind: EntryKind::Span,
        };
        match self.store.peek_mut(&slot)? {
            Entry::Edit {
                span, edit, drift, ..
            } => {
                let is_meant = match edit.op {
                    EditOp::Compact(own) => level.is_none_or(|level| own == level),
                    _ => false,
                };
                (*span == span_length(segments) && is_meant).then_some(drift)
            }
            Entry::Summaries(_) | Entry::Regret => None,
        }
    }
}
