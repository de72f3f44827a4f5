//! The scheduler's state, and what comes in and goes out between steps.

use std::collections::VecDeque;
use std::time::Duration;

use kv_cache::{BlockId, BlockTable, PrefixCache, TokenId, WindowBlockId};

use crate::in_flight::InFlightBlocks;
use crate::queue::{self, WaitingQueue};
use crate::reserve::OutputReserve;
use crate::sequence::{Rank, Sequence, SequenceKey, Sequences, Wait};
use crate::stats::Counters;
use crate::step_time::StepTimeModel;
use crate::{
    ConfigError, NewSequence, RequestId, SchedulerConfig, SchedulerStats, SequenceState,
    SubmitError, Timestamp, WindowBlockUse,
};

/// Bounds of the advice when to come back.
const MIN_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(60);

/// All sequences, their blocks, and the decision what to compute next.
///
/// A step is [`plan_step`](Self::plan_step), the model, and [`commit_step`](Self::commit_step). While it
/// is outstanding, a second one may be planned [ahead](Self::plan_ahead). In between, requests may be
/// submitted and cancelled: what belongs to an outstanding step keeps its blocks until the step has
/// ended.
///
/// **Every request finishes** (as long as requests of better classes do not keep arriving). The
/// oldest running sequence of the best class is never preempted, and when memory is short all
/// others are, so it advances in every step but those described last, and finishes. Preempted
/// sequences and those passed over `max_overtakes` times are admitted before any other of their
/// class, and while one of them does not fit, nobody of its class or lower is admitted; so the
/// running ones finish and make room. A sequence always fits when nothing else runs: `submit`
/// refuses those that would not.
///
/// **Background requests are not noticed by others**, but for the share of a step that they compute
/// beside them: others are admitted, grow and are preempted as if the blocks of background
/// sequences were free, and these are abandoned, the youngest first, when the blocks are needed.
/// They are themselves admitted by arrival, when nobody else waits.
///
/// **Nobody is preempted before it has generated its `min_output_tokens`**; only a step that failed
/// takes its blocks, and then it is admitted on the same terms. The free blocks that it lacks are
/// kept for it from its admission on: `free >= sum of what is kept` holds between any two steps,
/// because admissions and growing sequences take from the rest alone. When the oldest running
/// sequence finds no block outside and only guaranteed sequences beside it, it waits. Those always
/// have room, and nobody is admitted meanwhile, so in a bounded number of steps one of them ends or
/// can be preempted: every request still finishes.
pub struct Scheduler {
    pub(crate) config: SchedulerConfig,
    pub(crate) cache: PrefixCache,
    pub(crate) sequences: Sequences,
    /// Sorted by rank.
    pub(crate) running: Vec<SequenceKey>,
    pub(crate) waiting: WaitingQueue,
    /// Background sequences that wait.
    pub(crate) background: WaitingQueue,
    pub(crate) in_flight: InFlightBlocks,
    pub(crate) reserve: OutputReserve,
    /// Free blocks that are kept for guaranteed sequences, each for its own.
    pub(crate) guaranteed_blocks: usize,
    pub(crate) step_time: StepTimeModel,
    pub(crate) counters: Counters,
    /// Tokens of waiting sequences for which the last step had no room.
    pub(crate) blocked_tokens: usize,
    /// Numbers of the plans that have been neither committed nor aborted: two at most.
    pub(crate) outstanding: VecDeque<u64>,
    pub(crate) last_step: u64,
    next_ordinal: u64,
}

impl Scheduler {
    /// A scheduler without requests.
    ///
    /// # Errors
    /// When a setting cannot work.
    pub fn new(config: SchedulerConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            cache: PrefixCache::new(&config.cache()),
            sequences: Sequences::default(),
            running: Vec::new(),
            waiting: WaitingQueue::default(),
            background: WaitingQueue::default(),
            in_flight: InFlightBlocks::default(),
            reserve: OutputReserve::new(config.output_reserve),
            guaranteed_blocks: 0,
            step_time: StepTimeModel::new(),
            counters: Counters::default(),
            blocked_tokens: 0,
            outstanding: VecDeque::new(),
            last_step: 0,
            next_ordinal: 0,
            config,
        })
    }

    /// The settings.
    pub fn config(&self) -> &SchedulerConfig {
        &self.config
    }

    /// Longest sequence, prompt and output together, that can ever run: the model's limit or the
    /// pool's.
    pub fn max_sequence_len(&self) -> usize {
        self.config.max_sequence_len()
    }

    /// Takes a request into the queue.
    ///
    /// # Errors
    /// [`SubmitError`], and nothing has changed.
    ///
    /// # Panics
    /// If the prompt is empty, `max_tokens` is 0, the id is in use, or a background request asks
    /// for guaranteed output.
    pub fn submit(&mut self, new: NewSequence, now: Timestamp) -> Result<(), SubmitError> {
        assert!(!new.prompt.is_empty(), "a prompt has at least one token");
        assert!(
            new.stop.max_tokens > 0,
            "a request asks for at least one token"
        );
        assert!(
            self.sequences.key(new.id).is_none(),
            "{:?} is in use",
            new.id
        );
        assert!(
            !new.background || new.min_output_tokens == 0,
            "a background request has no guaranteed output"
        );
        let prompt_tokens = new.prompt.len();
        let max_tokens = new.stop.max_tokens.max(new.min_output_tokens);
        let max_model_len = self.max_sequence_len();
        if prompt_tokens.saturating_add(max_tokens) > max_model_len {
            return Err(SubmitError::TooLong {
                prompt_tokens,
                max_tokens,
                max_model_len,
            });
        }
        let (queue, most) = if new.background {
            (&self.background, self.config.max_queued_background)
        } else {
            (&self.waiting, self.config.max_queued_requests)
        };
        if queue.len() >= most {
            return Err(self.queue_full(prompt_tokens));
        }
        let background = new.background;
        let sequence = self.make_sequence(new, now);
        let uncached = self.waiting.uncached_tokens() + sequence.wait.uncached;
        let is_much = !self.waiting.is_empty() && uncached > self.config.max_queued_tokens;
        if is_much && !background {
            return Err(self.queue_full(sequence.wait.uncached));
        }
        self.next_ordinal += 1;
        let key = self.sequences.insert(sequence);
        self.enqueue(key);
        Ok(())
    }

    /// Ends a request wherever it stands; false if there is none of that name.
    ///
    /// Its blocks are free at once, or when the last outstanding step ends that it is part of. What it
    /// computes in those steps is not shared.
    pub fn cancel(&mut self, request: RequestId) -> bool {
        let Some(key) = self.sequences.key(request) else {
            return false;
        };
        if self.sequences[key].cancelled {
            return false;
        }
        if self.sequences[key].steps > 0 {
            self.sequences[key].cancelled = true;
        } else {
            self.forget(key);
        }
        true
    }

    /// The request's prompt and the tokens generated so far.
    ///
    /// # Panics
    /// If there is no such request.
    pub fn tokens(&self, request: RequestId) -> &[TokenId] {
        &self.sequence(request).tokens
    }

    /// The request's blocks in order; empty unless it is running.
    ///
    /// # Panics
    /// If there is no such request.
    pub fn block_table(&self, request: RequestId) -> &[BlockId] {
        self.sequence(request).table.blocks()
    }

    /// Where the request stands; `None` if there is none of that name.
    pub fn state(&self, request: RequestId) -> Option<SequenceState> {
        self.sequences
            .key(request)
            .map(|key| self.sequences[key].state)
    }

    /// The request's blocks in the pool of the layers with a sliding window, in order; the null block
    /// where no token to come looks, and everywhere if there is no such pool.
    ///
    /// # Panics
    /// If there is no such request.
    pub fn window_blocks(&self, request: RequestId) -> impl Iterator<Item = WindowBlockId> + '_ {
        self.cache
            .table_window_blocks(&self.sequence(request).table)
    }

    /// Whether there is nothing to compute. Otherwise the next plan is not empty.
    pub fn is_idle(&self) -> bool {
        self.sequences.len() == 0
    }

    /// The block pool and its content.
    pub fn cache(&self) -> &PrefixCache {
        &self.cache
    }

    /// Forgets all cached prefixes. Refused, with `false`, while any sequence holds blocks.
    pub fn reset_prefix_cache(&mut self) -> bool {
        self.cache.reset()
    }

    /// When the queue should have room for `num_tokens` tokens, from the measured prefill rate.
    pub fn retry_after(&self, num_tokens: usize) -> Duration {
        let tokens = (self.waiting.uncached_tokens() + num_tokens) as f64;
        match self.step_time.prefill_rate() {
            Some(rate) => Duration::from_secs_f64((tokens / rate).min(MAX_RETRY.as_secs_f64())),
            None => MIN_RETRY,
        }
        .max(MIN_RETRY)
    }

    /// A snapshot of counters and gauges.
    pub fn stats(&self) -> SchedulerStats {
        let pool = self.cache.pool();
        SchedulerStats {
            running: self.running.len(),
            background_running: self.running.len() - self.num_foreground(),
            background_waiting: self.background.len(),
            waiting: self.waiting.len(),
            queued_uncached_tokens: self.waiting.uncached_tokens(),
            num_blocks: pool.capacity(),
            num_used_blocks: pool.num_in_use(),
            num_guaranteed_blocks: self.guaranteed_blocks,
            num_cached_blocks: pool.num_evictable(),
            num_retained_blocks: self.cache.num_retained(),
            window_blocks: self.cache.window_blocks().map(|blocks| WindowBlockUse {
                total: blocks.capacity(),
                used: blocks.num_in_use(),
            }),
            steps: self.counters.steps,
            preemptions: self.counters.preemptions,
            guarantee_waits: self.counters.guarantee_waits,
            abandoned: self.counters.abandoned,
            recomputed_tokens: self.counters.recomputed_tokens,
            prompt_tokens_cached: self.counters.prompt_tokens_cached,
            prompt_tokens_computed: self.counters.prompt_tokens_computed,
            prefill_rate: self.step_time.prefill_rate(),
            output_reserve_ratio: self.reserve.ratio(),
            cache: self.cache.stats(),
        }
    }

    /// Takes the sequence's blocks and claims; its tokens stay.
    pub(crate) fn release(&mut self, key: SequenceKey) {
        self.retain(key);
        let sequence = &mut self.sequences[key];
        let claimed = std::mem::take(&mut sequence.claimed);
        self.in_flight.end(sequence.chain.hashes(), claimed, key);
        let table = std::mem::take(&mut sequence.table);
        self.cache
            .extend_chain(&mut sequence.chain, &sequence.tokens);
        self.cache.release(table, sequence.computed());
        sequence.num_computed = 0;
        sequence.num_planned = 0;
        let kept = std::mem::take(&mut sequence.guaranteed_blocks);
        self.guaranteed_blocks -= kept;
    }

    /// Ends a sequence and gives back all that it holds.
    pub(crate) fn forget(&mut self, key: SequenceKey) -> Sequence {
        if self.sequences[key].state == SequenceState::Running {
            self.stop_running(key);
            self.release(key);
        } else {
            self.dequeue(key);
        }
        self.sequences.remove(key)
    }

    /// Puts a sequence without blocks into its queue.
    pub(crate) fn enqueue(&mut self, key: SequenceKey) {
        let sequence = &self.sequences[key];
        if sequence.rank.background {
            self.background.push(key, sequence);
        } else {
            self.waiting.push(key, sequence);
        }
    }

    /// Takes a sequence out of its queue.
    pub(crate) fn dequeue(&mut self, key: SequenceKey) {
        let sequence = &self.sequences[key];
        if sequence.rank.background {
            self.background.remove(key, sequence);
        } else {
            self.waiting.remove(key, sequence);
        }
    }

    pub(crate) fn stop_running(&mut self, key: SequenceKey) {
        let at = self.running.iter().position(|&other| other == key);
        self.running
            .remove(at.expect("a running sequence is listed"));
    }

    fn queue_full(&self, num_tokens: usize) -> SubmitError {
        SubmitError::QueueFull {
            retry_after: self.retry_after(num_tokens),
        }
    }

    fn make_sequence(&mut self, new: NewSequence, now: Timestamp) -> Sequence {
        let mut chain = self.cache.new_chain(&new.cache_salt);
        self.cache.extend_chain(&mut chain, &new.prompt);
        let mut sequence = Sequence {
            request: new.id,
            rank: Rank {
                background: new.background,
                class: new.priority,
                ordinal: self.next_ordinal,
            },
            arrived_at: now,
            min_output_tokens: new.min_output_tokens.min(new.stop.max_tokens),
            stop: new.stop,
            prompt_len: new.prompt.len(),
            tokens: new.prompt,
            chain,
            state: SequenceState::Waiting,
            table: BlockTable::default(),
            guaranteed_blocks: 0,
            num_computed: 0,
            prefill_target: 0,
            claimed: 0..0,
            wait: Wait::default(),
            retention: new.retention,
            retained_tokens: 0,
            recomputed_tokens: 0,
            computed_before: 0,
            steps: 0,
            num_planned: 0,
            num_pending: 0,
            cancelled: false,
        };
        queue::estimate(&mut sequence, &self.cache);
        sequence
    }

    fn sequence(&self, request: RequestId) -> &Sequence {
        let key = self.sequences.key(request);
        &self.sequences[key.unwrap_or_else(|| panic!("there is no {request:?}"))]
    }
}

impl Drop for Scheduler {
    /// Gives the blocks back, so that no table is dropped with blocks.
    fn drop(&mut self) {
        for key in std::mem::take(&mut self.running) {
            self.release(key);
        }
    }
}
