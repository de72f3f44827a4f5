//! Where each layer keeps its keys and values.

use kernels::{Backend, KernelError, KvCacheShape, KvPool, StepBatch};

use crate::config::ModelConfig;
use crate::limits::Limits;

/// The KV caches of a model: one for all layers, or one more for those with a sliding window.
pub(super) struct KvCaches<B: Backend> {
    main: B::KvCache,
    window: Option<B::KvCache>,
    /// Of each layer.
    places: Vec<Place>,
}

/// Where a layer's keys and values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) pool: KvPool,
    /// The layer's index within the pool's cache.
    pub(super) layer: usize,
}

impl<B: Backend> KvCaches<B> {
    /// Allocates what `limits` say; `shape` is that of a cache for all layers.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn new(
        backend: &B,
        config: &ModelConfig,
        limits: &Limits,
        shape: KvCacheShape,
    ) -> Result<Self, KernelError> {
        let (mut in_main, mut in_window) = (0, 0);
        let place = |has_window: bool| {
            let (pool, next) = match has_window && limits.window_blocks.is_some() {
                true => (KvPool::Window, &mut in_window),
                false => (KvPool::Main, &mut in_main),
            };
            let layer = *next;
            *next += 1;
            Place { pool, layer }
        };
        let windows = config.layers.iter();
        let places = windows
            .map(|layer| layer.sliding_window.is_some())
            .map(place)
            .collect();
        let cache = |num_layers, num_blocks| {
            backend.kv_cache(KvCacheShape {
                num_layers,
                num_blocks,
                ..shape
            })
        };
        Ok(Self {
            main: cache(in_main, limits.num_blocks)?,
            window: limits
                .window_blocks
                .map(|num_blocks| cache(in_window, num_blocks))
                .transpose()?,
            places,
        })
    }

    /// The cache of the main pool, if it holds all layers.
    pub(super) fn whole(&self) -> Option<&B::KvCache> {
        self.window.is_none().then_some(&self.main)
    }

    /// The same, to write to.
    pub(super) fn whole_mut(&mut self) -> Option<&mut B::KvCache> {
        self.window.is_none().then_some(&mut self.main)
    }

    /// The cache of layer `layer`, and where the layer is in it.
    pub(super) fn of(&self, layer: usize) -> (&B::KvCache, Place) {
        let place = self.places[layer];
        let cache = match (place.pool, &self.window) {
            (KvPool::Window, Some(window)) => window,
            _ => &self.main,
        };
        (cache, place)
    }

    /// The same, to write to.
    pub(super) fn of_mut(&mut self, layer: usize) -> (&mut B::KvCache, Place) {
        let place = self.places[layer];
        let cache = match (place.pool, &mut self.window) {
            (KvPool::Window, Some(window)) => window,
            _ => &mut self.main,
        };
        (cache, place)
    }

    /// Runs a step's copies.
    ///
    /// # Errors
    /// `Device`.
    pub(super) fn copy_blocks(
        &mut self,
        backend: &mut B,
        batch: &StepBatch,
    ) -> Result<(), KernelError> {
        backend.copy_blocks(&mut self.main, &batch.block_copies)?;
        match &mut self.window {
            Some(window) => backend.copy_blocks(window, &batch.window.block_copies),
            None => Ok(()),
        }
    }
}
