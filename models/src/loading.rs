//! How far loading has come, and where the weights come from meanwhile.

use kernels::{Backend, KernelError};

use crate::weights_cache::{CacheNotice, Entry, Kept};

/// How far loading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadProgress {
    /// What is being done.
    pub phase: LoadPhase,
    /// Bytes of the matrices that are loaded, as they are kept.
    pub bytes: usize,
    /// Bytes of all matrices.
    pub total_bytes: usize,
}

/// What loading does with the matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadPhase {
    /// Arranges the checkpoint's weights for the device.
    Packing,
    /// Quantises them, too.
    Quantizing,
    /// Reads what an earlier start has quantised.
    ReadingCache,
}

/// A load that goes on.
pub(crate) struct Loading<'a> {
    progress: &'a mut dyn FnMut(LoadProgress),
    state: LoadProgress,
    /// What matrices go through that come from no cache.
    uncached: LoadPhase,
    cache: Option<Entry>,
}

impl<'a> Loading<'a> {
    /// Nothing is loaded yet of `total_bytes`.
    pub(crate) fn new(
        progress: &'a mut dyn FnMut(LoadProgress),
        total_bytes: usize,
        uncached: LoadPhase,
        cache: Option<Entry>,
    ) -> Self {
        let state = LoadProgress {
            phase: uncached,
            bytes: 0,
            total_bytes,
        };
        Self {
            progress,
            state,
            uncached,
            cache,
        }
    }

    /// A matrix from the cache; `None` if it must be packed.
    ///
    /// # Errors
    /// `OutOfMemory`
    pub(crate) fn cached<B: Backend>(
        &mut self,
        backend: &B,
        kept: Kept<'_>,
    ) -> Result<Option<B::Linear>, KernelError> {
        match &mut self.cache {
            Some(entry) => entry.matrix(backend, kept),
            None => Ok(None),
        }
    }

    /// `bytes` more are loaded.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.state.bytes += bytes;
        self.state.phase = match &self.cache {
            Some(entry) if entry.is_read() => LoadPhase::ReadingCache,
            _ => self.uncached,
        };
        (self.progress)(self.state);
    }

    /// Keeps the matrices (name of the first tensor, columns, packed) for a later start, if they are to
    /// be kept, and says what became of that.
    pub(crate) fn finish<'m, B: Backend>(
        self,
        backend: &B,
        matrices: impl Iterator<Item = (String, usize, &'m B::Linear)>,
    ) -> Vec<CacheNotice> {
        match self.cache {
            Some(entry) => entry.finish(backend, matrices),
            None => Vec::new(),
        }
    }
}
