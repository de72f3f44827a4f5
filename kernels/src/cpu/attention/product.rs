//! Scores, their softmax, and weighted values of one run.

#![expect(
    unsafe_code,
    reason = "tiles of the cache and the scratch are read through pointers"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count rows and panels of a tile"
)]

use std::ops::Range;

use crate::cpu::attention::TILE_KEYS;
use crate::cpu::attention::item::{Item, Run};
use crate::cpu::attention::keys::GROUPS;
use crate::cpu::attention::state::State;
use crate::cpu::exp::{exp, tanh};
use crate::cpu::kv::{KvElement, padded_head_dim};
use crate::cpu::simd::{LANES, Simd};
use crate::cpu::tile::{Panel, Reading, Rows, accumulate};

/// Most rows of a product.
const MAX_ROWS: usize = 6;

/// Calls `$item.$tile::<S, rows, panels>(..)` with as many rows as `$count` says and as many panels
/// as registers allow and `$left` has; returns the panels.
macro_rules! tile {
    ($item:ident.$tile:ident::<$simd:ident>($count:expr, $left:expr; $($argument:expr),*)) => {
        match ($count, $left) {
            (1, 4..) => $item.$tile::<$simd, 1, 4>($($argument),*),
            (1, _) => $item.$tile::<$simd, 1, 1>($($argument),*),
            (2, 2..) => $item.$tile::<$simd, 2, 2>($($argument),*),
            (2, _) => $item.$tile::<$simd, 2, 1>($($argument),*),
            (3, _) => $item.$tile::<$simd, 3, 1>($($argument),*),
            (4, _) => $item.$tile::<$simd, 4, 1>($($argument),*),
            (5, _) => $item.$tile::<$simd, 5, 1>($($argument),*),
            _ => $item.$tile::<$simd, MAX_ROWS, 1>($($argument),*),
        }
    };
}

impl<T: KvElement> Item<'_, T> {
    /// Scores of the run's rows for the groups of keys that they touch.
    #[inline(always)]
    pub(super) fn scores<S: Simd>(&mut self, simd: S, run: &Run<T>) {
        let mut row = run.rows.start;
        while row < run.rows.end {
            let count = S::TILE_ROWS.min(MAX_ROWS).min(run.rows.end - row);
            let (mut start, mut end) = (TILE_KEYS, 0);
            for place in &self.scratch.places[row..row + count] {
                let keys = place.clip(run.tile);
                start = start.min(keys.start);
                end = end.max(keys.end);
            }
            let mut group = start / LANES;
            let end = end.div_ceil(LANES);
            while group < end {
                group += tile!(self.score_tile::<S>(count, end - group; simd, row, group, run));
            }
            row += count;
        }
    }

    /// `R` rows times `P` groups of keys; returns `P`.
    #[inline(always)]
    fn score_tile<S: Simd, const R: usize, const P: usize>(
        &mut self,
        simd: S,
        row: usize,
        group: usize,
        run: &Run<T>,
    ) -> usize {
        let head_dim = self.layer.shape.head_dim;
        let rows = Rows {
            ptr: self.scratch.queries.as_ptr(),
            stride: head_dim,
        };
        let mut panels = [Panel {
            ptr: std::ptr::null(),
            stride: 0,
        }; P];
        for p in 0..P {
            let located = run.groups[group + p];
            panels[p] = Panel {
                ptr: located.keys,
                stride: located.key_stride,
            };
        }
        let mut acc = [[simd.splat(0.0); P]; R];
        // SAFETY: the run's rows lie in the scratch, its groups were located and have `head_dim`
        // rows of 16 keys and, where elements are scaled, 16 scales.
        unsafe {
            accumulate(
                simd,
                rows.at(row, 0),
                panels,
                head_dim,
                Reading::Cached,
                &mut acc,
            );
            for p in 0..P {
                for r in 0..R {
                    let mut score = acc[r][p];
                    if T::SCALED {
                        score = simd.mul(score, simd.load(run.groups[group + p].key_scales));
                    }
                    if let Some(cap) = self.layer.soft_cap {
                        score = simd.mul(score, simd.splat(1.0 / cap));
                        score = simd.mul(tanh(simd, score), simd.splat(cap));
                    }
                    let start = (row + r) * TILE_KEYS + (group + p) * LANES;
                    simd.store(self.scratch.scores.as_mut_ptr().add(start), score);
                }
            }
        }
        P
    }

    /// Turns the row's scores into weights, and rescales its state to the new maximum.
    #[inline(always)]
    pub(super) fn softmax<S: Simd>(&mut self, simd: S, row: usize, run: &Run<T>) {
        let keys = self.scratch.places[row].clip(run.tile);
        let state = self.running(row);
        let groups = keys.start / LANES..keys.end.div_ceil(LANES);
        let scores = &mut self.scratch.scores[row * TILE_KEYS..(row + 1) * TILE_KEYS];
        scores[groups.start * LANES..keys.start].fill(f32::NEG_INFINITY);
        scores[keys.end..groups.end * LANES].fill(f32::NEG_INFINITY);
        let ptr = scores.as_mut_ptr();
        let old_max = state.max();
        let mut tile_max = simd.splat(old_max);
        // Groups that the row does not see add zeros, which change no bits.
        let mut sums = [simd.splat(0.0); GROUPS];
        // SAFETY: the row has `GROUPS` vectors, and located groups have 16 scales.
        let new_max = unsafe {
            for group in groups.clone() {
                tile_max = simd.max(simd.load(ptr.add(group * LANES)), tile_max);
            }
            let new_max = simd.max_lane(tile_max);
            for group in groups {
                let score = simd.load(ptr.add(group * LANES));
                let weight = exp(simd, simd.sub(score, simd.splat(new_max)));
                sums[group] = weight;
                let weight = if T::SCALED {
                    simd.mul(weight, simd.load(run.groups[group].value_scales))
                } else {
                    weight
                };
                simd.store(ptr.add(group * LANES), weight);
            }
            new_max
        };
        let sum = simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])));
        if new_max == old_max {
            // The factor would be exactly 1.
            state.set(old_max, state.sum() + sum);
        } else if old_max == f32::NEG_INFINITY {
            // Nothing to rescale yet.
            state.set(new_max, sum);
        } else {
            let decay = exp(simd, simd.splat(old_max - new_max));
            state.scale(simd, decay);
            state.set(new_max, state.sum() * simd.max_lane(decay) + sum);
        }
    }

    /// Adds the run's weighted values to the outputs. Rows of a product share the keys that all of
    /// them see; what is left before and after those is added in its place.
    #[inline(always)]
    pub(super) fn values<S: Simd>(&mut self, simd: S, run: &Run<T>) {
        let panels = padded_head_dim(self.layer.shape.head_dim) / LANES;
        let mut first = run.rows.start;
        while first < run.rows.end {
            let end = run.rows.end.min(first + S::TILE_ROWS.min(MAX_ROWS));
            let shared = self.shared_keys(first..end, run.tile);
            let pieces = if shared.is_empty() { 1 } else { 3 };
            for piece in 0..pieces {
                let mut row = first;
                while row < end {
                    let keys = self.piece(row, piece, &shared, run.tile);
                    let mut next = row + 1;
                    while next < end && self.piece(next, piece, &shared, run.tile) == keys {
                        next += 1;
                    }
                    let mut panel = if keys.is_empty() { panels } else { 0 };
                    while panel < panels {
                        panel += tile!(self.value_tile::<S>(
                            next - row, panels - panel; simd, row, panel, &keys, run
                        ));
                    }
                    row = next;
                }
            }
            first = end;
        }
    }

    /// Keys of the tile that all of the rows see.
    fn shared_keys(&self, rows: Range<usize>, tile: usize) -> Range<usize> {
        let (mut start, mut end) = (0, TILE_KEYS);
        for place in &self.scratch.places[rows] {
            let keys = place.clip(tile);
            start = start.max(keys.start);
            end = end.min(keys.end);
        }
        start..end
    }

    /// The row's keys before those that it shares, those, and the keys after them; all of its keys
    /// if it shares none.
    fn piece(&self, row: usize, piece: usize, shared: &Range<usize>, tile: usize) -> Range<usize> {
        let keys = self.scratch.places[row].clip(tile);
        match piece {
            _ if shared.is_empty() => keys,
            0 => keys.start..shared.start,
            1 => shared.clone(),
            _ => shared.end..keys.end,
        }
    }

    /// `R` rows times `P` panels of value dimensions; returns `P`. Keys outside `keys` are not
    /// touched at all: a slot that was never written may hold anything, and zero times NaN is NaN.
    #[inline(always)]
    fn value_tile<S: Simd, const R: usize, const P: usize>(
        &mut self,
        simd: S,
        row: usize,
        panel: usize,
        keys: &Range<usize>,
        run: &Run<T>,
    ) -> usize {
        let head_dim = self.layer.shape.head_dim;
        let value_dim = padded_head_dim(head_dim);
        let weights = Rows {
            ptr: self.scratch.scores.as_ptr(),
            stride: TILE_KEYS,
        };
        let stride = State::stride(head_dim);
        let outputs = self.running(row).outputs();
        let mut acc = [[simd.splat(0.0); P]; R];
        // SAFETY: the run's rows lie in the scratch, its groups were located and have 16 rows of
        // `value_dim` values.
        unsafe {
            for r in 0..R {
                for p in 0..P {
                    acc[r][p] = simd.load(outputs.add(r * stride + (panel + p) * LANES));
                }
            }
            for group in keys.start / LANES..keys.end.div_ceil(LANES) {
                let start = keys.start.max(group * LANES);
                let end = keys.end.min((group + 1) * LANES);
                let offset = (start - group * LANES) * value_dim + panel * LANES;
                let mut panels = [Panel {
                    ptr: std::ptr::null(),
                    stride: value_dim,
                }; P];
                for p in 0..P {
                    panels[p].ptr = run.groups[group].values.add(offset + p * LANES);
                }
                accumulate(
                    simd,
                    weights.at(row, start),
                    panels,
                    end - start,
                    Reading::Cached,
                    &mut acc,
                );
            }
            for r in 0..R {
                for p in 0..P {
                    simd.store(outputs.add(r * stride + (panel + p) * LANES), acc[r][p]);
                }
            }
        }
        P
    }
}
