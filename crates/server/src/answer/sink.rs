//! The engine's end of a choice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{Event, EventSink};
use tokio::sync::mpsc;

/// Puts a choice's events, with its index, into the channel that all choices of a request share.
pub(super) struct ChoiceSink {
    pub(super) index: usize,
    pub(super) events: mpsc::Sender<(usize, Event)>,
    /// Set when the choice has ended before the engine knows: a stop string was found.
    pub(super) ended: Arc<AtomicBool>,
}

impl EventSink for ChoiceSink {
    fn send(&mut self, event: Event) {
        // The channel has room for every event that the engine may send, so it can only be closed:
        // the client has gone, which the engine asks about next.
        let _ = self.events.try_send((self.index, event));
    }

    fn is_closed(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.events.is_closed()
    }
}
