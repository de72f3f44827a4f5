//! A [`ModelRunner`] without weights.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kernels::{DrawnToken, KernelError, KvPool, StepBatch};

use super::chain::History;
use super::drawn;
use super::fault::ShadowFault;
use super::in_flight::FakeInFlight;
use super::shadow::ShadowKv;
use crate::{AdapterSlots, KvBlocks, Logits, LoraAdapter, ModelRunner, StepsInFlight, log_softmax};

/// Size of a [`FakeRunner`].
#[derive(Clone, Copy, Debug)]
pub struct FakeLimits {
    /// Tokens of the vocabulary.
    pub vocab_size: usize,
    /// Blocks of the pool, the null block included.
    pub num_blocks: usize,
    /// Tokens per block.
    pub block_size: usize,
    /// Most tokens in one step.
    pub max_num_batched_tokens: usize,
    /// Most sequences, and most rows of logits, in one step.
    pub max_num_seqs: usize,
}

/// What a [`FakeRunner`] has done; shared, so that it can be read after the runner has moved.
#[derive(Debug, Default)]
pub struct FakeCounters {
    steps: AtomicU64,
    tokens: AtomicU64,
    copied_tokens: AtomicU64,
    pub(super) steps_ahead: AtomicU64,
}

impl FakeCounters {
    /// Forward passes.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }

    /// Steps that were launched before the step before them had ended.
    pub fn steps_ahead(&self) -> u64 {
        self.steps_ahead.load(Ordering::SeqCst)
    }

    /// Tokens computed.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::SeqCst)
    }

    /// Tokens whose KV was copied between blocks.
    pub fn copied_tokens(&self) -> u64 {
        self.copied_tokens.load(Ordering::SeqCst)
    }
}

/// A model whose next token is a hash of the sequence's history, with a *shadow* KV cache.
///
/// Each slot of the pool remembers the token, the position and the history that it was written for.
/// A step runs the block copies, writes its rows, then walks every sequence's block table as
/// attention would and checks that it reads exactly that sequence's own history. A slot that was
/// never written, written for somebody else, freed too early or shared too early fails in the step
/// where it is read, not in the text that a user sees.
///
/// The one thing that a batch cannot tell is which request a sequence is: a block table that holds,
/// position by position, *all* of another request's history is consistent in itself. The output
/// then differs from [`FakeRunner::oracle`], so tests compare that too.
pub struct FakeRunner {
    pub(super) limits: FakeLimits,
    kv: ShadowKv,
    pub(super) window: Option<WindowKv>,
    pub(super) counters: Arc<FakeCounters>,
    fail_at_step: Option<u64>,
    /// Where the histories of sequences with each slot's adapter begin.
    adapters: Vec<Option<History>>,
    histories: Vec<History>,
    pub(super) logits: Vec<f32>,
    pub(super) drawn: Vec<Option<DrawnToken>>,
    pub(super) scores: Vec<f32>,
    pub(super) states: Vec<f32>,
    runs_ahead: bool,
    pub(super) in_flight: FakeInFlight,
}

/// The shadow of layers with a sliding window, which keep their KV in a pool of their own.
pub(super) struct WindowKv {
    kv: ShadowKv,
    /// Tokens that a token sees, itself included.
    pub(super) tokens: usize,
    pub(super) num_blocks: usize,
}

impl FakeRunner {
    /// A runner whose pool is all poison.
    pub fn new(limits: FakeLimits) -> Self {
        Self {
            limits,
            kv: ShadowKv::new(KvPool::Main, limits.num_blocks, limits.block_size),
            window: None,
            counters: Arc::default(),
            fail_at_step: None,
            adapters: Vec::new(),
            histories: Vec::new(),
            logits: Vec::new(),
            drawn: Vec::new(),
            scores: Vec::new(),
            states: Vec::new(),
            runs_ahead: false,
            in_flight: FakeInFlight::default(),
        }
    }

    /// Makes forward pass number `step` (the first is 1), and only that one, return an error.
    pub fn failing_at_step(mut self, step: u64) -> Self {
        self.fail_at_step = Some(step);
        self
    }

    /// With layers in which a token sees so many tokens, itself included, and whose KV has a pool of
    /// `num_blocks` blocks, the null block included.
    pub fn with_window(mut self, tokens: usize, num_blocks: usize) -> Self {
        let kv = ShadowKv::new(KvPool::Window, num_blocks, self.limits.block_size);
        self.window = Some(WindowKv {
            kv,
            tokens,
            num_blocks,
        });
        self
    }

    /// As a device whose steps are told of later than they begin.
    pub fn running_ahead(mut self) -> Self {
        self.runs_ahead = true;
        self
    }

    /// With room for adapters ([`fake_adapter`](super::fake_adapter)).
    pub fn with_adapter_slots(mut self, slots: usize) -> Self {
        self.adapters.resize(slots, None);
        self
    }

    /// Counts of what this runner does.
    pub fn counters(&self) -> Arc<FakeCounters> {
        Arc::clone(&self.counters)
    }

    /// The `n` tokens that greedy sampling gives after `prompt`, computed without any KV.
    pub fn oracle(vocab_size: usize, prompt: &[u32], n: usize) -> Vec<u32> {
        let mut history = History::before_all(None).of(prompt);
        let mut tokens = Vec::with_capacity(n);
        for _ in 0..n {
            let token = history.next_token(vocab_size);
            tokens.push(token);
            history = history.then(token);
        }
        tokens
    }

    /// The logits after `tokens`, computed without any KV. Shape: `[vocab_size]`.
    pub fn oracle_logits(vocab_size: usize, tokens: &[u32]) -> Vec<f32> {
        Self::adapted_logits(vocab_size, None, tokens)
    }

    /// The same of a sequence that is computed with an adapter.
    pub fn adapted_logits(
        vocab_size: usize,
        adapter: Option<&LoraAdapter>,
        tokens: &[u32],
    ) -> Vec<f32> {
        let mut row = vec![0.0; vocab_size];
        let history = History::before_all(adapter).of(tokens);
        history.fill_logits(&mut row);
        row
    }

    /// The state after `tokens` of a sequence that is computed with an adapter, or with none, without
    /// any KV.
    pub fn oracle_state(adapter: Option<&LoraAdapter>, tokens: &[u32]) -> [f32; 2] {
        History::before_all(adapter).of(tokens).state()
    }

    /// One step; the logits are in [`FakeRunner::forward`]'s layout.
    ///
    /// # Errors
    /// The first fault, in the order copies, writes, reads. The pool is then undefined.
    pub fn step(&mut self, batch: &StepBatch) -> Result<Logits<'_>, ShadowFault> {
        self.check_limits(batch)?;
        self.check_layout(batch)?;
        self.copy(batch)?;
        self.histories.clear();
        for seq in 0..batch.num_seqs() {
            self.write(batch, seq)?;
        }
        for seq in 0..batch.num_seqs() {
            self.walk(batch, seq)?;
        }
        let vocab_size = self.limits.vocab_size;
        self.logits
            .resize(batch.logits_rows.len() * vocab_size, 0.0);
        for (&row, logits) in batch
            .logits_rows
            .iter()
            .zip(self.logits.chunks_mut(vocab_size))
        {
            self.histories[row as usize].fill_logits(logits);
        }
        self.score(batch);
        self.counters
            .tokens
            .fetch_add(batch.num_tokens() as u64, Ordering::SeqCst);
        let (drawn, logits) = (&mut self.drawn, &mut self.logits);
        drawn::draw(logits, vocab_size, &batch.draws, drawn);
        let logits = Logits::new(&self.logits, vocab_size)
            .with_drawn(&self.drawn)
            .with_scores(&self.scores);
        if !batch.wants_states {
            return Ok(logits);
        }
        let rows = batch.logits_rows.iter();
        let states = rows.flat_map(|&row| self.histories[row as usize].state());
        self.states.clear();
        self.states.extend(states);
        Ok(logits.with_states(&self.states))
    }

    fn copy(&mut self, batch: &StepBatch) -> Result<(), ShadowFault> {
        self.kv.begin_step();
        for copy in &batch.block_copies {
            self.check_copy(copy, self.limits.num_blocks)?;
            self.kv.copy(copy)?;
            self.counters
                .copied_tokens
                .fetch_add(copy.num_tokens.into(), Ordering::SeqCst);
        }
        let Some(num_blocks) = self.window.as_ref().map(|window| window.num_blocks) else {
            return Ok(());
        };
        for copy in &batch.window.block_copies {
            self.check_copy(copy, num_blocks)?;
        }
        if let Some(WindowKv { kv, .. }) = &mut self.window {
            kv.begin_step();
            let copies = &mut batch.window.block_copies.iter();
            copies.try_for_each(|copy| kv.copy(copy))?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &StepBatch, seq: usize) -> Result<(), ShadowFault> {
        let origin = self.origin(batch, seq)?;
        let first = batch.positions[batch.query_start[seq] as usize] as usize;
        let before = self.kv.history_before(batch, (seq, origin), first)?;
        let num_rows = self.histories.len();
        self.kv.write(batch, (seq, before), &mut self.histories)?;
        if let Some(WindowKv { kv, .. }) = &mut self.window {
            self.histories.truncate(num_rows);
            kv.write(batch, (seq, before), &mut self.histories)?;
        }
        Ok(())
    }

    fn walk(&self, batch: &StepBatch, seq: usize) -> Result<(), ShadowFault> {
        let origin = self.origin(batch, seq)?;
        self.kv.walk(batch, (seq, origin), 0)?;
        let Some(window) = &self.window else {
            return Ok(());
        };
        let first = batch.positions[batch.query_start[seq] as usize] as usize;
        let first = (first + 1).saturating_sub(window.tokens);
        let before = self.kv.history_before(batch, (seq, origin), first)?;
        window.kv.walk(batch, (seq, before), first)
    }

    /// Where the history of sequence `seq` begins.
    fn origin(&self, batch: &StepBatch, seq: usize) -> Result<History, ShadowFault> {
        let Some(slot) = batch.adapter(seq) else {
            return Ok(History::before_all(None));
        };
        let adapter = self.adapters.get(slot as usize).copied().flatten();
        adapter.ok_or(ShadowFault::NoAdapter { seq, slot })
    }

    fn score(&mut self, batch: &StepBatch) {
        self.scores.clear();
        let mut logits = Vec::new();
        for (&row, &token) in batch.scored_rows.iter().zip(&batch.scored_tokens) {
            logits.resize(self.limits.vocab_size, 0.0);
            self.histories[row as usize].fill_logits(&mut logits);
            self.scores.push(log_softmax::score(&logits, token));
        }
    }
}

/// A block's bytes are what its slots hold.
impl KvBlocks for FakeRunner {
    fn layout(&self) -> String {
        "fake".to_owned()
    }

    fn block_bytes(&self) -> usize {
        self.kv.block_bytes()
    }

    fn read(&mut self, block: u32, out: &mut [u8]) -> Result<(), KernelError> {
        self.kv.read_block(block as usize, out);
        Ok(())
    }

    fn write(&mut self, block: u32, bytes: &[u8]) -> Result<(), KernelError> {
        self.kv.write_block(block as usize, bytes);
        Ok(())
    }
}

impl AdapterSlots for FakeRunner {
    fn num_slots(&self) -> usize {
        self.adapters.len()
    }

    fn load(&mut self, slot: usize, adapter: &LoraAdapter) -> Result<(), KernelError> {
        self.adapters[slot] = Some(History::before_all(Some(adapter)));
        Ok(())
    }

    fn unload(&mut self, slot: usize) {
        self.adapters[slot] = None;
    }
}

impl ModelRunner for FakeRunner {
    fn steps_in_flight(&mut self) -> Option<&mut dyn StepsInFlight> {
        match self.runs_ahead {
            true => Some(self),
            false => None,
        }
    }

    fn adapters(&mut self) -> Option<&mut dyn AdapterSlots> {
        match self.adapters.is_empty() {
            true => None,
            false => Some(self),
        }
    }

    fn blocks(&mut self) -> Option<&mut dyn KvBlocks> {
        match self.window {
            Some(_) => None,
            None => Some(self),
        }
    }

    /// # Errors
    /// `Device` at the step given to [`FakeRunner::failing_at_step`].
    ///
    /// # Panics
    /// On any [`ShadowFault`]: the caller's bug.
    fn forward(&mut self, batch: &StepBatch) -> Result<Logits<'_>, KernelError> {
        let step = self.counters.steps.fetch_add(1, Ordering::SeqCst) + 1;
        if self.fail_at_step == Some(step) {
            let source = format!("step {step} was told to fail").into();
            return Err(KernelError::Device { op: "fake", source });
        }
        match self.step(batch) {
            Ok(logits) => Ok(logits),
            Err(fault) => panic!("shadow KV, step {step}: {fault}"),
        }
    }
}
