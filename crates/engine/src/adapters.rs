//! Adapters that are loaded, and who still uses them.
//!
//! A slot is taken when an adapter is loaded and given back when its last [`AdapterHandle`] has gone:
//! the caller's own, and one in every request that is computed with it. So whoever lets go of its
//! handle unloads the adapter for new requests, and those that run finish.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Weak};

use kernels::KernelError;
use models::{LoraAdapter, ModelRunner};

use crate::handle::Message;

/// What begins the salt of prefixes that are computed with an adapter: behind it its digest, then
/// the request's own salt.
const SALT_TAG: &[u8] = b"purser LoRA adapter";

/// A loaded adapter; clones are the same one.
#[derive(Clone)]
pub struct AdapterHandle(Arc<Lease>);

/// A slot that is taken.
struct Lease {
    slot: u32,
    digest: [u8; 32],
    inbox: SyncSender<Message>,
}

/// Why an adapter was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadAdapterError {
    /// The model was loaded without room for adapters.
    #[error("there is no room for adapters")]
    NoRoom,
    /// As many are loaded as there may be.
    #[error(
        "all {slots} slots for adapters are taken; one that was unloaded keeps its slot until its \
         last request has ended"
    )]
    NoSlot {
        /// Slots.
        slots: usize,
    },
    /// The device.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// Called once, on the engine's thread; it must not block.
pub(crate) type LoadAnswer = Box<dyn FnOnce(Result<AdapterHandle, LoadAdapterError>) + Send>;

impl AdapterHandle {
    /// The salt under which requests with this adapter share prefixes, of a request's own salt: for
    /// [`ProbePrompt`](crate::ProbePrompt). It names what the adapter computes, not how it was loaded:
    /// prefixes are never shared with another adapter's, in memory or on disk, and they are still
    /// there when the same one is loaded again.
    pub fn cache_salt(&self, salt: &[u8]) -> Vec<u8> {
        [SALT_TAG, &self.0.digest, salt].concat()
    }

    /// Handles of this adapter, for tests.
    #[cfg(test)]
    pub(crate) fn num_clones(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    pub(crate) fn slot(&self) -> u32 {
        self.0.slot
    }
}

/// Whether they are handles of one load.
impl PartialEq for AdapterHandle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for AdapterHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut tuple = f.debug_tuple("AdapterHandle");
        tuple.field(&self.0.slot).finish()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The engine sees that the slot is free when it next looks; a full inbox makes it look, too.
        let _ = self.inbox.try_send(Message::Wake);
    }
}

/// The slots of a model, as the step loop keeps them.
#[derive(Default)]
pub(crate) struct LoadedAdapters {
    slots: Vec<Option<Weak<Lease>>>,
}

impl LoadedAdapters {
    /// Loads an adapter into a free slot.
    ///
    /// # Errors
    /// No slot is free, or the device's error.
    pub(crate) fn load(
        &mut self,
        adapter: &LoraAdapter,
        runner: &mut dyn ModelRunner,
        inbox: SyncSender<Message>,
    ) -> Result<AdapterHandle, LoadAdapterError> {
        self.release_unused(runner);
        let Some(places) = runner.adapters() else {
            return Err(LoadAdapterError::NoRoom);
        };
        let slots = places.num_slots();
        self.slots.resize(slots, None);
        let Some(slot) = self.slots.iter().position(Option::is_none) else {
            return Err(LoadAdapterError::NoSlot { slots });
        };
        places.load(slot, adapter)?;
        let lease = Arc::new(Lease {
            slot: slot as u32,
            digest: adapter.digest(),
            inbox,
        });
        self.slots[slot] = Some(Arc::downgrade(&lease));
        Ok(AdapterHandle(lease))
    }

    /// Empties the slots of adapters that nobody uses any more.
    pub(crate) fn release_unused(&mut self, runner: &mut dyn ModelRunner) {
        for (slot, lease) in self.slots.iter_mut().enumerate() {
            if lease
                .as_ref()
                .is_some_and(|lease| lease.strong_count() == 0)
            {
                *lease = None;
                if let Some(places) = runner.adapters() {
                    places.unload(slot);
                }
            }
        }
    }

    /// Whether any slot is taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }
}
