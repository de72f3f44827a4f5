//! What a set of edits costs, and what it saves.

use super::{Choice, Start};
use crate::{PlanInput, PlanPoint};

/// The objective, for one prompt.
pub(crate) struct Price<'a> {
    input: &'a PlanInput,
    /// The weight of a millisecond of prefill.
    per_ms: f64,
    /// Seconds of prefill without edits.
    unedited: f64,
    /// Tokens whose freeing is credited: down to the low mark. Beyond it text is worth more than
    /// room.
    wish: usize,
}

impl<'a> Price<'a> {
    /// The price of edits of a prompt that should free `wish` tokens.
    pub(crate) fn new(input: &'a PlanInput, wish: usize) -> Self {
        let mut price = Self {
            input,
            per_ms: per_ms(input),
            unedited: 0.0,
            wish,
        };
        price.unedited = price.seconds(input.prompt_tokens, 0);
        price
    }

    /// Tokens of the prompt that are cached.
    pub(crate) fn matched(&self) -> usize {
        self.input.cache.matched.min(self.input.prompt_tokens)
    }

    /// Tokens whose freeing is credited.
    pub(crate) fn wish(&self) -> usize {
        self.wish
    }

    /// Tokens to compute when the first edit is at `position` and `freed` tokens less are there.
    pub(crate) fn prefill_tokens(&self, position: usize, freed: usize) -> usize {
        let after = self.input.prompt_tokens.saturating_sub(freed);
        after.saturating_sub(position.min(self.matched()))
    }

    /// Seconds for these tokens.
    pub(crate) fn seconds(&self, position: usize, freed: usize) -> f64 {
        let cached = position.min(self.matched());
        let tokens = self.prefill_tokens(position, freed);
        self.input.cost.prefill_seconds(tokens, cached)
    }

    /// Milliseconds of prefill beyond those without edits; negative if edits save some.
    pub(crate) fn extra_ms(&self, position: usize, freed: usize) -> f64 {
        1e3 * (self.seconds(position, freed) - self.unedited)
    }

    /// What `freed` tokens less are worth in the turns to come, by the objective.
    pub(crate) fn benefit(&self, freed: usize) -> f64 {
        let (outlook, objective) = (&self.input.policy.outlook, &self.input.policy.objective);
        let (growth, output) = (outlook.growth_per_turn, outlook.output_per_turn);
        let saved_ms = 1e3 * self.input.cost.saved_per_turn(freed, growth, output);
        self.per_ms * outlook.turns * saved_ms + objective.tokens * freed as f64 / 1e3
    }

    /// Loss and recomputing less the benefit, by the objective; 0 without edits. Only the tokens
    /// down to the low mark are credited.
    pub(crate) fn score(&self, position: usize, freed: usize, cost: f64) -> f64 {
        let freed = freed.min(self.wish);
        let objective = &self.input.policy.objective;
        objective.loss * cost + self.per_ms * self.extra_ms(position, freed) - self.benefit(freed)
    }

    /// No choice with that start has a lower score.
    pub(crate) fn least(&self, start: &Start) -> f64 {
        self.score(start.position, self.wish.max(start.freed), start.cost)
    }

    /// The weight of a loss.
    pub(crate) fn loss_weight(&self) -> f64 {
        self.input.policy.objective.loss
    }

    /// What freeing one more of the tokens between `freed` and the low mark is worth, about: for
    /// small steps, and as long as there are any.
    pub(crate) fn worth_per_token(&self, position: usize, freed: usize) -> f64 {
        let left = self.wish.saturating_sub(freed);
        let saved = self.score(position, freed, 0.0) - self.score(position, self.wish, 0.0);
        if left == 0 { 0.0 } else { saved / left as f64 }
    }

    /// A choice as it is reported.
    pub(crate) fn point(&self, choice: &Choice) -> PlanPoint {
        PlanPoint {
            edits: choice.edits,
            position: choice.position,
            loss: choice.loss,
            prefill_tokens: self.prefill_tokens(choice.position, choice.freed),
            prefill_seconds: self.seconds(choice.position, choice.freed),
            tokens: self.input.prompt_tokens.saturating_sub(choice.freed),
        }
    }
}

/// The weight of a millisecond of prefill for one prompt.
pub(crate) fn per_ms(input: &PlanInput) -> f64 {
    let policy = &input.policy;
    policy.objective.prefill.per_ms(&input.cost, policy.budget)
}
