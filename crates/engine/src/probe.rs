//! Asking what the cache holds, without submitting anything.

use std::collections::VecDeque;
use std::sync::Arc;

use scheduler::{CacheProbe, ProbePrompt, Scheduler};

/// Prompts that one probe can ask about.
pub const MAX_PROBE_PROMPTS: usize = 256;

/// Probes that can wait for an answer.
pub const MAX_WAITING_PROBES: usize = 256;

/// Blocks that are looked up between two steps, after which the other probes wait for the next
/// step: a millisecond or two.
const MAX_BLOCKS_PER_STEP: usize = 8_192;

/// Prompts to ask about, and where the answer goes.
pub struct ProbeRequest {
    /// The prompts; neighbours that share a prefix cost less. A long one needs not fit the model.
    pub prompts: Arc<[ProbePrompt]>,
    /// Class of the request that they are to become (see
    /// [`GenerateRequest::priority`](crate::GenerateRequest::priority)): a request does not wait
    /// for what one of a lower class computes.
    pub priority: i32,
    /// Called once with the answer, on the engine's thread: it must not block. It is dropped
    /// without a call when the engine ends first.
    pub sink: Box<dyn FnOnce(CacheProbe) + Send>,
}

/// Why a probe was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It asks about too many prompts.
    #[error("a probe can ask about {max} prompts, and {prompts} were given")]
    TooManyPrompts {
        /// Prompts that were given.
        prompts: usize,
        /// [`MAX_PROBE_PROMPTS`].
        max: usize,
    },
    /// Too many probes or requests are waiting already.
    #[error("too many probes are waiting")]
    QueueFull,
    /// The server is stopping.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// Probes that have arrived and have no answer yet.
#[derive(Default)]
pub(crate) struct WaitingProbes {
    probes: VecDeque<ProbeRequest>,
}

impl WaitingProbes {
    pub(crate) fn push(&mut self, probe: ProbeRequest) {
        self.probes.push_back(probe);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.probes.is_empty()
    }

    /// Answers the oldest probes, at least one, until enough blocks were looked up; returns how
    /// many it answered.
    pub(crate) fn answer(&mut self, scheduler: &Scheduler) -> usize {
        let mut walked_blocks = 0;
        let mut answered = 0;
        while walked_blocks < MAX_BLOCKS_PER_STEP
            && let Some(probe) = self.probes.pop_front()
        {
            let answer = scheduler.probe(&probe.prompts, probe.priority);
            walked_blocks += answer.walked_blocks + answer.prompts.len();
            answered += 1;
            (probe.sink)(answer);
        }
        answered
    }
}
