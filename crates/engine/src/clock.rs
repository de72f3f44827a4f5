//! The engine's clock, the only one below the server.

use std::time::Instant;

use scheduler::Timestamp;

/// Where the step loop reads the time; a test supplies its own.
pub(crate) trait Clock: Send {
    /// Time since some fixed moment; never goes backwards.
    fn now(&self) -> Timestamp;
}

/// Monotonic time since the engine started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MonotonicClock {
    start: Instant,
}

impl MonotonicClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one clock that scheduling is driven by"
    )]
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_duration(self.start.elapsed())
    }
}
