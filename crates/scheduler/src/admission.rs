//! Which waiting sequences join the running ones.

use std::time::Duration;

use kv_cache::PrefixHit;

use crate::budget::StepBudget;
use crate::queue::CandidateLimits;
use crate::sequence::{Sequence, SequenceKey};
use crate::{Admitted, RequestId, Scheduler, SequenceState, StepPlan, Timestamp};

/// Sequences that are found not to fit before a step stops looking for smaller ones.
const MAX_REFUSALS_PER_STEP: usize = 16;

/// Waiting sequences that are counted as blocked by a step that is full.
const MAX_COUNTED_PER_STEP: usize = 64;

/// What came of the attempt to admit a sequence.
enum Attempt {
    Admitted,
    /// Another sequence is computing blocks that it needs.
    Deferred,
    /// There are not enough free blocks.
    NoRoom,
    /// Not one more token fits into the step.
    NoBudget,
}

/// What is promised to running sequences.
struct Promises {
    /// How many these are.
    sequences: usize,
    /// Blocks of known tokens and of guaranteed output that they have yet to take.
    blocks: usize,
    /// Tokens of further output that room is kept for.
    output_tokens: f64,
}

impl Scheduler {
    /// Admits waiting sequences in the queue's order while they fit.
    ///
    /// A sequence that does not fit is passed over by smaller ones, up to `max_overtakes` times;
    /// from then on, and after a preemption, it closes the step to its class and all lower ones.
    pub(crate) fn admit_waiting(
        &mut self,
        plan: &mut StepPlan,
        budget: &mut StepBudget,
        now: Timestamp,
    ) {
        if self.waiting.is_empty() || self.num_foreground() == self.config.max_num_seqs {
            return;
        }
        let step = plan.step;
        if budget.tokens_left() == 0 || self.try_candidates(plan, budget, now) {
            self.blocked_tokens = self.count_blocked_tokens(step);
        }
    }

    /// Admits what fits; true if it was the step's budget that did not suffice for more.
    fn try_candidates(
        &mut self,
        plan: &mut StepPlan,
        budget: &mut StepBudget,
        now: Timestamp,
    ) -> bool {
        self.waiting.refresh(&mut self.sequences, &self.cache);
        let limits = CandidateLimits {
            now,
            max_step_tokens: self.config.max_num_batched_tokens,
            max_overtakes: self.config.max_overtakes,
        };
        let mut candidates = self
            .waiting
            .candidates(&self.sequences, &self.step_time, limits);
        let mut promises = self.promises(self.num_foreground());
        let mut closed_from: Option<i32> = None;
        let mut refusals = 0;
        while let Some(next) = candidates.pop() {
            let is_closed = closed_from.is_some_and(|class| next.rank.class >= class);
            let is_full = self.num_foreground() == self.config.max_num_seqs;
            if is_closed || is_full || refusals == MAX_REFUSALS_PER_STEP {
                return false;
            }
            if budget.tokens_left() == 0 {
                return true;
            }
            match self.try_admit(next.key, &mut promises, plan, budget) {
                Attempt::Deferred => {}
                Attempt::NoBudget => return true,
                Attempt::NoRoom => {
                    refusals += 1;
                    if next.head_of_line {
                        closed_from = Some(next.rank.class);
                    }
                }
                Attempt::Admitted => {
                    let reached = self.waiting.note_overtaking(
                        &mut self.sequences,
                        next.rank,
                        plan.step,
                        self.config.max_overtakes,
                    );
                    closed_from = closed_from.into_iter().chain(reached).min();
                }
            }
        }
        false
    }

    /// Tokens of waiting sequences that could be computed if the step had room for them. Those that
    /// have to wait for another's blocks anyway are noted as such.
    fn count_blocked_tokens(&mut self, step: u64) -> usize {
        let num_free = self.cache.pool().num_free() + self.background_blocks();
        let mut blocked = 0;
        for at in 0..self.waiting.len().min(MAX_COUNTED_PER_STEP) {
            let key = self.waiting.keys()[at];
            let cached = self.count_cached_blocks(key);
            let sequence = &self.sequences[key];
            let needed = self.cache.pool().blocks_for(sequence.tokens.len()) - cached;
            if needed <= num_free && !self.defer(key, cached, step) {
                blocked += self.sequences[key].wait.uncached;
            }
        }
        blocked
    }

    /// Whether a waiting sequence, whose first `cached` full blocks are cached, has to wait for
    /// another that is computing its next ones.
    fn defer(&mut self, key: SequenceKey, cached: usize, step: u64) -> bool {
        let owner = self.owner_to_wait_for(&self.sequences[key], cached);
        if owner.is_some() {
            let wait = &mut self.sequences[key].wait;
            wait.owner = owner;
            wait.deferred_in = step;
        }
        owner.is_some()
    }

    /// Full blocks of a waiting sequence that it would find in the cache.
    fn count_cached_blocks(&self, key: SequenceKey) -> usize {
        let sequence = &self.sequences[key];
        let limit = (sequence.tokens.len() - 1) / self.config.block_size;
        self.cache.count_cached_blocks(&sequence.chain, limit)
    }

    fn try_admit(
        &mut self,
        key: SequenceKey,
        promises: &mut Promises,
        plan: &mut StepPlan,
        budget: &mut StepBudget,
    ) -> Attempt {
        let cached = self.count_cached_blocks(key);
        if self.defer(key, cached, plan.step) {
            return Attempt::Deferred;
        }
        let pool = self.cache.pool();
        let at_least = pool.blocks_for(self.sequences[key].tokens.len()) - cached;
        if at_least > pool.num_free() && at_least > pool.num_free() + self.background_blocks() {
            return Attempt::NoRoom;
        }
        loop {
            let (hit, missing) = self.find_room(key, promises);
            if missing > 0 && missing > self.background_blocks() {
                return Attempt::NoRoom;
            }
            let wanted = self.sequences[key].tokens.len() - hit.num_tokens();
            let chunk = budget.prefill_tokens(&self.step_time, wanted, hit.num_tokens());
            if chunk == 0 {
                return Attempt::NoBudget;
            }
            if missing == 0 && self.running.len() < self.config.max_num_seqs {
                self.start_running(key, &hit, chunk, plan, budget);
                self.add_promise(key, promises);
                return Attempt::Admitted;
            }
            self.abandon_youngest(plan, budget)
                .expect("only the background is in the way");
        }
    }

    /// Admits background sequences by arrival while they fit, in at most `left` tokens.
    pub(crate) fn admit_background(
        &mut self,
        mut left: usize,
        plan: &mut StepPlan,
        budget: &mut StepBudget,
    ) {
        if self.background.is_empty() || left.min(budget.tokens_left()) == 0 {
            return;
        }
        let mut keys = self.background.keys().to_vec();
        keys.sort_by_key(|&key| self.sequences[key].rank);
        let mut promises = self.promises(self.running.len());
        for key in keys {
            if self.running.len() == self.config.max_num_seqs {
                return;
            }
            let cached = self.count_cached_blocks(key);
            if self.defer(key, cached, plan.step) {
                continue;
            }
            let (hit, missing) = self.find_room(key, &promises);
            let wanted = self.sequences[key].tokens.len() - hit.num_tokens();
            let wanted = wanted.min(left);
            let chunk = budget.prefill_tokens(&self.step_time, wanted, hit.num_tokens());
            if missing > 0 || chunk == 0 {
                return;
            }
            left -= self.start_running(key, &hit, chunk, plan, budget);
            self.add_promise(key, &mut promises);
        }
    }

    /// What a waiting sequence would take from the cache, and how many free blocks it lacks.
    fn find_room(&self, key: SequenceKey, promises: &Promises) -> (PrefixHit, usize) {
        let sequence = &self.sequences[key];
        let mut hit = self.cache.lookup_prefix(&sequence.chain, &sequence.tokens);
        self.cache.settle_partial(&mut hit, sequence.tokens.len());
        let needed = self.cache.blocks_needed(&hit, sequence.room_needed());
        let wanted = needed + self.blocks_to_keep(sequence, promises);
        (hit, wanted.saturating_sub(self.cache.pool().num_free()))
    }

    /// Counts a sequence that has just been admitted.
    fn add_promise(&self, key: SequenceKey, promises: &mut Promises) {
        let sequence = &self.sequences[key];
        let needed = self.cache.pool().blocks_for(sequence.room_needed());
        promises.sequences += 1;
        promises.blocks += needed.saturating_sub(sequence.table.blocks().len());
        promises.output_tokens += self.output_reserve(sequence);
    }

    /// Free blocks that must remain: none when nothing else counts; otherwise the watermark, what
    /// the running sequences still need for tokens they have, and the reserve for output.
    fn blocks_to_keep(&self, sequence: &Sequence, promises: &Promises) -> usize {
        if promises.sequences == 0 {
            return 0;
        }
        let pool = self.cache.pool();
        let watermark = (self.config.watermark * pool.capacity() as f64) as usize;
        let output = promises.output_tokens + self.output_reserve(sequence);
        let reserve = (output / pool.block_size() as f64).ceil() as usize;
        watermark + promises.blocks + reserve
    }

    fn output_reserve(&self, sequence: &Sequence) -> f64 {
        let counted = sequence.num_generated().max(sequence.min_output_tokens);
        self.reserve.tokens(sequence.stop.max_tokens - counted)
    }

    /// What is promised to the first `sequences` running sequences.
    fn promises(&self, sequences: usize) -> Promises {
        let mut promises = Promises {
            sequences: 0,
            blocks: 0,
            output_tokens: 0.0,
        };
        for &key in &self.running[..sequences] {
            self.add_promise(key, &mut promises);
        }
        promises
    }

    /// The running request that is computing what `sequence` needs next, beyond its first `cached`
    /// full blocks.
    ///
    /// A sequence waits for a full block that is being computed. One that has waited for a request
    /// keeps waiting until that has computed the block in which the two diverge, so that all tokens
    /// they share are computed once; but nobody starts to wait for a part of a block, nor for a
    /// request of a lower class or the background, which may itself have to wait long.
    fn owner_to_wait_for(&self, sequence: &Sequence, cached: usize) -> Option<RequestId> {
        let covered = cached * self.config.block_size;
        let last = sequence.tokens.len() - 1;
        if last <= covered {
            return None;
        }
        let next = sequence.chain.hashes().get(cached)?;
        let serves = |owner: &Sequence| owner.rank.level() <= sequence.rank.level();
        if let Some(owner) = self.in_flight.owner(next) {
            let owner = &self.sequences[owner];
            return serves(owner).then_some(owner.request);
        }
        let owner = &self.sequences[self.sequences.key(sequence.wait.owner?)?];
        if owner.state != SequenceState::Running || !owner.is_prefilling() {
            return None;
        }
        let known = &owner.tokens[..owner.prefill_target];
        let shared = common_prefix(&sequence.tokens[..last], known, covered);
        let visible = owner.num_computed - owner.num_computed % self.config.block_size;
        (shared > covered.max(visible)).then_some(owner.request)
    }

    /// Gives a sequence its cached prefix and room for its first `num_tokens` uncached tokens, or
    /// somewhat fewer; returns how many are planned.
    fn start_running(
        &mut self,
        key: SequenceKey,
        hit: &PrefixHit,
        num_tokens: usize,
        plan: &mut StepPlan,
        budget: &mut StepBudget,
    ) -> usize {
        self.dequeue(key);
        let num_tokens = self.align_chunk(key, hit.num_tokens(), num_tokens);
        let holder = self.sequences[key].request.0;
        let table = self
            .cache
            .allocate(hit, hit.num_tokens() + num_tokens, holder);
        let table = table.expect("the free blocks were counted");
        plan.copies.extend(table.pending_copy());

        let sequence = &mut self.sequences[key];
        let cached_tokens = table.num_cached_tokens();
        sequence.table = table;
        sequence.num_computed = cached_tokens;
        sequence.num_planned = cached_tokens;
        sequence.prefill_target = sequence.tokens.len();
        let hashes = sequence.chain.hashes();
        let to_compute = hit.num_full_blocks().min(hashes.len())..hashes.len();
        self.in_flight.claim(hashes, to_compute.clone(), key);
        sequence.claimed = to_compute;
        if sequence.state == SequenceState::Preempted {
            let recomputed = sequence.computed_before.saturating_sub(cached_tokens);
            sequence.computed_before = 0;
            sequence.recomputed_tokens += recomputed;
            self.counters.recomputed_tokens += recomputed as u64;
        } else {
            self.counters.prompt_tokens_cached += cached_tokens as u64;
            self.counters.prompt_tokens_computed += (sequence.prompt_len - cached_tokens) as u64;
            let uncached = sequence.prompt_len - cached_tokens;
            let max_step_tokens = self.config.max_num_batched_tokens;
            let seconds = self
                .step_time
                .prefill_seconds(uncached, cached_tokens, max_step_tokens);
            plan.admitted.push(Admitted {
                request: sequence.request,
                cached_tokens,
                miss: hit.miss(),
                predicted_prefill: Duration::try_from_secs_f64(seconds).unwrap_or_default(),
            });
        }
        sequence.state = SequenceState::Running;
        let rank = sequence.rank;
        let at = self
            .running
            .partition_point(|&other| self.sequences[other].rank < rank);
        self.running.insert(at, key);
        self.update_guarantee(key);
        self.push_chunk(key, num_tokens, plan, budget);
        num_tokens
    }
}

/// Length of the common prefix of `a` and `b`, of which the first `known` tokens are equal.
pub(crate) fn common_prefix(
    a: &[kv_cache::TokenId],
    b: &[kv_cache::TokenId],
    known: usize,
) -> usize {
    let rest = a
        .iter()
        .zip(b)
        .skip(known)
        .take_while(|(a, b)| a == b)
        .count();
    known.min(a.len()).min(b.len()) + rest
}
