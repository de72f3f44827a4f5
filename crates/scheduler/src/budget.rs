//! What still fits into a step.

use std::time::Duration;

use crate::step_time::{StepLoad, StepTimeModel};

/// The tokens and the time of one step.
#[derive(Debug)]
pub(crate) struct StepBudget {
    pub(crate) load: StepLoad,
    max_tokens: usize,
    /// Set while somebody is decoding.
    max_time: Option<Duration>,
    /// Tokens that a step's first prefill chunk gets whatever the time, so that it makes progress.
    min_prefill: usize,
    num_prefills: usize,
}

impl StepBudget {
    pub(crate) fn new(max_tokens: usize, max_time: Option<Duration>, min_prefill: usize) -> Self {
        Self {
            load: StepLoad::default(),
            max_tokens,
            max_time,
            min_prefill,
            num_prefills: 0,
        }
    }

    pub(crate) fn tokens_left(&self) -> usize {
        self.max_tokens - self.load.tokens
    }

    /// How many of `wanted` prompt tokens that follow `context` tokens fit.
    pub(crate) fn prefill_tokens(
        &self,
        model: &StepTimeModel,
        wanted: usize,
        context: usize,
    ) -> usize {
        let most = wanted.min(self.tokens_left());
        let Some(max_time) = self.max_time else {
            return most;
        };
        let fits = |num_tokens: usize| {
            let load = self.load.with_chunk(num_tokens, context, true);
            model.predict(&load).is_none_or(|time| time <= max_time)
        };
        if fits(most) {
            return most;
        }
        // The largest number that fits, by bisection: `low` fits (or is 0), `high` does not.
        let (mut low, mut high) = (0, most);
        while high - low > 1 {
            let middle = low.midpoint(high);
            if fits(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        let least = if self.num_prefills == 0 {
            self.min_prefill.min(most)
        } else {
            0
        };
        low.max(least)
    }

    pub(crate) fn take(&mut self, num_tokens: usize, context: usize, is_prefill: bool) {
        self.load = self.load.with_chunk(num_tokens, context, is_prefill);
        self.num_prefills += usize::from(is_prefill);
    }

    pub(crate) fn give_back(&mut self, num_tokens: usize, context: usize, is_prefill: bool) {
        self.load = self.load.without_chunk(num_tokens, context, is_prefill);
        self.num_prefills -= usize::from(is_prefill);
    }
}
