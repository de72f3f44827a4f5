//! After the model: what a step has changed.

use std::time::Duration;

use kv_cache::TokenId;

use crate::sequence::SequenceKey;
use crate::{Chunk, RequestId, Scheduler, StepOutcome, StepPlan, Update};

impl Scheduler {
    /// Takes over what the step has computed: blocks that have become full are shared, sampled
    /// tokens appended, and sequences that have ended release their blocks.
    ///
    /// `sampled` has, in the plan's order, the token of every chunk that `needs_logits`; those of
    /// requests cancelled since the plan may be left out. `elapsed` is how long the model took.
    ///
    /// # Panics
    /// If the plan is not the earliest outstanding one, or a token is missing.
    pub fn commit_step(
        &mut self,
        plan: &StepPlan,
        sampled: &[(RequestId, TokenId)],
        elapsed: Duration,
    ) -> StepOutcome {
        self.end_step(plan);
        self.step_time.observe(&plan.load, elapsed);
        let mut sampled = sampled.iter().copied().peekable();
        let mut outcome = StepOutcome::default();
        for chunk in &plan.chunks {
            let token = sampled.next_if(|&(request, _)| request == chunk.request);
            let key = self.leave_step(chunk);
            if self.sequences[key].cancelled {
                self.forget_ended(key);
                continue;
            }
            self.advance(key, chunk.tokens.end);
            if chunk.needs_logits {
                let (_, token) = token.unwrap_or_else(|| panic!("no token for {chunk:?}"));
                outcome.updates.push(self.append(key, token));
            }
        }
        assert!(
            sampled.next().is_none(),
            "every sampled token belongs to a chunk"
        );
        outcome
    }

    /// Ends a step that has failed: nothing that it computed is used. Its sequences wait again and
    /// keep their tokens, unless the caller has cancelled them.
    ///
    /// # Panics
    /// If the plan is not the earliest outstanding one, or a sequence is part of the next one, too, and
    /// was not cancelled: what it computes there is worth nothing.
    pub fn abort_step(&mut self, plan: &StepPlan) {
        self.end_step(plan);
        for chunk in &plan.chunks {
            let key = self.leave_step(chunk);
            if self.sequences[key].cancelled {
                self.forget_ended(key);
            } else {
                assert_eq!(self.sequences[key].steps, 0, "cancelled before");
                self.stop_running(key);
                self.requeue(key);
            }
        }
    }

    fn end_step(&mut self, plan: &StepPlan) {
        let planned = (!plan.is_empty()).then_some(plan.step);
        assert_eq!(
            planned,
            self.outstanding.pop_front(),
            "the plan is not the outstanding one"
        );
    }

    fn leave_step(&mut self, chunk: &Chunk) -> SequenceKey {
        let key = self.sequences.key(chunk.request);
        let key = key.expect("a request stays until its steps have ended");
        self.sequences[key].leave_step(chunk);
        key
    }

    /// Forgets a sequence that is part of no step any more.
    fn forget_ended(&mut self, key: SequenceKey) {
        if self.sequences[key].steps == 0 {
            self.forget(key);
        }
    }

    /// The KV of the sequence's first `num_computed` tokens exists.
    fn advance(&mut self, key: SequenceKey, num_computed: usize) {
        let sequence = &mut self.sequences[key];
        self.cache.finish_copy(&mut sequence.table);
        let was_prefilling = sequence.is_prefilling();
        let block_size = self.config.block_size;
        let fills_block = num_computed / block_size > sequence.num_computed / block_size;
        sequence.num_computed = num_computed;
        if fills_block {
            self.cache
                .extend_chain(&mut sequence.chain, &sequence.tokens);
            let computed = kv_cache::Computed {
                chain: &sequence.chain,
                tokens: &sequence.tokens,
                num_computed,
            };
            self.cache.seal(&mut sequence.table, computed);
            self.cache.pass_window(&mut sequence.table, num_computed);
            let sealed = (num_computed / block_size).min(sequence.claimed.end);
            let done = sequence.claimed.start..sealed.max(sequence.claimed.start);
            sequence.claimed.start = done.end;
            self.in_flight.end(sequence.chain.hashes(), done, key);
        }
        if was_prefilling && !sequence.is_prefilling() {
            self.cache
                .register_partial(&sequence.table, sequence.computed());
            self.retain(key);
        }
    }

    fn append(&mut self, key: SequenceKey, token: TokenId) -> Update {
        let max_model_len = self.config.max_model_len;
        let sequence = &mut self.sequences[key];
        sequence.tokens.push(token);
        let num_generated = sequence.num_generated();
        let num_tokens = sequence.tokens.len();
        let finished = sequence
            .stop
            .check(token, num_generated, num_tokens, max_model_len);
        let update = Update {
            request: sequence.request,
            token,
            num_generated,
            recomputed_tokens: sequence.recomputed_tokens,
            retained_tokens: sequence.retained_tokens,
            finished,
        };
        if finished.is_some() {
            // The next step may compute a token behind the last, which nobody wants.
            sequence.cancelled = true;
            self.forget_ended(key);
        }
        update
    }
}
