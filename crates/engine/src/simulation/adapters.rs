//! Adapters that come and go under a few names while requests run with them.

use std::sync::{Arc, Mutex};

use models::LoraAdapter;
use models::testing::fake_adapter;

use crate::{AdapterHandle, EngineHandle, LoadAdapterError};

/// Names under which adapters are loaded.
pub(super) const NAMES: usize = 3;

/// What is loaded under each name.
#[derive(Default)]
pub(super) struct Adapters {
    loaded: [Option<(u64, AdapterHandle)>; NAMES],
}

/// An engine's answer, once it has given it.
type Answer = Arc<Mutex<Option<Result<AdapterHandle, LoadAdapterError>>>>;

impl Adapters {
    /// Asks for the adapter of `identity`; what had the name before has it no more.
    pub(super) fn ask(&mut self, engine: &EngineHandle, name: usize, identity: u64) -> Answer {
        self.loaded[name] = None;
        let answer = Answer::default();
        let given = Arc::clone(&answer);
        let set = move |loaded| *given.lock().unwrap() = Some(loaded);
        engine.load_adapter(fake_adapter(identity), set).unwrap();
        answer
    }

    /// Takes the answer; false if there was no slot.
    pub(super) fn take(&mut self, answer: &Answer, name: usize, identity: u64) -> bool {
        let answer = answer.lock().unwrap().take();
        match answer.expect("the engine answers between steps") {
            Ok(handle) => self.loaded[name] = Some((identity, handle)),
            Err(LoadAdapterError::NoSlot { .. }) => return false,
            Err(error) => panic!("{error}"),
        }
        true
    }

    /// Whether requests hold the adapter of this name.
    pub(super) fn is_used(&self, name: usize) -> bool {
        let loaded = self.loaded[name].as_ref();
        loaded.is_some_and(|(_, handle)| handle.num_clones() > 1)
    }

    /// Frees a name.
    pub(super) fn unload(&mut self, name: usize) {
        self.loaded[name] = None;
    }

    /// What is loaded under a name, and its digest's origin.
    pub(super) fn named(&self, name: Option<usize>) -> Option<&(u64, AdapterHandle)> {
        self.loaded[name?].as_ref()
    }
}

/// The same adapter again, for the answer by definition.
pub(super) fn again(identity: Option<u64>) -> Option<LoraAdapter> {
    identity.map(fake_adapter)
}
