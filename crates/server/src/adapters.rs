//! LoRA adapters as requests see them: by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use engine::{AdapterHandle, EngineHandle, LoadAdapterError, SubmitError};
use models::{LoraAdapter, ModelConfig};
use tokio::sync::oneshot;

/// The adapters that requests may name, and how others are loaded; clones share everything.
#[derive(Clone, Default)]
pub struct Adapters {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    loading: Option<Loading>,
    /// `None` while it is loaded.
    by_name: RwLock<BTreeMap<String, Option<Arc<ServedAdapter>>>>,
}

/// What loading needs.
#[derive(Clone, Debug)]
pub struct Loading {
    /// The model that adapters are for.
    pub model: ModelConfig,
    /// Largest rank.
    pub max_rank: usize,
    /// Names of the model itself.
    pub model_names: Vec<String>,
    /// Whether clients may load and unload.
    pub is_open: bool,
}

/// An adapter that requests may name. A request holds it until it has ended, so that an unloaded one
/// stays until then.
#[derive(Debug, PartialEq)]
pub struct ServedAdapter {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// Keeps it loaded.
    pub handle: AdapterHandle,
}

/// Why an adapter is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The server has no room for adapters.
    #[error("this server was started without adapters")]
    Off,
    /// Another adapter or the model has the name.
    #[error("the name `{0}` is taken")]
    NameTaken(String),
    /// The adapter itself.
    #[error(transparent)]
    Adapter(#[from] models::AdapterError),
    /// No slot, or the device.
    #[error(transparent)]
    Slot(#[from] LoadAdapterError),
    /// The engine takes nothing.
    #[error(transparent)]
    Engine(#[from] SubmitError),
}

impl Adapters {
    /// None yet; `loading` says how they are loaded.
    pub fn new(loading: Loading) -> Self {
        Self {
            shared: Arc::new(Shared {
                loading: Some(loading),
                by_name: RwLock::default(),
            }),
        }
    }

    /// Whether clients may load and unload adapters.
    pub fn are_open(&self) -> bool {
        let loading = self.shared.loading.as_ref();
        loading.is_some_and(|loading| loading.is_open)
    }

    /// The adapter of this name.
    pub fn get(&self, name: &str) -> Option<Arc<ServedAdapter>> {
        let by_name = self.shared.by_name.read();
        let by_name = by_name.unwrap_or_else(PoisonError::into_inner);
        by_name.get(name).cloned().flatten()
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<Arc<ServedAdapter>> {
        let by_name = self.shared.by_name.read();
        let by_name = by_name.unwrap_or_else(PoisonError::into_inner);
        by_name.values().flatten().cloned().collect()
    }

    /// Reads an adapter and loads it under a name. Blocks while it does; not for async threads.
    ///
    /// # Errors
    /// [`LoadError`]; the name is free again then.
    pub fn load(&self, engine: &EngineHandle, name: &str, path: &Path) -> Result<(), LoadError> {
        let loading = self.shared.loading.as_ref().ok_or(LoadError::Off)?;
        let taken = || LoadError::NameTaken(name.to_owned());
        if loading.model_names.iter().any(|known| known == name) {
            return Err(taken());
        }
        if !self.reserve(name) {
            return Err(taken());
        }
        let loaded = load(engine, loading, path).map(|handle| {
            Arc::new(ServedAdapter {
                name: name.to_owned(),
                path: path.to_owned(),
                handle,
            })
        });
        let mut by_name = self.write();
        match loaded {
            Ok(adapter) => {
                by_name.insert(name.to_owned(), Some(adapter));
                Ok(())
            }
            Err(error) => {
                by_name.remove(name);
                Err(error)
            }
        }
    }

    /// Takes no new requests for an adapter; those that there are finish. False if there is none of
    /// this name.
    pub fn unload(&self, name: &str) -> bool {
        let mut by_name = self.write();
        let is_loaded = by_name.get(name).is_some_and(Option::is_some);
        if is_loaded {
            by_name.remove(name);
        }
        is_loaded
    }

    /// Takes a name; false if it is taken.
    fn reserve(&self, name: &str) -> bool {
        let mut by_name = self.write();
        let is_free = !by_name.contains_key(name);
        if is_free {
            by_name.insert(name.to_owned(), None);
        }
        is_free
    }

    fn write(
        &self,
    ) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Option<Arc<ServedAdapter>>>> {
        let by_name = self.shared.by_name.write();
        by_name.unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(engine: &EngineHandle, loading: &Loading, path: &Path) -> Result<AdapterHandle, LoadError> {
    let adapter = LoraAdapter::open(path, &loading.model, loading.max_rank)?;
    let (sender, answer) = oneshot::channel();
    engine.load_adapter(adapter, move |loaded| {
        // Whoever asked waits for it.
        let _ = sender.send(loaded);
    })?;
    let answer = answer.blocking_recv();
    Ok(answer.map_err(|_| SubmitError::ShuttingDown)??)
}
