//! Steps that the backend computes while the host goes on.

use std::collections::VecDeque;

use kernels::{Draw, KernelError, LoraBackend, ReadDrawn, Sample, StepBatch};

use super::{Decoder, padding};
use crate::limits::Limits;
use crate::{Logits, StepsInFlight};

/// What is still to be read of the steps that were launched, the earliest first.
#[derive(Default)]
pub(super) struct InFlight {
    steps: VecDeque<Launched>,
}

#[derive(Default)]
struct Launched {
    /// Rows of logits.
    rows: usize,
    /// Of each row, where the backend draws some; otherwise none. `[rows]`
    draws: Vec<Option<Draw>>,
    wants_states: bool,
    has_scores: bool,
}

impl InFlight {
    /// Rows that the last step draws, if it draws all.
    pub(super) fn rows_of_last(&self) -> usize {
        let last = self.steps.back();
        last.filter(|step| step.is_all_drawn())
            .map_or(0, |step| step.rows)
    }
}

impl Launched {
    /// Whether the host wants tokens alone, which the backend chooses: later steps may overwrite what
    /// else there is.
    fn is_all_drawn(&self) -> bool {
        let drawn = self.draws.iter().flatten().count();
        drawn == self.rows && !self.wants_states && !self.has_scores
    }
}

impl<B: LoraBackend> StepsInFlight for Decoder<B> {
    /// # Panics
    /// As [`ModelRunner::forward`](crate::ModelRunner::forward).
    fn launch(&mut self, batch: &StepBatch) -> Result<(), KernelError> {
        let is_first = self.in_flight.steps.is_empty();
        assert!(is_first || self.may_follow(), "a step may follow");
        self.check(batch);
        self.kv.copy_blocks(&mut self.backend, batch)?;
        let mut launched = Launched {
            rows: batch.logits_rows.len(),
            draws: Vec::new(),
            wants_states: batch.wants_states,
            has_scores: !batch.scored_rows.is_empty(),
        };
        if batch.num_tokens() > 0 {
            self.compute(batch)?;
        }
        if batch.draws.iter().any(Option::is_some) {
            let (logits, draws) = (&self.buffers.logits, &batch.draws[..]);
            if self.backend.sample(Sample { logits, draws })? {
                launched.draws.extend_from_slice(draws);
            }
        }
        self.in_flight.steps.push_back(launched);
        Ok(())
    }

    fn may_follow(&self) -> bool {
        let steps = &self.in_flight.steps;
        steps.len() == 1 && steps.iter().all(Launched::is_all_drawn)
    }

    fn finish(&mut self) -> Result<Logits<'_>, KernelError> {
        let launched = self.in_flight.steps.pop_front();
        let launched = launched.expect("a step is in flight");
        let (rows, vocab_size) = (launched.rows, self.shape.vocab_size);
        let (backend, buffers) = (&mut self.backend, &mut self.buffers);
        let mut logits = if rows == 0 {
            Logits::new(&[], vocab_size)
        } else if launched.draws.is_empty() {
            let data = backend.read(&buffers.logits, rows, &mut buffers.host)?;
            Logits::new(data, vocab_size)
        } else {
            backend.read_drawn(ReadDrawn {
                logits: &buffers.logits,
                draws: &launched.draws,
                drawn: &mut buffers.drawn,
                host: &mut buffers.host,
            })?;
            Logits::new(&buffers.host, vocab_size).with_drawn(&buffers.drawn)
        };
        if launched.has_scores {
            logits = logits.with_scores(&buffers.scores);
        }
        if launched.wants_states && rows > 0 {
            let states = &mut buffers.host_states;
            logits = logits.with_states(backend.read(&buffers.normed, rows, states)?);
        }
        Ok(logits.with_workers(backend.workers()))
    }
}

impl<B: LoraBackend> Decoder<B> {
    /// Asks for the step's operations, as many rows as the backend likes best.
    fn compute(&mut self, batch: &StepBatch) -> Result<(), KernelError> {
        self.adapters.begin_step(batch);
        let (tokens, repeats) = (batch.num_tokens(), self.repeats(batch));
        let Limits {
            max_num_seqs,
            max_num_batched_tokens,
            ..
        } = self.limits;
        let wanted = self.backend.padded_rows(tokens);
        let wanted = wanted.min(max_num_seqs).min(max_num_batched_tokens);
        if !repeats || wanted <= tokens {
            return self.run(batch, repeats);
        }
        let mut padded = std::mem::take(&mut self.padded);
        padding::pad(batch, wanted, &mut padded);
        let done = self.run(&padded, repeats);
        self.padded = padded;
        done
    }
}
