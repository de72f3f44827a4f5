//! A request's tokens, and where it stands.

use std::collections::HashMap;
use std::ops::{Index, IndexMut, Range};

use kv_cache::{BlockTable, Computed, HashChain, TokenId};

use crate::{Chunk, RequestId, RetentionRequest, StopConditions, Timestamp};

/// Where a request stands: `Waiting -> Running <-> Preempted`; one that has ended is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceState {
    /// Not admitted yet.
    Waiting,
    /// Holds blocks; computes tokens in every step.
    Running,
    /// Lost its blocks and waits to be admitted again. Its tokens are kept.
    Preempted,
}

/// Who comes first: the foreground, the lower class, then the earlier arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) background: bool,
    pub(crate) class: i32,
    pub(crate) ordinal: u64,
}

impl Rank {
    /// Who serves whom: nobody waits for one of a higher level.
    pub(crate) fn level(self) -> (bool, i32) {
        (self.background, self.class)
    }
}

#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) request: RequestId,
    pub(crate) rank: Rank,
    pub(crate) arrived_at: Timestamp,
    pub(crate) stop: StopConditions,
    /// Output that it has room for from its admission on; at most `max_tokens`.
    pub(crate) min_output_tokens: usize,
    /// Prompt, then generated tokens.
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) prompt_len: usize,
    pub(crate) chain: HashChain,
    pub(crate) state: SequenceState,
    /// Empty unless running.
    pub(crate) table: BlockTable,
    /// Free blocks that are kept for it, to complete its guaranteed output.
    pub(crate) guaranteed_blocks: usize,
    /// Tokens whose KV is in the table.
    pub(crate) num_computed: usize,
    /// Tokens that there were at the last admission: until they are computed it prefills.
    pub(crate) prefill_target: usize,
    /// Full blocks that others wait for this sequence to compute.
    pub(crate) claimed: Range<usize>,
    pub(crate) wait: Wait,
    /// What of the prompt is kept beyond its turn.
    pub(crate) retention: Option<RetentionRequest>,
    /// Tokens of the prompt that are retained.
    pub(crate) retained_tokens: usize,
    /// Tokens that preemptions made it compute again.
    pub(crate) recomputed_tokens: usize,
    /// Tokens that were computed when it was preempted.
    pub(crate) computed_before: usize,
    /// Outstanding steps that compute some of its tokens.
    pub(crate) steps: u32,
    /// Tokens whose KV is in the table when the outstanding steps have ended.
    pub(crate) num_planned: usize,
    /// Tokens that the outstanding steps add, which nobody knows yet.
    pub(crate) num_pending: usize,
    /// Cancelled, or found to have ended, while in a step; gone when the last one has ended.
    pub(crate) cancelled: bool,
}

/// What counts while a sequence waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wait {
    /// Tokens to compute if it were admitted, as of `generation`.
    pub(crate) uncached: usize,
    /// The cache's generation at the time of the estimate.
    pub(crate) generation: u64,
    /// Admissions of others that should have come after it.
    pub(crate) overtaken: u32,
    /// The request whose blocks it has waited for.
    pub(crate) owner: Option<RequestId>,
    /// The last step in which it was put off because another computes its blocks.
    pub(crate) deferred_in: u64,
}

impl Sequence {
    /// Tokens that there are when the outstanding steps have ended.
    pub(crate) fn planned_len(&self) -> usize {
        self.tokens.len() + self.num_pending
    }

    /// Tokens that are still to be planned; at least 1.
    pub(crate) fn num_missing(&self) -> usize {
        self.planned_len() - self.num_planned
    }

    /// Whether the KV of a token is missing that it had when it was admitted.
    pub(crate) fn is_prefilling(&self) -> bool {
        self.num_computed < self.prefill_target
    }

    /// The same when the outstanding steps have ended.
    pub(crate) fn plans_prefill(&self) -> bool {
        self.num_planned < self.prefill_target
    }

    /// Whether it needs no further step: the outstanding ones add its last token, or it has been
    /// cancelled.
    pub(crate) fn is_ending(&self) -> bool {
        self.cancelled || self.num_generated() + self.num_pending >= self.stop.max_tokens
    }

    /// Notes that a step has ended, or will not be.
    pub(crate) fn leave_step(&mut self, chunk: &Chunk) {
        self.steps -= 1;
        self.num_pending -= usize::from(chunk.needs_logits);
    }

    pub(crate) fn num_generated(&self) -> usize {
        self.tokens.len() - self.prompt_len
    }

    pub(crate) fn computed(&self) -> Computed<'_> {
        Computed {
            chain: &self.chain,
            tokens: &self.tokens,
            num_computed: self.num_computed,
        }
    }
}

/// Index of a sequence in [`Sequences`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SequenceKey(usize);

/// All sequences, at stable indices.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    entries: Vec<Option<Sequence>>,
    vacant: Vec<SequenceKey>,
    keys: HashMap<RequestId, SequenceKey>,
}

impl Sequences {
    pub(crate) fn insert(&mut self, sequence: Sequence) -> SequenceKey {
        let request = sequence.request;
        let key = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(None);
            SequenceKey(self.entries.len() - 1)
        });
        self.entries[key.0] = Some(sequence);
        self.keys.insert(request, key);
        key
    }

    pub(crate) fn remove(&mut self, key: SequenceKey) -> Sequence {
        let sequence = self.entries[key.0].take().expect("a key names a sequence");
        self.keys.remove(&sequence.request);
        self.vacant.push(key);
        sequence
    }

    pub(crate) fn key(&self, request: RequestId) -> Option<SequenceKey> {
        self.keys.get(&request).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Sequence> {
        self.entries.iter().flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Index<SequenceKey> for Sequences {
    type Output = Sequence;

    fn index(&self, key: SequenceKey) -> &Sequence {
        self.entries[key.0]
            .as_ref()
            .expect("a key names a sequence")
    }
}

impl IndexMut<SequenceKey> for Sequences {
    fn index_mut(&mut self, key: SequenceKey) -> &mut Sequence {
        self.entries[key.0]
            .as_mut()
            .expect("a key names a sequence")
    }
}
