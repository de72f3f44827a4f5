//! Output that a running sequence is sure to have room for.

use crate::sequence::{Sequence, SequenceKey};
use crate::{Scheduler, SequenceState};

impl Sequence {
    /// Whether it has yet to generate tokens that it was promised room for.
    pub(crate) fn is_guaranteed(&self) -> bool {
        self.num_generated() < self.min_output_tokens
    }

    /// Tokens that it needs room for: those it has, and as long as it is guaranteed, those it will
    /// have when it stops being so. The last token that is generated needs none.
    pub(crate) fn room_needed(&self) -> usize {
        let guaranteed = self.prompt_len + self.min_output_tokens;
        if self.is_guaranteed() {
            self.tokens.len().max(guaranteed - 1)
        } else {
            self.tokens.len()
        }
    }
}

impl Scheduler {
    /// Free blocks that a running sequence may take: all but those that are kept for others.
    pub(crate) fn spare_blocks(&self, key: SequenceKey) -> usize {
        let kept_for_others = self.guaranteed_blocks - self.sequences[key].guaranteed_blocks;
        // Copies of this step's admissions hold their sources, until the step has ended.
        let num_free = self.cache.pool().num_free();
        num_free.saturating_sub(kept_for_others)
    }

    /// Brings the blocks that are kept for a sequence up to date with its table.
    pub(crate) fn update_guarantee(&mut self, key: SequenceKey) {
        let blocks = self.count_guaranteed_blocks(&self.sequences[key]);
        let before = std::mem::replace(&mut self.sequences[key].guaranteed_blocks, blocks);
        self.guaranteed_blocks = self.guaranteed_blocks + blocks - before;
    }

    /// Blocks that a sequence has yet to take and that nobody else may.
    pub(crate) fn count_guaranteed_blocks(&self, sequence: &Sequence) -> usize {
        if sequence.state != SequenceState::Running || !sequence.is_guaranteed() {
            return 0;
        }
        let needed = self.cache.pool().blocks_for(sequence.room_needed());
        needed.saturating_sub(sequence.table.blocks().len())
    }
}
