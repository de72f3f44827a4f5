//! A worker's memory for one attention item.

use crate::KernelError;
use crate::cpu::attention::{ITEM_ROWS, TILE_KEYS};
use crate::cpu::kv::padded_head_dim;
use crate::cpu::memory::AlignedSlice;

/// Reused by every item that a worker computes.
pub(crate) struct Scratch {
    /// Scaled queries, `[ITEM_ROWS, head_dim]`
    pub(super) queries: AlignedSlice<f32>,
    /// Scores of a tile, then its softmax weights, `[ITEM_ROWS, TILE_KEYS]`
    pub(super) scores: AlignedSlice<f32>,
    /// Unnormalised outputs, `[ITEM_ROWS, padded head_dim]`
    pub(super) outputs: AlignedSlice<f32>,
    /// Largest score so far, `[ITEM_ROWS]`
    pub(super) max: AlignedSlice<f32>,
    /// Sum of softmax weights so far, `[ITEM_ROWS]`
    pub(super) sum: AlignedSlice<f32>,
    /// A tile's keys where the cache's layout is no panel, `[head_dim, TILE_KEYS]`
    pub(super) keys: AlignedSlice<f32>,
    /// A tile's values where they are gathered, `[TILE_KEYS, padded head_dim]`
    pub(super) values: AlignedSlice<f32>,
    head_dim: usize,
}

impl Scratch {
    /// Scratch for heads of `head_dim`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new(head_dim: usize) -> Result<Self, KernelError> {
        let padded = padded_head_dim(head_dim);
        let zeroed = |len| AlignedSlice::zeroed(len, "attention scratch");
        Ok(Self {
            queries: zeroed(ITEM_ROWS * head_dim)?,
            scores: zeroed(ITEM_ROWS * TILE_KEYS)?,
            outputs: zeroed(ITEM_ROWS * padded)?,
            max: zeroed(ITEM_ROWS)?,
            sum: zeroed(ITEM_ROWS)?,
            keys: zeroed(head_dim * TILE_KEYS)?,
            values: zeroed(TILE_KEYS * padded)?,
            head_dim,
        })
    }

    /// The head dimension it was made for.
    pub(crate) fn head_dim(&self) -> usize {
        self.head_dim
    }
}
