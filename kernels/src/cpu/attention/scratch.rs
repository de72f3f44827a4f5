//! A worker's memory for one attention item.

use std::ops::Range;

use half::bf16;

use crate::KernelError;
use crate::cpu::attention::pairs::{KEY_PANELS, VALUE_PANEL, padded_depth};
use crate::cpu::attention::state::States;
use crate::cpu::attention::{ITEM_ROWS, SPAN_KEYS};
use crate::cpu::kv::padded_head_dim;
use crate::cpu::memory::AlignedSlice;
use crate::cpu::pairs::Bf16Chunk;
use crate::cpu::simd::LANES;

/// Panels that are widened at a time, at most.
pub(super) const WIDE_PANELS: usize = 2;
/// Scores from one row to the next: rows a multiple of 4096 bytes apart would share cache sets.
pub(super) const SCORE_STRIDE: usize = SPAN_KEYS + LANES;

/// Reused by every item that a worker computes.
pub(crate) struct Scratch {
    /// The item's rows, at most `ITEM_ROWS`.
    pub(super) places: Vec<Place>,
    /// What each of them sees of the span at hand, counted from its first key.
    pub(super) seen: Vec<Range<usize>>,
    /// The rows of the run at hand, cut into tiles.
    pub(super) tiles: Vec<RowTile>,
    /// Scaled queries, `[ITEM_ROWS, head_dim]`
    pub(super) queries: AlignedSlice<f32>,
    /// Scores of a span, then its softmax weights, `[ITEM_ROWS, SCORE_STRIDE]`
    pub(super) scores: AlignedSlice<f32>,
    pub(super) states: States,
    pub(super) wide: Wide,
    pub(super) pairs: PairRows,
    /// Scales of a span's keys or values, `[SPAN_KEYS]`
    pub(super) scales: AlignedSlice<f32>,
}

/// Where a row belongs.
pub(super) struct Place {
    pub(super) seq: usize,
    /// Counted from the sequence's first row.
    pub(super) row: usize,
    /// Positions that it sees.
    pub(super) visible: Range<usize>,
}

/// Rows that a product computes together.
pub(super) struct RowTile {
    /// Index of the first row in the item.
    pub(super) first: usize,
    pub(super) count: usize,
    /// Keys of the span that one of them sees.
    pub(super) seen: Range<usize>,
    /// Keys of the span that all of them see.
    pub(super) shared: Range<usize>,
}

/// Panels of a span, widened to f32 because many rows read them or because the cache's layout has
/// none.
pub(super) struct Wide {
    /// `[WIDE_PANELS, head_dim, LANES]`
    pub(super) keys: AlignedSlice<f32>,
    /// `[WIDE_PANELS, SPAN_KEYS, LANES]`
    pub(super) values: AlignedSlice<f32>,
}

/// Rows of an item and panels of a span, for products in bfloat16.
pub(super) struct PairRows {
    /// Scaled queries, `[ITEM_ROWS]`
    pub(super) queries: AlignedSlice<Bf16Chunk>,
    /// Softmax weights, `[ITEM_ROWS]`
    pub(super) weights: AlignedSlice<Bf16Chunk>,
    /// `[KEY_PANELS][padded head_dim / 2][16][2]`; what fills up head_dim is never written.
    pub(super) keys: AlignedSlice<bf16>,
    /// `[head_dim / 16 rounded up][VALUE_PANEL]`
    pub(super) values: AlignedSlice<bf16>,
}

impl Place {
    /// What the row sees of the keys in `keys`, counted from the first of them.
    pub(super) fn clip(&self, keys: &Range<usize>) -> Range<usize> {
        let clip = |position: usize| position.clamp(keys.start, keys.end) - keys.start;
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
        Ok(Self {
            places: Vec::with_capacity(ITEM_ROWS),
            seen: Vec::with_capacity(ITEM_ROWS),
            tiles: Vec::with_capacity(ITEM_ROWS),
            queries: zeroed(ITEM_ROWS * head_dim)?,
            scores: zeroed(ITEM_ROWS * SCORE_STRIDE)?,
            states: States::new(head_dim)?,
            wide: Wide {
                keys: zeroed(WIDE_PANELS * head_dim * LANES)?,
                values: zeroed(WIDE_PANELS * SPAN_KEYS * LANES)?,
            },
            pairs: PairRows::new(head_dim)?,
            scales: zeroed(SPAN_KEYS)?,
        })
    }
}

impl PairRows {
    fn new(head_dim: usize) -> Result<Self, KernelError> {
        let chunks = || AlignedSlice::zeroed(ITEM_ROWS, "attention scratch");
        let panels = |len| AlignedSlice::zeroed(len, "attention scratch");
        Ok(Self {
            queries: chunks()?,
            weights: chunks()?,
            keys: panels(KEY_PANELS * LANES * padded_depth(head_dim))?,
            values: panels(padded_head_dim(head_dim) / LANES * VALUE_PANEL)?,
        })
    }
}
