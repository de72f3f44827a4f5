//! Who loses its blocks when there are no more.

use crate::budget::StepBudget;
use crate::sequence::{Sequence, SequenceKey};
use crate::{Scheduler, SequenceState, StepPlan};

impl Scheduler {
    /// Takes the blocks of one running sequence, which waits and computes its tokens again.
    ///
    /// The victim is of the lowest class; among these the one with the least work to compute again
    /// per block that is really freed (shared blocks free nothing, and stay cached for it); of two
    /// equals the younger. Never the oldest of the best class, which is what makes everybody finish
    /// in the end; and never one that has not generated its guaranteed output. False if only such
    /// are left.
    pub(crate) fn preempt_one(&mut self, plan: &mut StepPlan, budget: &mut StepBudget) -> bool {
        let Some(victim) = self.choose_victim() else {
            return false;
        };
        if self.sequences[victim].steps > 0 {
            self.unschedule(victim, plan, budget);
        }
        self.stop_running(victim);
        self.sequences[victim].computed_before = self.sequences[victim].num_computed;
        self.requeue(victim);
        plan.preempted.push(self.sequences[victim].request);
        self.counters.preemptions += 1;
        self.reserve.raise();
        true
    }

    /// Takes a stopped sequence's blocks and puts it into the queue.
    pub(crate) fn requeue(&mut self, key: SequenceKey) {
        self.release(key);
        let sequence = &mut self.sequences[key];
        sequence.state = SequenceState::Preempted;
        crate::queue::estimate(sequence, &self.cache);
        self.enqueue(key);
    }

    fn choose_victim(&self) -> Option<SequenceKey> {
        let others = self.running[1..self.num_foreground()].iter().rev().copied();
        let mut others = others.filter(|&key| !self.sequences[key].is_guaranteed());
        let last = others.next()?;
        let class = self.sequences[last].rank.class;
        let mut victim = (last, self.cost_per_block(last));
        for key in others.take_while(|&key| self.sequences[key].rank.class == class) {
            let cost = self.cost_per_block(key);
            if cost < victim.1 {
                victim = (key, cost);
            }
        }
        Some(victim.0)
    }

    /// Predicted seconds to compute again what preemption would lose, per block freed.
    fn cost_per_block(&self, key: SequenceKey) -> f64 {
        let Sequence {
            table,
            num_computed,
            ..
        } = &self.sequences[key];
        let pool = self.cache.pool();
        let alone = |id: &&kv_cache::BlockId| pool.ref_count(**id) == 1;
        let freed = table.blocks().iter().filter(alone).count();
        let shared = table.blocks().len() - freed;
        if freed == 0 {
            return f64::INFINITY;
        }
        let kept = (shared * pool.block_size()).min(*num_computed);
        let budget = self.config.max_num_batched_tokens;
        self.step_time
            .prefill_seconds(num_computed - kept, kept, budget)
            / freed as f64
    }

    /// Takes back a chunk that is planned.
    pub(crate) fn unschedule(
        &mut self,
        key: SequenceKey,
        plan: &mut StepPlan,
        budget: &mut StepBudget,
    ) {
        let sequence = &mut self.sequences[key];
        debug_assert_eq!(sequence.steps, 1, "of this plan alone");
        let at = plan
            .chunks
            .iter()
            .position(|chunk| chunk.request == sequence.request);
        let chunk = plan.chunks.remove(at.expect("it is part of the step"));
        sequence.leave_step(&chunk);
        sequence.num_planned = sequence.num_computed;
        budget.give_back(
            chunk.tokens.len(),
            chunk.tokens.start,
            sequence.is_prefilling(),
        );
    }
}
