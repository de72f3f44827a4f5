//! What the engine asks of a model.

use std::fmt;

use kernels::{Caller, DrawnToken, KernelError, StepBatch, Workers};

use crate::LoraAdapter;

/// Logits of the rows that a step asked for, or the tokens that the model has drawn of them already.
///
/// Beside them, the log probabilities of the tokens that it wanted scored: a step may score far more
/// rows than it samples, so their logits are not kept.
#[derive(Clone, Copy)]
pub struct Logits<'a> {
    data: &'a [f32],
    vocab_size: usize,
    scores: &'a [f32],
    states: &'a [f32],
    drawn: &'a [Option<DrawnToken>],
    workers: &'a dyn Workers,
}

impl<'a> Logits<'a> {
    /// Wraps row-major logits.
    ///
    /// # Panics
    /// If `data` is not a whole number of rows.
    pub fn new(data: &'a [f32], vocab_size: usize) -> Self {
        assert!(
            vocab_size > 0 && data.len().is_multiple_of(vocab_size),
            "logits are whole rows"
        );
        Self {
            data,
            vocab_size,
            scores: &[],
            states: &[],
            drawn: &[],
            workers: &Caller,
        }
    }

    /// With the tokens that were drawn of rows; only the others have logits. `[num_rows]`
    ///
    /// # Panics
    /// If the other rows are not as many as those of the logits.
    pub fn with_drawn(self, drawn: &'a [Option<DrawnToken>]) -> Self {
        let others = drawn.iter().filter(|drawn| drawn.is_none()).count();
        assert_eq!(
            others * self.vocab_size,
            self.data.len(),
            "a row that is not drawn has logits"
        );
        Self { drawn, ..self }
    }

    /// With the natural log probabilities of `batch.scored_tokens`, each by the plain softmax of its
    /// row; NaN where no distribution can be made of a row. `[batch.scored_rows.len()]`
    pub fn with_scores(self, scores: &'a [f32]) -> Self {
        Self { scores, ..self }
    }

    /// With the states from which the logits are computed: of each row the output of the last norm.
    /// `[num_rows, hidden_size]`
    ///
    /// # Panics
    /// If they are not a whole number of values for each row.
    pub fn with_states(self, states: &'a [f32]) -> Self {
        let rows = self.num_rows();
        assert!(
            rows > 0 && states.len().is_multiple_of(rows),
            "states are whole rows"
        );
        Self { states, ..self }
    }

    /// With the threads that have computed them, for what is made of the rows.
    pub fn with_workers(self, workers: &'a dyn Workers) -> Self {
        Self { workers, ..self }
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        match self.drawn.len() {
            0 => self.data.len() / self.vocab_size,
            rows => rows,
        }
    }

    /// What the model has drawn of row `row`; `None` if it has logits.
    pub fn drawn(&self, row: usize) -> Option<&'a DrawnToken> {
        self.drawn.get(row)?.as_ref()
    }

    /// The logits of row `row`, `[vocab_size]`.
    ///
    /// # Panics
    /// If it was drawn.
    pub fn row(&self, row: usize) -> &'a [f32] {
        assert!(self.drawn(row).is_none(), "row {row} was drawn");
        let before = self.drawn[..row.min(self.drawn.len())].iter();
        let at = row - before.flatten().count();
        &self.data[at * self.vocab_size..(at + 1) * self.vocab_size]
    }

    /// The state of row `row`, `[hidden_size]`; empty where the batch wanted none.
    pub fn state(&self, row: usize) -> &'a [f32] {
        let size = self.states.len() / self.num_rows();
        &self.states[row * size..(row + 1) * size]
    }

    /// What [`Logits::with_scores`] was given.
    pub fn scores(&self) -> &'a [f32] {
        self.scores
    }

    /// What [`Logits::with_workers`] was given; otherwise the caller alone.
    pub fn workers(&self) -> &'a dyn Workers {
        self.workers
    }
}

impl fmt::Debug for Logits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logits")
            .field("data", &self.data)
            .field("vocab_size", &self.vocab_size)
            .field("scores", &self.scores)
            .field("states", &self.states)
            .field("drawn", &self.drawn)
            .finish_non_exhaustive()
    }
}

/// The blocks of a KV cache as bytes, to be kept outside of it.
pub trait KvBlocks {
    /// Names how the bytes are laid out and with which arithmetic they were made
    /// ([`Backend::kv_layout`](kernels::Backend::kv_layout)).
    fn layout(&self) -> String;

    /// Bytes of a block.
    fn block_bytes(&self) -> usize;

    /// Copies a block to `out`, `[block_bytes]`.
    ///
    /// # Errors
    /// What the device reports.
    fn read(&mut self, block: u32, out: &mut [u8]) -> Result<(), KernelError>;

    /// Puts bytes that were read back, into any block.
    ///
    /// # Errors
    /// What the device reports; the block's content is then undefined.
    fn write(&mut self, block: u32, bytes: &[u8]) -> Result<(), KernelError>;
}

/// Places for adapters, beside the weights of a model.
pub trait AdapterSlots {
    /// How many there are.
    fn num_slots(&self) -> usize;

    /// Packs an adapter of this model into a slot; what was there before is gone. From then on
    /// [`StepBatch::adapters`] may name the slot.
    ///
    /// # Errors
    /// What the device reports; the slot is then as before.
    ///
    /// # Panics
    /// If there is no such slot, or the adapter was opened for another model or a larger rank.
    fn load(&mut self, slot: usize, adapter: &LoraAdapter) -> Result<(), KernelError>;

    /// Empties a slot, which no step uses any more.
    ///
    /// # Panics
    /// If there is no such slot.
    fn unload(&mut self, slot: usize);
}

/// Steps that a device computes while the host goes on: one, and behind one whose tokens the device
/// chooses itself, a second.
pub trait StepsInFlight {
    /// Begins a step, behind the one before it, whose drawn tokens may be among its own
    /// ([`DRAWN_BEFORE`](kernels::DRAWN_BEFORE)).
    ///
    /// # Errors
    /// What the device reports; the KV of the batch's slots is then undefined, and the step is not in
    /// flight.
    ///
    /// # Panics
    /// If a step is in flight that none may [follow](Self::may_follow).
    fn launch(&mut self, batch: &StepBatch) -> Result<(), KernelError>;

    /// Whether another step may be launched before the last one has ended: there is none before that,
    /// and nothing of it is wanted but tokens that the device chooses.
    fn may_follow(&self) -> bool;

    /// Waits for the earliest step in flight; what [`ModelRunner::forward`] returns.
    ///
    /// # Errors
    /// What the device reports; the step is then in flight no more.
    ///
    /// # Panics
    /// If none is in flight.
    fn finish(&mut self) -> Result<Logits<'_>, KernelError>;
}

/// A loaded model with its KV cache: the one dynamic call per step.
pub trait ModelRunner: Send {
    /// Computes the batch's tokens, stores their KV, and returns the logits and scores that it asked
    /// for.
    ///
    /// # Errors
    /// What the device reports; the KV of the batch's slots is then undefined.
    fn forward(&mut self, batch: &StepBatch) -> Result<Logits<'_>, KernelError>;

    /// Its steps in flight; `None` if a step has ended when it returns.
    fn steps_in_flight(&mut self) -> Option<&mut dyn StepsInFlight> {
        None
    }

    /// Its places for adapters; `None` if it was loaded without.
    fn adapters(&mut self) -> Option<&mut dyn AdapterSlots> {
        None
    }

    /// Its blocks as bytes; `None` if they cannot be had.
    fn blocks(&mut self) -> Option<&mut dyn KvBlocks> {
        None
    }
}
