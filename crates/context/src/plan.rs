//! What is decided about a prompt.

use std::ops::RangeInclusive;

use crate::{Candidate, CostModel, EditOp, Features, Policy, Rung, Segment, SummaryLevel, Zone};

/// Everything that a plan depends on: the same input gives the same plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanInput {
    /// The rules.
    pub policy: Policy,
    /// The prompt's pieces in order, after the edits of earlier requests.
    pub segments: Vec<Segment>,
    /// Tokens of the rendered prompt; more than the segments' sum by the template's overhead.
    pub prompt_tokens: usize,
    /// Announced tokens that the next request will add.
    pub incoming: usize,
    /// What the cache holds of this prompt.
    pub cache: CacheSnapshot,
    /// What computing costs.
    pub cost: CostModel,
}

impl PlanInput {
    /// The same input for a planner that knows nothing of the cache, to measure what knowing it is
    /// worth: as if every token had to be computed anyway, so that no edit costs more than another
    /// for its place. The plan's prefill figures then describe a cold cache, not the real one.
    #[must_use]
    pub fn cache_blind(mut self) -> Self {
        self.cache.matched = 0;
        self
    }
}

/// What the prefix cache held of a prompt when it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CacheSnapshot {
    /// Tokens of the prompt, from its start, that need not be computed.
    pub matched: usize,
    /// Share of the KV blocks in use, 0 to 1.
    pub pressure: f64,
}

/// The text side of planning: how long a segment would be after an edit.
pub trait Replacements {
    /// Tokens of `segments[segment]` after `op`, or `None` if the edit cannot be made or frees
    /// nothing. A pure function of its arguments and the prompt.
    ///
    /// Asked only for edits that may be needed, and never twice by one plan. Not asked for
    /// [`EditOp::Compact`], see [`Replacements::summary_tokens`].
    fn tokens_after(&mut self, segment: usize, op: &EditOp) -> Option<usize>;

    /// Share of what only `segments[segment]` names, see [`Particulars`](crate::Particulars), that
    /// is still there after `op`, 0 to 1; `None` if that is not known. Asked only for edits that can
    /// be made.
    fn names_kept(&mut self, _segment: usize, _op: &EditOp) -> Option<f64> {
        None
    }

    /// The summary that would stand for `span`.
    fn summary_tokens(
        &mut self,
        _span: RangeInclusive<usize>,
        _level: SummaryLevel,
    ) -> SummaryTokens {
        SummaryTokens::Unwritten
    }

    /// The summaries that are written. They are considered beside the spans that the ladder would
    /// choose itself, as far as they stand for whole turns that may be summarised.
    fn written(&self) -> Vec<(RangeInclusive<usize>, SummaryLevel)> {
        Vec::new()
    }
}

/// How long a summary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryTokens {
    /// It is written, and has so many tokens.
    Written(usize),
    /// It is to be written: the planner reckons with the longest one of that level, which is then
    /// the cap of the one that is written.
    Unwritten,
    /// There is none, and none will be written for this plan.
    Unavailable,
}

/// How much must be done before the new text is loaded (ContextBudget's three regimes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// It fits.
    Null,
    /// Some edits make it fit.
    Partial,
    /// All that may be compacted is.
    Full,
}

/// The decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// How much had to be done.
    pub regime: Regime,
    /// The edits, in the order of their segments; no two touch the same segment.
    pub edits: Vec<Candidate>,
    /// Tokens that had to be freed, and whether by the hard limit.
    pub need: Need,
    /// Position of the first token that changes; `None` without edits.
    pub earliest_edit: Option<usize>,
    /// Tokens of the prompt after the edits, as far as replacements were counted alone.
    pub tokens_after: usize,
    /// Tokens that must be computed without edits, and with them.
    pub prefill_before: usize,
    /// See above.
    pub prefill_after: usize,
    /// The sum of the edits' losses.
    pub loss: f64,
    /// What is known of each segment of the input, and how much it therefore matters.
    pub features: Vec<Features>,
    /// Best plans by loss, prefill and tokens; the chosen one is among them.
    pub frontier: Vec<PlanPoint>,
    /// Tokens given to each zone, in the policy's order.
    pub allocation: Vec<ZoneShare>,
    /// Tokens that are left: the budget less the prompt after the edits and the output minimum.
    pub remaining: usize,
    /// How large the next observation may be.
    pub max_observation_tokens: ObservationLimits,
}

/// Tokens of the largest next observation that needs no more than each regime.
///
/// `partial` and `full` are estimates: what edits would free is reckoned with a record of a fixed
/// length for each, since counting every possible replacement would cost more than it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObservationLimits {
    /// Fits below the high mark without an edit.
    pub null: usize,
    /// Fits into the budget after edits up to reduced retrieval.
    pub partial: usize,
    /// Fits into the budget after all edits that the ladder has.
    pub full: usize,
}

/// Tokens that had to be freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// To fit into the budget at all.
    pub hard: usize,
    /// To get below the low mark, once the high mark is passed.
    pub soft: usize,
}

/// One possible plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanPoint {
    /// Number of its edits.
    pub edits: usize,
    /// Position of the first token that changes; the prompt's length without edits.
    pub position: usize,
    /// Sum of losses.
    pub loss: f64,
    /// Tokens to compute.
    pub prefill_tokens: usize,
    /// Seconds for that.
    pub prefill_seconds: f64,
    /// Tokens of the prompt.
    pub tokens: usize,
}

/// Tokens given to a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneShare {
    /// The zone.
    pub zone: Zone,
    /// What it has.
    pub demand: usize,
    /// What it gets.
    pub allocated: usize,
    /// What remains after the edits.
    pub after: usize,
}

/// Why no plan fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Infeasible {
    /// The budget.
    pub budget: usize,
    /// Tokens that cannot be given up, all edits made: protected zones, what is left of the others,
    /// template, output minimum, announced tokens; the sum of the fields below.
    pub required: usize,
    /// Of these, by zone.
    pub protected: Vec<(Zone, usize)>,
    /// Tokens of the template that belong to no zone.
    pub overhead: usize,
    /// Output minimum.
    pub output: usize,
    /// Announced tokens of the next request.
    pub incoming: usize,
    /// What every other zone still has after all edits.
    pub after_all_edits: Vec<(Zone, usize)>,
    /// The rungs that were tried.
    pub tried: Vec<Rung>,
}

impl Infeasible {
    /// Tokens that are missing.
    pub fn shortfall(&self) -> usize {
        self.required.saturating_sub(self.budget)
    }
}
