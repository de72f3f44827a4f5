//! Scores: rows times panels of keys.

#![expect(
    unsafe_code,
    reason = "tiles of the cache and the scratch are read through pointers"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count rows and panels of a tile"
)]

use std::ops::Range;

use crate::cpu::attention::located::{KeyPanels, ValuePanels};
use crate::cpu::attention::scratch::{RowTile, SCORE_STRIDE};
use crate::cpu::attention::softmax::vectors;
use crate::cpu::kv::KvElement;
use crate::cpu::simd::{Kernel, LANES, Simd};
use crate::cpu::tile::{Panel, Reading, Rows, accumulate};

/// Scores of the rows of `tiles` for the keys that they see, in tiles of at most `ROWS` rows.
pub(super) struct Scores<'a, T, const ROWS: usize> {
    pub(super) tiles: &'a [RowTile],
    /// Row 0 of the item.
    pub(super) queries: Rows,
    pub(super) head_dim: usize,
    /// Vectors of the span to compute.
    pub(super) vectors: Range<usize>,
    pub(super) panels: &'a KeyPanels<T>,
    /// What scores are multiplied by, `[SPAN_KEYS]`
    pub(super) scales: Option<&'a [f32]>,
    /// `[rows of the item, SCORE_STRIDE]`
    pub(super) scores: *mut f32,
    /// Where panels come from memory, the values of the same keys: both are asked for ahead of
    /// time, which the processor by itself does only within a block.
    pub(super) streamed: Option<&'a ValuePanels<T>>,
}

/// Vectors of keys that are asked for before the product that reads them.
const AHEAD: usize = 4;
/// Bytes that arrive at once.
const CACHE_LINE: usize = 64;

impl<T: KvElement, const ROWS: usize> Kernel for Scores<'_, T, ROWS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.streamed.is_some() {
            for vector in self.vectors.clone().take(AHEAD) {
                self.ask_for_keys(simd, vector);
            }
        }
        for tile in self.tiles {
            let seen = vectors(&tile.seen);
            let mut vector = seen.start.max(self.vectors.start);
            let end = seen.end.min(self.vectors.end);
            while vector < end {
                let start = vector;
                vector += tile!(
                    self.tile::<S, ROWS>(tile.count, end - vector; simd, tile.first, vector)
                );
                if let Some(values) = self.streamed {
                    for vector in start..vector {
                        self.ask_for_keys(simd, vector + AHEAD);
                        self.ask_for_values(simd, values, vector);
                    }
                }
            }
        }
    }
}

impl<T: KvElement, const ROWS: usize> Scores<'_, T, ROWS> {
    /// Asks for the keys of a vector.
    #[inline(always)]
    fn ask_for_keys<S: Simd>(&self, simd: S, vector: usize) {
        if vector < self.vectors.end {
            let rows = (CACHE_LINE / (self.panels.stride * size_of::<T>())).max(1);
            for d in (0..self.head_dim).step_by(rows) {
                let row = self.panels.ptrs[vector].wrapping_add(d * self.panels.stride);
                simd.prefetch(row.cast());
            }
        }
    }

    /// Asks for the values of a vector.
    #[inline(always)]
    fn ask_for_values<S: Simd>(&self, simd: S, values: &ValuePanels<T>, vector: usize) {
        let bytes = LANES * values.stride * size_of::<T>();
        for line in (0..bytes).step_by(CACHE_LINE) {
            simd.prefetch(values.ptrs[vector].wrapping_byte_add(line).cast());
        }
    }

    /// `R` rows times `P` vectors of keys; returns `P`.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const P: usize>(
        &self,
        simd: S,
        row: usize,
        vector: usize,
    ) -> usize {
        let mut panels = [Panel {
            ptr: std::ptr::null(),
            stride: self.panels.stride,
        }; P];
        for p in 0..P {
            panels[p].ptr = self.panels.ptrs[vector + p];
        }
        let mut acc = [[simd.splat(0.0); P]; R];
        // SAFETY: the item has these rows of queries and scores, and the vectors to compute were
        // located and have `head_dim` rows of 16 keys.
        unsafe {
            let rows = self.queries.at(row, 0);
            accumulate(simd, rows, panels, self.head_dim, Reading::Cached, &mut acc);
            for p in 0..P {
                let start = (vector + p) * LANES;
                let scale = self
                    .scales
                    .map(|scales| simd.load(scales[start..].as_ptr()));
                for r in 0..R {
                    let score = match scale {
                        Some(scale) => simd.mul(acc[r][p], scale),
                        None => acc[r][p],
                    };
                    simd.store(self.scores.add((row + r) * SCORE_STRIDE + start), score);
                }
            }
        }
        P
    }
}
