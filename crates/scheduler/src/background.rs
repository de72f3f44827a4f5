//! Work that must not be noticed: it computes with what others leave, and ends when memory is
//! short.

use kv_cache::BlockId;

use crate::budget::StepBudget;
use crate::sequence::SequenceKey;
use crate::{Scheduler, StepPlan};

impl Scheduler {
    /// Running sequences that are not in the background; they come first.
    pub(crate) fn num_foreground(&self) -> usize {
        let in_front = |&key: &SequenceKey| !self.sequences[key].rank.background;
        self.running.partition_point(in_front)
    }

    /// Adds background chunks to a plan that has all of the foreground's, oldest first: within
    /// `max_background_share` of the token budget, or all that is left if nothing else runs. Only
    /// when no foreground request waits, further background sequences are admitted.
    pub(crate) fn schedule_background(&mut self, plan: &mut StepPlan, budget: &mut StepBudget) {
        let config = &self.config;
        let mut left = if self.num_foreground() == 0 {
            config.max_num_batched_tokens
        } else {
            (config.max_background_share * config.max_num_batched_tokens as f64) as usize
        };
        let running = self.running[self.num_foreground()..].to_vec();
        for key in running {
            // A younger one may have been abandoned for an older one.
            if self.running.contains(&key) {
                left -= self.schedule_sequence(key, left, plan, budget);
            }
        }
        if self.waiting.is_empty() && !plan.is_short_of_memory() {
            self.admit_background(left, plan, budget);
        }
    }

    /// Ends the youngest running background sequence, if there is one, and returns its key, which
    /// is no longer valid.
    pub(crate) fn abandon_youngest(
        &mut self,
        plan: &mut StepPlan,
        budget: &mut StepBudget,
    ) -> Option<SequenceKey> {
        let &key = self.running.last()?;
        if !self.sequences[key].rank.background {
            return None;
        }
        if self.sequences[key].steps > 0 {
            self.unschedule(key, plan, budget);
        }
        plan.abandoned.push(self.forget(key).request);
        self.counters.abandoned += 1;
        Some(key)
    }

    /// Blocks that would be free if all background sequences were abandoned.
    pub(crate) fn background_blocks(&self) -> usize {
        let tables = self.running[self.num_foreground()..].iter();
        let mut held: Vec<BlockId> = tables
            .flat_map(|&key| self.sequences[key].table.blocks())
            .copied()
            .collect();
        held.sort_unstable();
        let pool = self.cache.pool();
        held.chunk_by(|a, b| a == b)
            .filter(|holders| pool.ref_count(holders[0]) as usize == holders.len())
            .count()
    }
}
