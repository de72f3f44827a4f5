//! Planning a step: the running sequences first, then the waiting ones.

use kv_cache::BlockTable;

use crate::budget::StepBudget;
use crate::sequence::SequenceKey;
use crate::{Chunk, Scheduler, StepPlan, Timestamp};

impl Scheduler {
    /// Decides what the next step computes. Not empty unless the scheduler is idle.
    ///
    /// # Panics
    /// If the plan before has been neither committed nor aborted.
    #[must_use = "a plan is committed or aborted"]
    pub fn plan_step(&mut self, now: Timestamp) -> StepPlan {
        assert!(
            self.outstanding.is_none(),
            "the plan before is still outstanding"
        );
        self.last_step += 1;
        let mut plan = StepPlan {
            step: self.last_step,
            ..StepPlan::default()
        };
        plan.chunks.reserve(self.running.len());
        let decoding = self
            .running
            .iter()
            .any(|&key| !self.sequences[key].is_prefilling());
        let mut budget = StepBudget::new(
            self.config.max_num_batched_tokens,
            self.config.target_itl.filter(|_| decoding),
            self.config.block_size,
        );
        self.schedule_running(&mut plan, &mut budget);
        if plan.preempted.is_empty() {
            self.admit_waiting(&mut plan, &mut budget, now);
            self.reserve.decay();
        }
        plan.load = budget.load;
        plan.predicted = self.step_time.predict(&plan.load);
        if !plan.is_empty() {
            self.outstanding = Some(plan.step);
            self.counters.steps += 1;
        }
        debug_assert!(
            self.is_idle() || !plan.is_empty(),
            "work is pending and nothing is planned"
        );
        debug_assert!(plan.num_tokens() <= self.config.max_num_batched_tokens);
        plan
    }

    /// Adds a chunk of `num_tokens` tokens to the plan; its blocks are allocated.
    pub(crate) fn push_chunk(
        &mut self,
        key: SequenceKey,
        num_tokens: usize,
        plan: &mut StepPlan,
        budget: &mut StepBudget,
    ) {
        let sequence = &mut self.sequences[key];
        let (start, is_prefill) = (sequence.num_computed, sequence.is_prefilling());
        let tokens = start..start + num_tokens;
        debug_assert!(!sequence.in_step, "one chunk per request and step");
        sequence.in_step = true;
        budget.take(num_tokens, start, is_prefill);
        plan.chunks.push(Chunk {
            request: sequence.request,
            needs_logits: tokens.end == sequence.tokens.len(),
            tokens,
        });
    }

    /// Shortens a chunk that does not reach the sequence's end to end with a block, so that what it
    /// computes can be shared at once.
    pub(crate) fn align_chunk(&self, key: SequenceKey, start: usize, num_tokens: usize) -> usize {
        let end = start + num_tokens;
        let aligned = end - end % self.config.block_size;
        let reaches_end = end == self.sequences[key].tokens.len();
        if reaches_end || aligned <= start {
            num_tokens
        } else {
            aligned - start
        }
    }

    /// Decodes first, so that a long prompt cannot keep tokens from those who wait for their next
    /// one; both in order of rank. Since the token budget is at least the number of sequences, the
    /// first sequence that is still prefilling always gets some of it.
    fn schedule_running(&mut self, plan: &mut StepPlan, budget: &mut StepBudget) {
        let mut order = Vec::with_capacity(self.running.len());
        let prefilling = |&key: &SequenceKey| self.sequences[key].is_prefilling();
        order.extend(self.running.iter().copied().filter(|key| !prefilling(key)));
        order.extend(self.running.iter().copied().filter(prefilling));
        for key in order {
            self.schedule_sequence(key, plan, budget);
        }
    }

    fn schedule_sequence(
        &mut self,
        key: SequenceKey,
        plan: &mut StepPlan,
        budget: &mut StepBudget,
    ) {
        let block_size = self.config.block_size;
        while !self.sequences[key].table.is_empty() {
            let sequence = &self.sequences[key];
            let (start, wanted) = (sequence.num_computed, sequence.num_missing());
            let num_tokens = if sequence.is_prefilling() {
                budget.prefill_tokens(&self.step_time, wanted, start)
            } else {
                wanted.min(budget.tokens_left())
            };
            if num_tokens == 0 {
                return;
            }
            let num_blocks = sequence.table.blocks().len() + self.cache.pool().num_free();
            let room = num_blocks * block_size - start;
            if room == 0 {
                self.preempt_one(plan, budget);
                continue;
            }
            let num_tokens = self.align_chunk(key, start, num_tokens.min(room));
            let table: &mut BlockTable = &mut self.sequences[key].table;
            let extended = self.cache.extend(table, start + num_tokens);
            extended.expect("the free blocks were counted");
            return self.push_chunk(key, num_tokens, plan, budget);
        }
    }
}
