//! What requests want to know of their prompts beside the next token.

use scheduler::StepPlan;

use super::StepLoop;
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
            let history_len = self.scheduler.tokens(chunk.request).len();
            let may = request.following.is_none() && request.forbidden(history_len).is_empty();
            may.then(|| sampler::draw(&request.sampling, history_len))?
        });
        self.batch.draws.extend(draws);
    }

    /// Adds the rows to the batch whose next tokens are to be scored.
    pub(super) fn want_scores(&mut self, plan: &StepPlan) {
        for (chunk, start) in plan.chunks.iter().zip(&self.batch.query_start) {
            let Some(request) = self.requests.get(&chunk.request) else {
                continue;
            };
            let tokens = self.scheduler.tokens(chunk.request);
            for &position in request.scoring.wanted_in(&chunk.tokens) {
                let row = position - 1 - chunk.tokens.start;
                self.batch.scored_rows.push(start + row as u32);
                self.batch.scored_tokens.push(tokens[position].0);
            }
        }
    }

    /// Hands the batch's scores to the requests that wanted them.
    pub(super) fn take_scores(&mut self, plan: &StepPlan, mut scores: &[f32]) {
        for chunk in &plan.chunks {
            if let Some(request) = self.requests.get_mut(&chunk.request) {
                let wanted = request.scoring.wanted_in(&chunk.tokens).len();
                let (own, others) = scores.split_at(wanted);
                request.scoring.take(&chunk.tokens, own);
                scores = others;
            }
        }
    }
}
