//! Planning a step before it is known what the one before it gives.

use kv_cache::WindowConfig;

use crate::{Scheduler, StepPlan, Timestamp};

impl Scheduler {
    /// Decides what to compute behind the outstanding step, as if that had ended: of each sequence that
    /// it brings to its end, a token follows that nobody knows yet. One that turns out to be the last
    /// ends its sequence all the same; what was computed behind it is not used.
    ///
    /// `None` if the outstanding step has to end first: without
    /// [`async_scheduling`](crate::SchedulerConfig::async_scheduling), where memory is so short that somebody could
    /// lose theirs, with work in the background, and when there is nothing to compute without its
    /// tokens.
    ///
    /// # Panics
    /// Unless one plan is outstanding.
    #[must_use = "a plan is committed or aborted"]
    pub fn plan_ahead(&mut self, now: Timestamp) -> Option<StepPlan> {
        assert_eq!(self.outstanding.len(), 1, "one plan is outstanding");
        if !self.config.async_scheduling || !self.is_room_certain() {
            return None;
        }
        let plan = self.make_plan(now);
        debug_assert!(
            plan.preempted.is_empty() && plan.abandoned.is_empty(),
            "there was room for everybody"
        );
        (!plan.is_empty()).then_some(plan)
    }

    /// Whether every running sequence can go on without another's blocks.
    fn is_room_certain(&self) -> bool {
        if self.num_foreground() < self.running.len() || !self.background.is_empty() {
            return false;
        }
        let pool = self.cache.pool();
        let lacks = self.running.iter().map(|&key| {
            let sequence = &self.sequences[key];
            if sequence.is_ending() {
                return 0;
            }
            let has = sequence.table.blocks().len() + sequence.guaranteed_blocks;
            pool.blocks_for(sequence.planned_len()).saturating_sub(has)
        });
        lacks.sum::<usize>() + self.guaranteed_blocks <= pool.num_free() && self.has_window_ahead()
    }

    /// Whether there are window blocks for all that two steps compute: those behind the window are
    /// given back when a step has ended.
    fn has_window_ahead(&self) -> bool {
        let config = &self.config;
        config.window.is_none_or(|window| {
            let two_steps = 2 * config.max_num_batched_tokens;
            let (block_size, seqs) = (config.block_size, config.max_num_seqs);
            let needed = WindowConfig::blocks_for(window.tokens, block_size, seqs, two_steps);
            needed <= window.num_blocks as usize
        })
    }
}
