//! What the time of a step goes to.

use std::time::Duration;

use scheduler::Timestamp;

/// A kind of work within a step; together they are all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepPhase {
    /// Deciding what to compute, and taking back what has been computed: cancellations, the plan,
    /// the commit.
    Schedule,
    /// Laying out the model's inputs, copying blocks that are about to be overwritten, and, on a device,
    /// launching the step.
    Launch,
    /// Waiting for the forward pass, until its logits or tokens can be read: all of it, unless the device
    /// computes while the thread does something else.
    Device,
    /// Choosing tokens from the logits.
    Sample,
    /// Handing admissions, tokens and ends to those who wait for them.
    Send,
}

impl StepPhase {
    /// All phases, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Schedule,
        Self::Launch,
        Self::Device,
        Self::Sample,
        Self::Send,
    ];

    /// In a word, as metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Launch => "launch",
            Self::Device => "device",
            Self::Sample => "sample",
            Self::Send => "send",
        }
    }
}

/// Splits the time of one step: each moment goes to the phase whose end is noted next.
#[derive(Debug)]
pub(crate) struct PhaseWatch {
    last: Timestamp,
    spent: [Duration; StepPhase::ALL.len()],
}

impl PhaseWatch {
    pub(crate) fn start(now: Timestamp) -> Self {
        Self {
            last: now,
            spent: Default::default(),
        }
    }

    /// What has passed since the last call, or the start, was `phase`.
    pub(crate) fn end_of(&mut self, phase: StepPhase, now: Timestamp) {
        self.spent[phase as usize] += now.since(self.last);
        self.last = now;
    }

    /// The time of each phase, in the order of [`StepPhase::ALL`].
    pub(crate) fn spent(&self) -> &[Duration; StepPhase::ALL.len()] {
        &self.spent
    }
}
