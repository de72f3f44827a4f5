//! Steps of a [`FakeRunner`] that end later than they begin.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use kernels::{DRAWN_BEFORE, DrawnToken, KernelError, StepBatch};

use super::FakeRunner;
use crate::{Logits, ModelRunner, StepsInFlight};

/// What came of the steps that nobody has waited for yet, the earliest first.
#[derive(Default)]
pub(super) struct FakeInFlight {
    steps: VecDeque<Result<Ended, KernelError>>,
    /// Of each row of the step that was launched last, the token that it has drawn.
    last_tokens: Vec<u32>,
    /// What was waited for last.
    current: Ended,
}

/// What came of a step.
#[derive(Default)]
struct Ended {
    logits: Vec<f32>,
    drawn: Vec<Option<DrawnToken>>,
    scores: Vec<f32>,
    states: Vec<f32>,
}

/// Computed at once, and told later: a step that follows one sees of it what a device would have.
impl StepsInFlight for FakeRunner {
    /// # Panics
    /// As [`FakeRunner::forward`].
    fn launch(&mut self, batch: &StepBatch) -> Result<(), KernelError> {
        let before = self.in_flight.steps.back();
        let follows = before.is_some();
        assert!(!follows || self.may_follow(), "a step may follow");
        let ahead = &self.counters.steps_ahead;
        ahead.fetch_add(u64::from(follows), Ordering::SeqCst);
        if matches!(before, Some(Err(_))) {
            let source = "the step before it has failed".into();
            let failed = KernelError::Device { op: "fake", source };
            self.in_flight.steps.push_back(Err(failed));
            return Ok(());
        }
        let mut batch = batch.clone();
        for token in &mut batch.token_ids {
            if *token & DRAWN_BEFORE != 0 {
                assert!(follows, "nothing was drawn before");
                *token = self.in_flight.last_tokens[(*token & !DRAWN_BEFORE) as usize];
            }
        }
        let done = self.forward(&batch).map(|_| ());
        let ended = done.map(|()| Ended {
            logits: std::mem::take(&mut self.logits),
            drawn: std::mem::take(&mut self.drawn),
            scores: std::mem::take(&mut self.scores),
            states: match batch.wants_states {
                true => std::mem::take(&mut self.states),
                false => Vec::new(),
            },
        });
        self.in_flight.last_tokens.clear();
        let drawn = ended.iter().flat_map(|ended| &ended.drawn).flatten();
        let tokens = drawn.map(|drawn| drawn.token);
        self.in_flight.last_tokens.extend(tokens);
        self.in_flight.steps.push_back(ended);
        Ok(())
    }

    fn may_follow(&self) -> bool {
        let steps = &self.in_flight.steps;
        let is_all_drawn = |step: &Result<Ended, KernelError>| match step {
            // A device tells later.
            Err(_) => true,
            Ok(ended) => {
                ended.logits.is_empty() && ended.scores.is_empty() && ended.states.is_empty()
            }
        };
        steps.len() == 1 && steps.iter().all(is_all_drawn)
    }

    fn finish(&mut self) -> Result<Logits<'_>, KernelError> {
        let ended = self.in_flight.steps.pop_front();
        self.in_flight.current = ended.expect("a step is in flight")?;
        let ended = &self.in_flight.current;
        let logits = Logits::new(&ended.logits, self.limits.vocab_size)
            .with_drawn(&ended.drawn)
            .with_scores(&ended.scores);
        Ok(match ended.states.is_empty() {
            true => logits,
            false => logits.with_states(&ended.states),
        })
    }
}
