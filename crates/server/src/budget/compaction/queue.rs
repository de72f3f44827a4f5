//! Work in the background: bounded, and one at a time for each conversation.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use context::ChainKey;
use tokio::sync::oneshot;

/// A compaction to run.
pub(super) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueLimits {
    /// That run at once. Together they compute no more than the engine gives to the background;
    /// several share the cost of reading the weights.
    pub(super) max_running: usize,
    /// That wait.
    pub(super) max_waiting: usize,
}

/// Why work was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Too much waits.
    #[error("too many compactions wait")]
    Full,
    /// The server is stopping.
    #[error("the server is shutting down")]
    Stopped,
}

/// Runs work on the async threads that offer it; it has no thread or task of its own.
pub(super) struct BackgroundQueue {
    shared: Arc<Shared>,
}

struct Shared {
    limits: QueueLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(ChainKey, Work)>,
    /// By number of start: an entry that is removed is cancelled.
    running: BTreeMap<u64, Running>,
    num_started: u64,
    stopped: bool,
}

struct Running {
    key: ChainKey,
    _cancel: oneshot::Sender<()>,
}

/// Work that was taken out of the queue and must be spawned.
struct Started {
    number: u64,
    work: Work,
    cancelled: oneshot::Receiver<()>,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            max_running: 4,
            max_waiting: 64,
        }
    }
}

impl BackgroundQueue {
    pub(super) fn new(limits: QueueLimits) -> Self {
        Self {
            shared: Arc::new(Shared {
                limits,
                state: Mutex::new(State::default()),
            }),
        }
    }

    /// Takes `work`, in place of what waits under the same key.
    pub(super) fn offer(&self, key: ChainKey, work: Work) -> Result<(), NotTaken> {
        // Dropped after the lock: its futures end in code that this module does not know.
        let _replaced;
        {
            let mut state = self.shared.lock();
            if state.stopped {
                return Err(NotTaken::Stopped);
            }
            let known = state.waiting.iter().position(|(known, _)| *known == key);
            _replaced = match known {
                Some(at) => state.waiting.remove(at),
                None if state.waiting.len() >= self.shared.limits.max_waiting => {
                    return Err(NotTaken::Full);
                }
                None => None,
            };
            state.waiting.push_back((key, work));
        }
        self.shared.start();
        Ok(())
    }

    /// Gives up what waits or runs under a key.
    pub(super) fn withdraw(&self, key: ChainKey) {
        let _given_up = {
            let mut state = self.shared.lock();
            state.running.retain(|_, running| running.key != key);
            let at = state.waiting.iter().position(|(known, _)| *known == key);
            at.and_then(|at| state.waiting.remove(at))
        };
        self.shared.start();
    }

    /// Gives up everything, and takes nothing more.
    pub(super) fn stop(&self) {
        let _given_up = {
            let mut state = self.shared.lock();
            state.stopped = true;
            (
                std::mem::take(&mut state.waiting),
                std::mem::take(&mut state.running),
            )
        };
    }

    /// Whether something waits or runs under a key.
    pub(super) fn has(&self, key: ChainKey) -> bool {
        let state = self.shared.lock();
        let waits = state.waiting.iter().any(|(known, _)| *known == key);
        waits || state.running.values().any(|running| running.key == key)
    }

    /// What waits and runs.
    pub(super) fn len(&self) -> usize {
        let state = self.shared.lock();
        state.waiting.len() + state.running.len()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spawns what may run.
    fn start(self: &Arc<Self>) {
        loop {
            // Spawned without the lock: a runtime that ends drops the future at once, and with it
            // the slot, which takes the lock.
            let started = self.lock().next(self.limits.max_running);
            let Some(Started {
                number,
                work,
                cancelled,
            }) = started
            else {
                return;
            };
            let slot = Slot {
                shared: Arc::clone(self),
                number,
            };
            tokio::spawn(async move {
                let _slot = slot;
                tokio::select! {
                    () = work => {}
                    _ = cancelled => {}
                }
            });
        }
    }
}

impl State {
    /// The oldest work of a key that nothing runs under.
    fn next(&mut self, max_running: usize) -> Option<Started> {
        if self.running.len() >= max_running {
            return None;
        }
        let is_free = |key: &ChainKey| self.running.values().all(|running| running.key != *key);
        let at = self.waiting.iter().position(|(key, _)| is_free(key))?;
        let (key, work) = self.waiting.remove(at)?;
        let (cancel, cancelled) = oneshot::channel();
        let number = self.num_started;
        self.num_started += 1;
        let _cancel = cancel;
        self.running.insert(number, Running { key, _cancel });
        Some(Started {
            number,
            work,
            cancelled,
        })
    }
}

/// The place of running work; however that ends, the next one begins.
struct Slot {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.lock().running.remove(&self.number);
        // Not in a runtime that ends: what waits there is never run.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.shared.start();
        }
    }
}

#[cfg(test)]
mod tests;
