//! One request of an agent.

use serde::Serialize;

use super::conversation::Role;
use crate::bench::outcome::{Answered, Outcome};

/// What a request asked for; lengths in tokens.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Turn {
    /// From 1.
    pub(super) agent: u32,
    /// From 1.
    pub(super) turn: u32,
    /// Between the answer before and this request.
    pub(super) pause_ms: f64,
    /// Of the task or the tool's result.
    pub(super) input_len: u32,
    /// Role of the message that brings it.
    pub(super) role: Role,
    /// Calls of the answer before whose arguments were no JSON object.
    pub(super) broken_calls: usize,
    /// To generate.
    pub(super) output_len: u32,
    /// Prompt of the turn before; `None` in the first one, and where the server counts nothing.
    pub(super) previous_prompt_tokens: Option<u64>,
    /// What a cache can hold of the prompt: prompt and answer of the turn before.
    pub(super) reusable_tokens: Option<u64>,
}

impl Turn {
    /// Tokens that could be reused and were; `None` without counts.
    pub(super) fn reused(&self, answered: &Answered) -> Option<u64> {
        Some(self.reusable_tokens?.min(answered.cached_tokens?))
    }

    /// Tokens of the previous prompt that were not in the cache, where more than a block of
    /// `block_size` tokens are missing.
    pub(super) fn lost(&self, answered: &Answered, block_size: u32) -> Option<u64> {
        let missing = self
            .previous_prompt_tokens?
            .saturating_sub(answered.cached_tokens?);
        (missing > u64::from(block_size)).then_some(missing)
    }
}

/// Turns with their answers.
pub(super) fn answered(
    outcomes: &[Outcome<Turn>],
) -> impl Iterator<Item = (&Turn, &Answered)> + Clone {
    outcomes
        .iter()
        .filter_map(|outcome| Some((&outcome.asked, outcome.answered()?)))
}
