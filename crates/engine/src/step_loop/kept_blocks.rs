//! Blocks that are kept beyond the pool.

use kv_cache::TokenId;

use super::StepLoop;
use crate::disk::DiskTier;

impl StepLoop {
    /// With blocks kept on disk; the scheduler lists what it evicts.
    pub(crate) fn with_disk(self, disk: DiskTier) -> Self {
        Self {
            disk: Some(disk),
            ..self
        }
    }

    /// Forgets all cached prefixes, those on disk too, unless a sequence holds blocks.
    pub(super) fn reset_cache(&mut self) -> bool {
        let done = self.scheduler.reset_prefix_cache();
        if let Some(disk) = self.disk.as_mut().filter(|_| done) {
            disk.clear();
        }
        done
    }

    /// Reads blocks of a prompt back; returns their tokens.
    pub(super) fn restore(&mut self, salt: &[u8], prompt: &[TokenId]) -> usize {
        let (scheduler, runner) = (&mut self.scheduler, self.runner.as_mut());
        self.disk.as_mut().map_or(0, |disk| {
            disk.restore((salt, prompt), scheduler, runner, self.clock.as_ref())
        })
    }

    /// Writes what was evicted, before the step that overwrites it.
    pub(super) fn save_evicted(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.save_evicted(&mut self.scheduler, self.runner.as_mut());
        }
    }

    /// Writes everything that is cached, before the pool goes.
    pub(super) fn save_all(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.save_all(&self.scheduler, self.runner.as_mut());
        }
    }
}
