//! Outputs: weights times panels of values.

#![expect(
    unsafe_code,
    reason = "tiles of the cache and the scratch are read through pointers"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count rows and panels of a tile"
)]

use std::ops::Range;

use crate::cpu::attention::located::ValuePanels;
use crate::cpu::attention::scratch::{RowTile, SCORE_STRIDE};
use crate::cpu::kv::KvElement;
use crate::cpu::simd::{Kernel, LANES, Simd};
use crate::cpu::tile::{Panel, Reading, Rows, accumulate};

/// Weighted values of the rows of `tiles`, in tiles of at most `ROWS` rows.
pub(super) struct Values<'a, T, const ROWS: usize> {
    pub(super) tiles: &'a [RowTile],
    /// Weights, `[rows of the item, SCORE_STRIDE]`
    pub(super) weights: *const f32,
    /// Per row of the item, the keys of the span that it sees.
    pub(super) seen: &'a [Range<usize>],
    /// Keys of the span to add.
    pub(super) keys: Range<usize>,
    /// Panels of dimensions to compute; `values` begins with the first of them.
    pub(super) panels: Range<usize>,
    pub(super) values: &'a ValuePanels<T>,
    pub(super) value_dim: usize,
    pub(super) outputs: Outputs<'a>,
}

/// What becomes of weighted values `[rows of the item, value_dim]`.
#[derive(Clone, Copy)]
pub(super) enum Outputs<'a> {
    /// They continue the span's own, and stay.
    Continue(*mut f32),
    /// They are the span's, and join the spans before it.
    Join {
        outputs: *mut f32,
        factors: &'a [f32],
        span_factors: &'a [f32],
    },
}

impl<T: KvElement, const ROWS: usize> Kernel for Values<'_, T, ROWS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for tile in self.tiles {
            let mut panel = self.panels.start;
            while panel < self.panels.end {
                let left = self.panels.end - panel;
                panel += tile!(self.tile::<S, ROWS>(tile.count, left; simd, tile, panel));
            }
        }
    }
}

impl<T: KvElement, const ROWS: usize> Values<'_, T, ROWS> {
    /// `R` rows times `P` panels of dimensions; returns `P`. Rows share a product for the keys that
    /// all of them see; keys before and after those are added in their place. Keys that a row does
    /// not see are not touched: a slot that was never written may hold anything, and zero times
    /// NaN is NaN.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const P: usize>(
        &self,
        simd: S,
        tile: &RowTile,
        panel: usize,
    ) -> usize {
        let row = tile.first;
        let mut acc = [[simd.splat(0.0); P]; R];
        if let Outputs::Continue(outputs) = self.outputs {
            for r in 0..R {
                for p in 0..P {
                    // SAFETY: the item has these rows and dimensions.
                    acc[r][p] = unsafe { simd.load(outputs.add(self.at(row + r, panel + p))) };
                }
            }
        }
        let bound = |key: usize| key.clamp(self.keys.start, self.keys.end);
        let seen = bound(tile.seen.start)..bound(tile.seen.end);
        let mut shared = bound(tile.shared.start)..bound(tile.shared.end);
        if shared.is_empty() {
            shared = seen.end..seen.end;
        }
        self.seen_by_some::<S, R, P>(simd, row, panel, seen.start..shared.start, &mut acc);
        self.seen_by_all::<S, R, P>(simd, row, panel, shared.clone(), &mut acc);
        self.seen_by_some::<S, R, P>(simd, row, panel, shared.end..seen.end, &mut acc);
        for r in 0..R {
            for p in 0..P {
                let at = self.at(row + r, panel + p);
                // SAFETY: the item has these rows and dimensions.
                unsafe {
                    match self.outputs {
                        Outputs::Continue(outputs) => simd.store(outputs.add(at), acc[r][p]),
                        Outputs::Join {
                            outputs,
                            factors,
                            span_factors,
                        } => {
                            let factor = simd.splat(factors[row + r]);
                            let span_factor = simd.splat(span_factors[row + r]);
                            let scaled = simd.mul(simd.load(outputs.add(at)), factor);
                            let joint = simd.mul_add(acc[r][p], span_factor, scaled);
                            simd.store(outputs.add(at), joint);
                        }
                    }
                }
            }
        }
        P
    }

    /// Adds keys that every row sees.
    #[inline(always)]
    fn seen_by_all<S: Simd, const R: usize, const P: usize>(
        &self,
        simd: S,
        row: usize,
        panel: usize,
        keys: Range<usize>,
        acc: &mut [[S::Vector; P]; R],
    ) {
        let weights = Rows {
            ptr: self.weights,
            stride: SCORE_STRIDE,
        };
        let mut key = keys.start;
        while key < keys.end {
            let count = (self.values.run - key % self.values.run).min(keys.end - key);
            // SAFETY: the rows have weights for these keys, whose values were located.
            unsafe {
                let weights = weights.at(row, key);
                let panels = self.panels::<P>(panel, key);
                accumulate(simd, weights, panels, count, Reading::Cached, acc);
            }
            key += count;
        }
    }

    /// Adds keys that some of the rows see.
    #[inline(always)]
    fn seen_by_some<S: Simd, const R: usize, const P: usize>(
        &self,
        simd: S,
        row: usize,
        panel: usize,
        keys: Range<usize>,
        acc: &mut [[S::Vector; P]; R],
    ) {
        for key in keys {
            let panels = self.panels::<P>(panel, key);
            for r in 0..R {
                if !self.seen[row + r].contains(&key) {
                    continue;
                }
                for p in 0..P {
                    // SAFETY: the row has a weight for this key, whose values were located.
                    unsafe {
                        let weight = *self.weights.add((row + r) * SCORE_STRIDE + key);
                        let value = T::load(simd, panels[p].ptr);
                        acc[r][p] = simd.mul_add(simd.splat(weight), value, acc[r][p]);
                    }
                }
            }
        }
    }

    /// `P` panels of dimensions, from key `key` on.
    #[inline(always)]
    fn panels<const P: usize>(&self, panel: usize, key: usize) -> [Panel<T>; P] {
        let ValuePanels {
            ptrs,
            run,
            stride,
            panel: step,
        } = self.values;
        let start = ptrs[key / run].wrapping_add(key % run * stride);
        let mut panels = [Panel {
            ptr: start,
            stride: *stride,
        }; P];
        for p in 0..P {
            panels[p].ptr = start.wrapping_add((panel - self.panels.start + p) * step);
        }
        panels
    }

    /// Where panel `panel` of a row's outputs begins.
    #[inline(always)]
    fn at(&self, row: usize, panel: usize) -> usize {
        row * self.value_dim + panel * LANES
    }
}
