//! A worker's memory for one attention item.

use std::ops::Range;

use crate::KernelError;
use crate::cpu::attention::state::State;
use crate::cpu::attention::{ITEM_ROWS, TILE_KEYS};
use crate::cpu::kv::padded_head_dim;
use crate::cpu::memory::AlignedSlice;

/// Reused by every item that a worker computes.
pub(crate) struct Scratch {
    /// The item's rows, at most `ITEM_ROWS`.
    pub(super) places: Vec<Place>,
    /// Scaled queries, `[ITEM_ROWS, head_dim]`
    pub(super) queries: AlignedSlice<f32>,
    /// Scores of a tile, then its softmax weights, `[ITEM_ROWS, TILE_KEYS]`
    pub(super) scores: AlignedSlice<f32>,
    /// States of the span at hand, `[ITEM_ROWS, state]`
    pub(super) running: AlignedSlice<f32>,
    /// States of the spans before it, `[ITEM_ROWS, state]`
    pub(super) merged: AlignedSlice<f32>,
    /// A tile that is gathered.
    pub(super) tile: TileScratch,
}

/// Where a row belongs.
pub(super) struct Place {
    pub(super) seq: usize,
    /// Counted from the sequence's first row.
    pub(super) row: usize,
    /// Positions that it sees.
    pub(super) visible: Range<usize>,
}

/// A tile of keys and values where the cache's layout has no panels. Elements are as wide as f32 or
/// narrower.
pub(super) struct TileScratch {
    /// `[head_dim, TILE_KEYS]`
    pub(super) keys: AlignedSlice<f32>,
    /// `[TILE_KEYS, padded head_dim]`
    pub(super) values: AlignedSlice<f32>,
    /// `[TILE_KEYS]`
    pub(super) key_scales: AlignedSlice<f32>,
    /// `[TILE_KEYS]`
    pub(super) value_scales: AlignedSlice<f32>,
}

impl Place {
    /// What the row sees of the tile that begins at position `start`, counted from there.
    pub(super) fn clip(&self, start: usize) -> Range<usize> {
        let clip = |position: usize| position.saturating_sub(start).min(TILE_KEYS);
        clip(self.visible.start)..clip(self.visible.end)
    }
}

impl Scratch {
    /// Scratch for heads of `head_dim`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn new(head_dim: usize) -> Result<Self, KernelError> {
        let zeroed = |len| AlignedSlice::zeroed(len, "attention scratch");
        let states = ITEM_ROWS * State::stride(head_dim);
        Ok(Self {
            places: Vec::with_capacity(ITEM_ROWS),
            queries: zeroed(ITEM_ROWS * head_dim)?,
            scores: zeroed(ITEM_ROWS * TILE_KEYS)?,
            running: zeroed(states)?,
            merged: zeroed(states)?,
            tile: TileScratch {
                keys: zeroed(head_dim * TILE_KEYS)?,
                values: zeroed(TILE_KEYS * padded_head_dim(head_dim))?,
                key_scales: zeroed(TILE_KEYS)?,
                value_scales: zeroed(TILE_KEYS)?,
            },
        })
    }
}
