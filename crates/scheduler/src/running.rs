//! Planning a step: the running sequences first, then the waiting ones, then the background.

use kv_cache::BlockTable;

use crate::budget::StepBudget;
use crate::queue::response_ratio;
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
            self.outstanding.is_empty(),
            "the plan before is still outstanding"
        );
        let plan = self.make_plan(now);
        debug_assert!(
            self.is_idle() || !plan.is_empty(),
            "work is pending and nothing is planned"
        );
        plan
    }

    pub(crate) fn make_plan(&mut self, now: Timestamp) -> StepPlan {
        self.cache.advance_clock(now);
        self.last_step += 1;
        let mut plan = StepPlan {
            step: self.last_step,
            ..StepPlan::default()
        };
        plan.chunks.reserve(self.running.len());
        let decoding = self.running[..self.num_foreground()]
            .iter()
            .any(|&key| !self.sequences[key].plans_prefill());
        let mut budget = StepBudget::new(
            self.config.max_num_batched_tokens,
            self.config.target_itl.filter(|_| decoding),
            self.config.block_size,
        );
        self.schedule_running(&mut plan, &mut budget, now);
        self.blocked_tokens = 0;
        if !plan.is_short_of_memory() {
            self.admit_waiting(&mut plan, &mut budget, now);
            self.reserve.decay();
        }
        self.schedule_background(&mut plan, &mut budget);
        plan.load = budget.load;
        plan.predicted = self.step_time.predict(&plan.load);
        if !plan.is_empty() {
            self.outstanding.push_back(plan.step);
            self.counters.steps += 1;
        }
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
        let (start, is_prefill) = (sequence.num_planned, sequence.plans_prefill());
        let tokens = start..start + num_tokens;
        let needs_logits = tokens.end == sequence.planned_len();
        sequence.steps += 1;
        sequence.num_planned = tokens.end;
        sequence.num_pending += usize::from(needs_logits);
        budget.take(num_tokens, start, is_prefill);
        plan.chunks.push(Chunk {
            request: sequence.request,
            needs_logits,
            tokens,
        });
    }

    /// Shortens a chunk that does not reach the sequence's end to end with a block, so that what it
    /// computes can be shared at once.
    pub(crate) fn align_chunk(&self, key: SequenceKey, start: usize, num_tokens: usize) -> usize {
        let end = start + num_tokens;
        let aligned = end - end % self.config.block_size;
        let reaches_end = end == self.sequences[key].planned_len();
        if reaches_end || aligned <= start {
            num_tokens
        } else {
            aligned - start
        }
    }

    /// Decodes first, so that a long prompt cannot keep tokens from those who wait for their next
    /// one, then prompts.
    ///
    /// The oldest prompt of the best class goes first and takes what the other running prompts and
    /// the queue do not need, or half if they need more: so a long prompt neither holds up short
    /// ones nor starves. The others follow like the queue, by class and response ratio, and share
    /// the rest with the queue in the same way. Since the token budget is at least the number of
    /// sequences, the first prompt always gets some of it.
    fn schedule_running(&mut self, plan: &mut StepPlan, budget: &mut StepBudget, now: Timestamp) {
        let mut decodes = Vec::with_capacity(self.running.len());
        let mut prefills = Vec::new();
        for &key in &self.running[..self.num_foreground()] {
            let sequence = &self.sequences[key];
            if sequence.is_ending() {
                continue;
            }
            let list = if sequence.plans_prefill() {
                &mut prefills
            } else {
                &mut decodes
            };
            list.push(key);
        }
        for key in decodes {
            self.schedule_sequence(key, usize::MAX, plan, budget);
        }
        let Some((&mut first, others)) = prefills.split_first_mut() else {
            return;
        };
        self.sort_by_response_ratio(others, now);
        let missing = |&key: &SequenceKey| self.sequences[key].num_missing();
        let context = self.sequences[first].num_planned;
        let room = budget.prefill_tokens(&self.step_time, usize::MAX, context);
        let demand = others.iter().map(missing).sum::<usize>() + self.blocked_tokens;
        let share = fair_share(room, demand).max(room.min(self.config.block_size));
        let taken = self.schedule_sequence(first, share, plan, budget);
        let mut left = fair_share(room - taken, self.blocked_tokens);
        for &mut key in others {
            left -= self.schedule_sequence(key, left, plan, budget);
        }
    }

    fn sort_by_response_ratio(&self, keys: &mut [SequenceKey], now: Timestamp) {
        let budget = self.config.max_num_batched_tokens;
        keys.sort_by_cached_key(|&key| {
            let sequence = &self.sequences[key];
            let (missing, context) = (sequence.num_missing(), sequence.num_planned);
            let service = self.step_time.prefill_seconds(missing, context, budget);
            let ratio = response_ratio(now.since(sequence.arrived_at), service);
            // A positive float's bits are ordered as it is.
            (
                sequence.rank.class,
                std::cmp::Reverse(ratio.to_bits()),
                sequence.rank.ordinal,
            )
        });
    }

    /// Plans at most `most` tokens of a sequence, abandoning background ones if blocks lack and
    /// preempting others if there are none for even one token; returns how many it planned. None if
    /// it has to wait for guaranteed ones, or was abandoned itself.
    pub(crate) fn schedule_sequence(
        &mut self,
        key: SequenceKey,
        most: usize,
        plan: &mut StepPlan,
        budget: &mut StepBudget,
    ) -> usize {
        let block_size = self.config.block_size;
        while !self.sequences[key].table.is_empty() {
            let sequence = &self.sequences[key];
            let (start, wanted) = (sequence.num_planned, sequence.num_missing().min(most));
            let num_tokens = if sequence.plans_prefill() {
                budget.prefill_tokens(&self.step_time, wanted, start)
            } else {
                wanted.min(budget.tokens_left())
            };
            if num_tokens == 0 {
                return 0;
            }
            let num_blocks = sequence.table.blocks().len() + self.spare_blocks(key);
            let room = num_blocks * block_size - start;
            let is_short = if sequence.rank.background {
                room == 0
            } else {
                room < num_tokens
            };
            if is_short && let Some(abandoned) = self.abandon_youngest(plan, budget) {
                if abandoned == key {
                    return 0;
                }
                continue;
            }
            if room == 0 {
                if self.preempt_one(plan, budget) {
                    continue;
                }
                self.wait_for_guaranteed(key, plan);
                return 0;
            }
            let num_tokens = self.align_chunk(key, start, num_tokens.min(room));
            let table: &mut BlockTable = &mut self.sequences[key].table;
            let extended = self.cache.extend(table, start + num_tokens);
            extended.expect("the free blocks were counted");
            self.update_guarantee(key);
            self.push_chunk(key, num_tokens, plan, budget);
            return num_tokens;
        }
        0
    }

    /// Leaves a sequence out of the step, because what is free is kept for others.
    fn wait_for_guaranteed(&mut self, key: SequenceKey, plan: &mut StepPlan) {
        debug_assert_eq!(self.running[0], key, "another one would be preempted");
        assert!(self.running.len() > 1, "one alone never lacks blocks");
        plan.waits_for_guaranteed = true;
        self.counters.guarantee_waits += 1;
        self.reserve.raise();
    }
}

/// What one side may take of `total` when the other side asks for `demand`: all that is left over,
/// and at least half.
fn fair_share(total: usize, demand: usize) -> usize {
    total.div_ceil(2).max(total.saturating_sub(demand))
}
