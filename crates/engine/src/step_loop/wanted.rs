//! What requests want to know of their prompts beside the next token.

use scheduler::{RequestId, StepPlan};

use super::StepLoop;
use super::in_flight::Step;
use crate::sampler;

impl StepLoop {
    /// Whether the prompt of a request ends in this step whose state is wanted.
    pub(super) fn wants_states(&self, plan: &StepPlan) -> bool {
        let ends = plan.chunks.iter().filter(|chunk| chunk.needs_logits);
        let mut ending = ends.filter_map(|chunk| self.requests.get(&chunk.request));
        ending.any(|request| request.embed)
    }

    /// Leaves the choice of tokens to the model where it has all that it takes.
    pub(super) fn want_draws(&mut self, plan: &StepPlan) {
        let ends = plan.chunks.iter().filter(|chunk| chunk.needs_logits);
        let draws = ends.map(|chunk| {
            let request = self.requests.get(&chunk.request)?;
            // Those that nobody knows yet included.
            let history_len = chunk.tokens.end;
            let may = request.following.is_none() && request.forbidden(history_len).is_empty();
            may.then(|| sampler::draw(&request.sampling, history_len))?
        });
        self.batch.draws.extend(draws);
    }

    /// Adds the rows to the batch whose next tokens are to be scored; returns how many of each request,
    /// in the order of the chunks.
    pub(super) fn want_scores(&mut self, plan: &StepPlan) -> Vec<(RequestId, usize)> {
        let mut wanted = Vec::new();
        for (chunk, start) in plan.chunks.iter().zip(&self.batch.query_start) {
            let Some(request) = self.requests.get(&chunk.request) else {
                continue;
            };
            let tokens = self.scheduler.tokens(chunk.request);
            let positions = request.scoring.wanted_in(&chunk.tokens);
            if !positions.is_empty() {
                wanted.push((chunk.request, positions.len()));
            }
            for &position in positions {
                let row = position - 1 - chunk.tokens.start;
                self.batch.scored_rows.push(start + row as u32);
                self.batch.scored_tokens.push(tokens[position].0);
            }
        }
        wanted
    }

    /// Hands a step's scores to the requests that wanted them, those that have ended since left out.
    pub(super) fn take_scores(&mut self, step: &Step, mut scores: &[f32]) {
        let mut wanted = step.wanted_scores.iter().peekable();
        for chunk in &step.plan.chunks {
            let count = wanted.next_if(|(request, _)| *request == chunk.request);
            let (own, others) = scores.split_at(count.map_or(0, |(_, count)| *count));
            scores = others;
            if let Some(request) = self.requests.get_mut(&chunk.request) {
                request.scoring.take(&chunk.tokens, own);
            }
        }
    }
}
