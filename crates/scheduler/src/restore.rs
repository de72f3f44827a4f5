//! Blocks that are kept outside of the pool, too.

use kv_cache::{BlockHash, CachedBlock, Restore, TokenId};

use crate::Scheduler;
use crate::step_time::StepTimeModel;

impl Scheduler {
    /// Full blocks that were evicted since the last call; their memory keeps its content until the
    /// next step runs. See [`SchedulerConfig::list_evicted`](crate::SchedulerConfig::list_evicted).
    pub fn take_evicted(&mut self) -> Vec<CachedBlock> {
        self.cache.take_evicted()
    }

    /// Takes memory for the blocks of a prompt that are not cached and that `is_kept` elsewhere, if
    /// reading so many is `worth` it: the second number is the seconds that computing them should
    /// take, `None` before the first measurement. What is evicted for them is listed. No outstanding step
    /// writes that memory; one may still read it, so it is filled behind them.
    pub fn begin_restore(
        &mut self,
        salt: &[u8],
        tokens: &[TokenId],
        is_kept: impl FnMut(&BlockHash) -> bool,
        worth: impl FnOnce(usize, Option<f64>) -> bool,
    ) -> Option<Restore> {
        let (block_size, step_tokens) =
            (self.config.block_size, self.config.max_num_batched_tokens);
        let seconds = |step_time: &StepTimeModel, blocks: usize| {
            step_time.prefill_rate()?;
            Some(step_time.prefill_seconds(blocks * block_size, 0, step_tokens))
        };
        let step_time = &self.step_time;
        let worth = |blocks| worth(blocks, seconds(step_time, blocks));
        self.cache.begin_restore(salt, tokens, is_kept, worth)
    }

    /// Ends a restore of whose blocks the first `num_filled` were filled.
    pub fn finish_restore(&mut self, restore: Restore, num_filled: usize) {
        self.cache.finish_restore(restore, num_filled);
    }
}
