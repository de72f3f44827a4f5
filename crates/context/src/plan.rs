//! What is decided about a prompt.

use crate::{Candidate, CostModel, EditOp, Policy, Rung, Segment, Zone};

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
    fn tokens_after(&mut self, segment: usize, op: &EditOp) -> Option<usize>;
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
    /// Best plans by loss, prefill and tokens; the chosen one is among them.
    pub frontier: Vec<PlanPoint>,
    /// Tokens given to each zone, in the policy's order.
    pub allocation: Vec<ZoneShare>,
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
    /// Indices into the candidates it takes.
    pub edits: usize,
    /// Position of the first token that changes.
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
    /// Tokens that cannot be given up: protected zones, floors, template, output minimum.
    pub required: usize,
    /// Of these, by zone.
    pub protected: Vec<(Zone, usize)>,
    /// Tokens of the template that belong to no zone.
    pub overhead: usize,
    /// Output minimum.
    pub output: usize,
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
