//! Models without weights: one that says what it is told, and one that can be stopped.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use kernels::{KernelError, StepBatch};
use models::{AdapterSlots, LogSoftmax, Logits, ModelRunner};

/// Logit of what a [`ScriptRunner`] says; all others have 0.
pub(crate) const SAID_LOGIT: f32 = 10.0;

/// What a [`ScriptRunner`] says, to be changed while it runs.
#[derive(Clone, Default)]
pub(crate) struct Voice(Arc<Mutex<Said>>);

#[derive(Default)]
struct Said {
    /// In place of the runner's own.
    script: Option<Vec<u32>>,
    /// Logit of each token that is scored.
    support: f32,
    /// Tokens that were scored, in order.
    scored: Vec<u32>,
}

impl Voice {
    /// Says this from the next answer on.
    pub(crate) fn say(&self, script: Vec<u32>) {
        self.said().script = Some(script);
    }

    /// Gives this logit to every token that is scored.
    pub(crate) fn support(&self, logit: f32) {
        self.said().support = logit;
    }

    /// Tokens that were scored since this was asked last.
    pub(crate) fn take_scored(&self) -> Vec<u32> {
        std::mem::take(&mut self.said().scored)
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        let said = self.0.lock();
        said.expect("no test panics while it holds the voice")
    }
}

/// Says the tokens of a script, whatever the prompt, and then its stop token; one request at a time.
pub(crate) struct ScriptRunner {
    /// One for each answer; the last one for all that follow.
    scripts: Vec<Vec<u32>>,
    /// The number of this answer, from 1.
    answer: usize,
    /// Every token that was computed.
    seen: Arc<Mutex<Vec<u32>>>,
    voice: Voice,
    stop: u32,
    /// Position of the last prompt token.
    start: u32,
    /// Position of the row that asked for logits last, and what it was told.
    last: Option<(u32, u32)>,
    logits: Vec<f32>,
    scores: Vec<f32>,
}

impl ScriptRunner {
    pub(crate) fn new(script: Vec<u32>, stop: u32, vocab_size: usize) -> Self {
        Self::in_turn(vec![script], stop, vocab_size, Arc::default())
    }

    /// Says what the voice says now.
    pub(crate) fn with_voice(voice: Voice, stop: u32, vocab_size: usize) -> Self {
        Self {
            voice,
            ..Self::new(Vec::new(), stop, vocab_size)
        }
    }

    /// Says one script after the other, and notes what it reads.
    pub(crate) fn in_turn(
        scripts: Vec<Vec<u32>>,
        stop: u32,
        vocab_size: usize,
        seen: Arc<Mutex<Vec<u32>>>,
    ) -> Self {
        let (logits, voice) = (vec![0.0; vocab_size], Voice::default());
        voice.support(SAID_LOGIT);
        Self {
            scripts,
            answer: 0,
            seen,
            voice,
            stop,
            start: 0,
            last: None,
            logits,
            scores: Vec::new(),
        }
    }

    fn score(&mut self, tokens: &[u32]) {
        let mut said = self.voice.said();
        said.scored.extend(tokens);
        self.logits.fill(0.0);
        self.logits[0] = said.support;
        let softmax = LogSoftmax::new(&self.logits).expect("logits are finite");
        self.scores = vec![softmax.logprob(said.support); tokens.len()];
    }
}

impl ModelRunner for ScriptRunner {
    fn forward(&mut self, batch: &StepBatch) -> Result<Logits<'_>, KernelError> {
        assert!(
            batch.logits_rows.len() <= 1,
            "a script answers one request at a time"
        );
        let mut seen = self.seen.lock().expect("no test panics while it reads");
        seen.extend(&batch.token_ids);
        drop(seen);
        self.score(&batch.scored_tokens);
        let Some(&row) = batch.logits_rows.first() else {
            return Ok(Logits::new(&[], self.logits.len()).with_scores(&self.scores));
        };
        let position = batch.positions[row as usize];
        // Another prompt may happen to end where this answer goes on.
        let goes_on = (position.wrapping_sub(1), batch.token_ids[row as usize]);
        if self.last != Some(goes_on) {
            self.start = position;
            self.answer += 1;
        }
        let script = &self.scripts[self.answer.min(self.scripts.len()) - 1];
        let said = (position - self.start) as usize;
        let own = self.voice.said().script.clone();
        let script = own.as_ref().unwrap_or(script);
        let token = script.get(said).copied().unwrap_or(self.stop);
        self.last = (token != self.stop).then_some((position, token));
        self.logits.fill(0.0);
        self.logits[token as usize] = SAID_LOGIT;
        Ok(Logits::new(&self.logits, self.logits.len()).with_scores(&self.scores))
    }
}

/// Lets a model's steps through, or holds them.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    shared: Arc<(Mutex<GateState>, Condvar)>,
}

#[derive(Default)]
struct GateState {
    closed: bool,
    /// Steps that a closed gate still lets through.
    steps: u64,
}

impl Gate {
    /// Holds every step from the next one on.
    pub(crate) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// Lets everything through again.
    pub(crate) fn open(&self) {
        self.change(|state| state.closed = false);
    }

    /// Lets `steps` more through although it is closed.
    pub(crate) fn allow(&self, steps: u64) {
        self.change(|state| state.steps += steps);
    }

    fn change(&self, change: impl FnOnce(&mut GateState)) {
        change(
            &mut self
                .shared
                .0
                .lock()
                .expect("no test panics while it holds the gate"),
        );
        self.shared.1.notify_all();
    }

    fn pass(&self) {
        let state = self
            .shared
            .0
            .lock()
            .expect("no test panics while it holds the gate");
        let mut state = self
            .shared
            .1
            .wait_while(state, |state| state.closed && state.steps == 0)
            .expect("no test panics while it holds the gate");
        state.steps = state.steps.saturating_sub(1);
    }
}

/// A model behind a [`Gate`].
pub(crate) struct GatedRunner {
    pub(crate) inner: Box<dyn ModelRunner>,
    pub(crate) gate: Gate,
}

impl ModelRunner for GatedRunner {
    fn forward(&mut self, batch: &StepBatch) -> Result<Logits<'_>, KernelError> {
        self.gate.pass();
        self.inner.forward(batch)
    }

    fn adapters(&mut self) -> Option<&mut dyn AdapterSlots> {
        self.inner.adapters()
    }
}
