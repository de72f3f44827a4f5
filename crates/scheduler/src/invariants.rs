//! What holds between any two calls.

use kv_cache::BlockHash;

use crate::queue::WaitingQueue;
use crate::sequence::Sequence;
use crate::{Scheduler, SequenceState};

impl Scheduler {
    /// Checks everything, the cache included. For tests: it recomputes every hash.
    ///
    /// # Panics
    /// At the first violated invariant, which it names.
    pub fn check_invariants(&self) {
        self.cache
            .check_invariants(self.sequences.iter().map(|sequence| &sequence.table));
        self.check_counts();
    }

    /// Checks the scheduler's own state, in time proportional to the sequences.
    ///
    /// # Panics
    /// At the first violated invariant, which it names.
    pub fn check_counts(&self) {
        self.cache.check_counts();
        assert!(
            self.running.len() <= self.config.max_num_seqs,
            "no more run than may"
        );
        let queues = [&self.waiting, &self.background];
        let queued: usize = queues.iter().map(|queue| queue.len()).sum();
        let listed = self.running.len() + queued;
        assert_eq!(listed, self.sequences.len(), "a sequence runs or waits");
        let ranks = self.running.iter().map(|&key| self.sequences[key].rank);
        assert!(
            ranks.is_sorted_by(|a, b| a < b),
            "the running sequences are sorted"
        );
        let (mut claims, mut guaranteed) = (0, 0);
        for &key in &self.running {
            let sequence = &self.sequences[key];
            self.check_running(sequence);
            guaranteed += sequence.guaranteed_blocks;
            let claimed = &sequence.chain.hashes()[sequence.claimed.clone()];
            let is_mine = |hash: &&BlockHash| self.in_flight.owner(hash) == Some(key);
            claims += claimed.iter().filter(is_mine).count();
        }
        assert_eq!(
            claims,
            self.in_flight.len(),
            "claims belong to running sequences"
        );
        assert_eq!(guaranteed, self.guaranteed_blocks, "what is kept is summed");
        // The source of a copy is held until the end of the step, beside all tables.
        assert!(
            !self.outstanding.is_empty() || guaranteed <= self.cache.pool().num_free(),
            "what is kept is free"
        );
        self.check_queue(&self.waiting, false);
        self.check_queue(&self.background, true);
        if self.running.is_empty() {
            assert_eq!(
                self.cache.pool().num_in_use(),
                0,
                "nothing runs and blocks are held"
            );
        }
    }

    fn check_running(&self, sequence: &Sequence) {
        assert_eq!(
            sequence.state,
            SequenceState::Running,
            "{:?}",
            sequence.request
        );
        assert!(
            sequence.num_computed < sequence.tokens.len(),
            "a token is to be computed"
        );
        let room = sequence.table.blocks().len() * self.config.block_size;
        assert!(
            sequence.num_computed <= sequence.num_planned && sequence.num_planned <= room,
            "what is computed has its blocks"
        );
        assert!(
            sequence.steps > 0
                || (sequence.num_planned == sequence.num_computed && sequence.num_pending == 0),
            "nothing is planned beyond the outstanding steps"
        );
        assert!(
            sequence.steps as usize <= self.outstanding.len(),
            "a step has one chunk of a sequence"
        );
        assert_eq!(
            sequence.guaranteed_blocks,
            self.count_guaranteed_blocks(sequence),
            "what is kept for a sequence is what it lacks"
        );
    }

    fn check_queue(&self, queue: &WaitingQueue, background: bool) {
        let mut uncached = 0;
        for &key in queue.keys() {
            let sequence = &self.sequences[key];
            let request = sequence.request;
            assert_ne!(sequence.state, SequenceState::Running, "{request:?}");
            assert_eq!(sequence.rank.background, background, "{request:?}");
            assert!(
                sequence.table.is_empty(),
                "a waiting sequence holds no block"
            );
            assert_eq!(sequence.num_computed, 0, "a waiting sequence has no KV");
            assert_eq!(sequence.guaranteed_blocks, 0, "nor is any kept for it");
            uncached += sequence.wait.uncached;
        }
        assert_eq!(
            uncached,
            queue.uncached_tokens(),
            "the queue's tokens are summed"
        );
    }
}
