//! The waiting sequences and the order in which they are tried.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use kv_cache::PrefixCache;

use crate::Timestamp;
use crate::sequence::{Rank, Sequence, SequenceKey, SequenceState, Sequences};
use crate::step_time::StepTimeModel;

/// Estimates of uncached tokens that are brought up to date in one step.
const MAX_REFRESHES_PER_STEP: usize = 16;

/// Sequences without blocks.
///
/// They are tried by class; inside a class the preempted ones and those that were passed over too
/// often come first, oldest first, and the others by their response ratio
/// `(waited + service) / service`, where service is the predicted time to compute their uncached
/// tokens (highest response ratio next, Brinch Hansen 1971): short work goes first, and waiting
/// makes up for length.
#[derive(Debug, Default)]
pub(crate) struct WaitingQueue {
    keys: Vec<SequenceKey>,
    /// Sum of the sequences' estimates.
    uncached_tokens: usize,
    /// Where the next refresh goes on.
    cursor: usize,
}

/// A waiting sequence and its place in the order.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) key: SequenceKey,
    pub(crate) rank: Rank,
    pub(crate) head_of_line: bool,
    response_ratio: f64,
}

impl WaitingQueue {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn keys(&self) -> &[SequenceKey] {
        &self.keys
    }

    pub(crate) fn uncached_tokens(&self) -> usize {
        self.uncached_tokens
    }

    pub(crate) fn push(&mut self, key: SequenceKey, sequence: &Sequence) {
        self.keys.push(key);
        self.uncached_tokens += sequence.wait.uncached;
    }

    pub(crate) fn remove(&mut self, key: SequenceKey, sequence: &Sequence) {
        let at = self.keys.iter().position(|&other| other == key);
        self.keys
            .swap_remove(at.expect("a sequence without blocks is queued"));
        self.uncached_tokens -= sequence.wait.uncached;
    }

    /// Brings a few estimates up to date with the cache.
    pub(crate) fn refresh(&mut self, sequences: &mut Sequences, cache: &PrefixCache) {
        for _ in 0..MAX_REFRESHES_PER_STEP.min(self.keys.len()) {
            self.cursor = (self.cursor + 1) % self.keys.len();
            let sequence = &mut sequences[self.keys[self.cursor]];
            if sequence.wait.generation != cache.generation() {
                self.uncached_tokens -= sequence.wait.uncached;
                estimate(sequence, cache);
                self.uncached_tokens += sequence.wait.uncached;
            }
        }
    }

    /// The sequences as a heap, the one to try first on top.
    pub(crate) fn candidates(
        &self,
        sequences: &Sequences,
        model: &StepTimeModel,
        limits: CandidateLimits,
    ) -> BinaryHeap<Candidate> {
        let candidate = |&key: &SequenceKey| {
            let sequence = &sequences[key];
            let wait = &sequence.wait;
            let context = sequence.tokens.len() - wait.uncached;
            let service = model.prefill_seconds(wait.uncached, context, limits.max_step_tokens);
            let waited = limits.now.since(sequence.arrived_at);
            Candidate {
                key,
                rank: sequence.rank,
                head_of_line: sequence.state == SequenceState::Preempted
                    || wait.overtaken >= limits.max_overtakes,
                response_ratio: response_ratio(waited, service),
            }
        };
        self.keys.iter().map(candidate).collect()
    }

    /// Notes that `admitted` went before others, and returns the best class of those that have
    /// reached their bound by this.
    pub(crate) fn note_overtaking(
        &self,
        sequences: &mut Sequences,
        admitted: Rank,
        step: u64,
        max_overtakes: u32,
    ) -> Option<i32> {
        let mut reached = None;
        for &key in &self.keys {
            let sequence = &mut sequences[key];
            if sequence.rank < admitted && sequence.wait.deferred_in != step {
                sequence.wait.overtaken = sequence.wait.overtaken.saturating_add(1);
                if sequence.wait.overtaken == max_overtakes {
                    let class = sequence.rank.class;
                    reached = Some(reached.map_or(class, |other: i32| other.min(class)));
                }
            }
        }
        reached
    }
}

/// What the order depends on beside the sequences.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CandidateLimits {
    pub(crate) now: Timestamp,
    pub(crate) max_step_tokens: usize,
    pub(crate) max_overtakes: u32,
}

/// How much longer than its `service` seconds a request takes if it is served now, having waited.
pub(crate) fn response_ratio(waited: Duration, service: f64) -> f64 {
    (waited.as_secs_f64() + service) / service
}

/// Writes down how many tokens a sequence would have to compute, by a cheap look at the cache.
pub(crate) fn estimate(sequence: &mut Sequence, cache: &PrefixCache) {
    let block_size = cache.pool().block_size();
    let limit = (sequence.tokens.len() - 1) / block_size;
    let cached = cache.count_cached_blocks(&sequence.chain, limit) * block_size;
    sequence.wait.uncached = sequence.tokens.len() - cached;
    sequence.wait.generation = cache.generation();
}

impl Ord for Candidate {
    /// Greater is tried earlier.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_class = other.rank.class.cmp(&self.rank.class);
        let by_line = self.head_of_line.cmp(&other.head_of_line);
        let by_age = other.rank.ordinal.cmp(&self.rank.ordinal);
        let by_ratio = if self.head_of_line && other.head_of_line {
            Ordering::Equal
        } else {
            self.response_ratio.total_cmp(&other.response_ratio)
        };
        by_class.then(by_line).then(by_ratio).then(by_age)
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}
