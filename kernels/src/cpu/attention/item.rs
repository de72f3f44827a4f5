//! One item: some rows of one sequence and one KV head.

#![expect(
    unsafe_code,
    reason = "tiles of the cache and the scratch are read through pointers"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count rows and panels of a tile"
)]

use std::ops::Range;

use crate::cpu::attention::keys::{GROUPS, KeyGroup, locate};
use crate::cpu::attention::{ITEM_ROWS, Layer, Scratch, TILE_KEYS};
use crate::cpu::exp::exp;
use crate::cpu::kv::padded_head_dim;
use crate::cpu::simd::{Kernel, LANES, Simd};
use crate::cpu::tile::{Panel, Reading, Rows, accumulate};

/// Rows `rows` of sequence `seq` and KV head `kv_head`; row `i` is head `i % group` of the group,
/// of the sequence's query `i / group`.
pub(super) struct Item<'a> {
    pub(super) layer: Layer<'a>,
    pub(super) seq: usize,
    pub(super) kv_head: usize,
    pub(super) rows: Range<usize>,
    pub(super) scratch: &'a mut Scratch,
    /// `[num_tokens, num_q_heads * head_dim]`; only this item touches its rows' heads.
    pub(super) out: *mut f32,
}

/// Rows of an item that see the same keys of a tile.
struct Run {
    /// Counted from the item's first row.
    rows: Range<usize>,
    /// Counted from the tile's first key.
    keys: Range<usize>,
}

impl Kernel for Item<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.begin();
        let mut visible = [const { 0..0 }; ITEM_ROWS];
        for (row, visible) in visible.iter_mut().enumerate().take(self.rows.len()) {
            *visible = self.visible(row);
        }
        let rows = &visible[..self.rows.len()];
        let visible = rows[0].start..rows[rows.len() - 1].end;
        let first_tile = visible.start / TILE_KEYS;
        for tile in first_tile..visible.end.div_ceil(TILE_KEYS) {
            let start = tile * TILE_KEYS;
            let end = visible.end.min(start + TILE_KEYS);
            let (keys, values) = (&mut self.scratch.keys, &mut self.scratch.values);
            let groups = locate(
                &self.layer,
                self.seq,
                self.kv_head,
                start,
                end,
                keys,
                values,
            );
            let mut row = 0;
            while row < self.rows.len() {
                let run = run_from(rows, row, start);
                row = run.rows.end;
                if run.keys.is_empty() {
                    continue;
                }
                self.scores(simd, &run, &groups);
                for row in run.rows.clone() {
                    self.softmax(simd, row, &run.keys);
                }
                self.values(simd, &run, &groups);
            }
        }
        self.finish(simd);
    }
}

impl Item<'_> {
    /// Positions that row `row` sees.
    fn visible(&self, row: usize) -> Range<usize> {
        let query = (self.rows.start + row) / self.layer.group();
        let query_len = self.layer.batch.query_range(self.seq).len();
        let position = self.layer.batch.context_lens[self.seq] as usize - query_len + query;
        let window = self.layer.window.unwrap_or(usize::MAX);
        (position + 1).saturating_sub(window)..position + 1
    }

    /// Gathers the scaled queries and empties the running state.
    fn begin(&mut self) {
        let head_dim = self.layer.shape.head_dim;
        for row in 0..self.rows.len() {
            let (token, head) = self.token_and_head(row);
            let start = token * self.layer.shape.row_size() + head * head_dim;
            let query = &self.layer.qkv[start..start + head_dim];
            let scaled = &mut self.scratch.queries[row * head_dim..(row + 1) * head_dim];
            for (scaled, x) in scaled.iter_mut().zip(query) {
                *scaled = x * self.layer.scale;
            }
        }
        self.scratch.outputs.fill(0.0);
        self.scratch.max.fill(f32::NEG_INFINITY);
        self.scratch.sum.fill(0.0);
    }

    /// The row's place on the token axis and its query head.
    fn token_and_head(&self, row: usize) -> (usize, usize) {
        let (group, row) = (self.layer.group(), self.rows.start + row);
        let token = self.layer.batch.query_range(self.seq).start + row / group;
        (token, self.kv_head * group + row % group)
    }

    /// Scores of the run's rows for the groups of keys that it touches.
    #[inline(always)]
    fn scores<S: Simd>(&mut self, simd: S, run: &Run, groups: &[KeyGroup; GROUPS]) {
        let mut row = run.rows.start;
        while row < run.rows.end {
            let count = S::TILE_ROWS.min(run.rows.end - row);
            let mut group = run.keys.start / LANES;
            let end = run.keys.end.div_ceil(LANES);
            while group < end {
                group += match (count, end - group) {
                    (1, 4..) => self.score_tile::<S, 1, 4>(simd, row, group, groups),
                    (1, _) => self.score_tile::<S, 1, 1>(simd, row, group, groups),
                    (2, 2..) => self.score_tile::<S, 2, 2>(simd, row, group, groups),
                    (2, _) => self.score_tile::<S, 2, 1>(simd, row, group, groups),
                    (3, _) => self.score_tile::<S, 3, 1>(simd, row, group, groups),
                    (4, _) => self.score_tile::<S, 4, 1>(simd, row, group, groups),
                    (5, _) => self.score_tile::<S, 5, 1>(simd, row, group, groups),
                    _ => self.score_tile::<S, 6, 1>(simd, row, group, groups),
                };
            }
            row += count.min(6);
        }
    }

    /// `R` rows times `P` groups of keys; returns `P`.
    #[inline(always)]
    fn score_tile<S: Simd, const R: usize, const P: usize>(
        &mut self,
        simd: S,
        row: usize,
        group: usize,
        groups: &[KeyGroup; GROUPS],
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
            let located = groups[group + p];
            panels[p] = Panel {
                ptr: located.keys,
                stride: located.key_stride,
            };
        }
        let mut acc = [[simd.splat(0.0); P]; R];
        // SAFETY: the run's rows lie in the scratch, its groups were located and have `head_dim`
        // rows of 16 keys.
        unsafe {
            accumulate(
                simd,
                rows.at(row, 0),
                panels,
                head_dim,
                Reading::Cached,
                &mut acc,
            );
            for r in 0..R {
                for p in 0..P {
                    let start = (row + r) * TILE_KEYS + (group + p) * LANES;
                    simd.store(self.scratch.scores.as_mut_ptr().add(start), acc[r][p]);
                }
            }
        }
        P
    }

    /// Turns the row's scores into weights, and rescales its state to the new maximum.
    #[inline(always)]
    fn softmax<S: Simd>(&mut self, simd: S, row: usize, keys: &Range<usize>) {
        let scratch = &mut *self.scratch;
        let scores = &mut scratch.scores[row * TILE_KEYS..(row + 1) * TILE_KEYS];
        scores[..keys.start].fill(f32::NEG_INFINITY);
        scores[keys.end..].fill(f32::NEG_INFINITY);
        let ptr = scores.as_mut_ptr();
        let old_max = scratch.max[row];
        let mut tile_max = simd.splat(old_max);
        let mut sums = [simd.splat(0.0); GROUPS];
        // SAFETY: the row has `GROUPS` vectors.
        let new_max = unsafe {
            for group in 0..GROUPS {
                tile_max = simd.max(simd.load(ptr.add(group * LANES)), tile_max);
            }
            let new_max = simd.max_lane(tile_max);
            for group in 0..GROUPS {
                let score = simd.load(ptr.add(group * LANES));
                sums[group] = exp(simd, simd.sub(score, simd.splat(new_max)));
                simd.store(ptr.add(group * LANES), sums[group]);
            }
            new_max
        };
        let sum = simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])));
        if new_max == old_max {
            // The factor would be exactly 1.
            scratch.sum[row] += sum;
            return;
        }
        let decay = exp(simd, simd.splat(old_max - new_max));
        let mut lanes = [0.0f32; LANES];
        let value_dim = scratch.outputs.len() / scratch.max.len();
        let outputs = &mut scratch.outputs[row * value_dim..(row + 1) * value_dim];
        // SAFETY: `lanes` has 16 elements, and a row of outputs is whole vectors.
        unsafe {
            simd.store(lanes.as_mut_ptr(), decay);
            for output in outputs.chunks_exact_mut(LANES) {
                let scaled = simd.mul(simd.load(output.as_ptr()), decay);
                simd.store(output.as_mut_ptr(), scaled);
            }
        }
        scratch.max[row] = new_max;
        scratch.sum[row] = scratch.sum[row] * lanes[0] + sum;
    }

    /// Adds the run's weighted values to the outputs.
    #[inline(always)]
    fn values<S: Simd>(&mut self, simd: S, run: &Run, groups: &[KeyGroup; GROUPS]) {
        let panels = padded_head_dim(self.layer.shape.head_dim) / LANES;
        let keys = &run.keys;
        let mut row = run.rows.start;
        while row < run.rows.end {
            let count = S::TILE_ROWS.min(run.rows.end - row);
            let mut panel = 0;
            while panel < panels {
                panel += match (count, panels - panel) {
                    (1, 4..) => self.value_tile::<S, 1, 4>(simd, row, panel, keys, groups),
                    (1, _) => self.value_tile::<S, 1, 1>(simd, row, panel, keys, groups),
                    (2, 2..) => self.value_tile::<S, 2, 2>(simd, row, panel, keys, groups),
                    (2, _) => self.value_tile::<S, 2, 1>(simd, row, panel, keys, groups),
                    (3, _) => self.value_tile::<S, 3, 1>(simd, row, panel, keys, groups),
                    (4, _) => self.value_tile::<S, 4, 1>(simd, row, panel, keys, groups),
                    (5, _) => self.value_tile::<S, 5, 1>(simd, row, panel, keys, groups),
                    _ => self.value_tile::<S, 6, 1>(simd, row, panel, keys, groups),
                };
            }
            row += count.min(6);
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
        groups: &[KeyGroup; GROUPS],
    ) -> usize {
        let value_dim = padded_head_dim(self.layer.shape.head_dim);
        let weights = Rows {
            ptr: self.scratch.scores.as_ptr(),
            stride: TILE_KEYS,
        };
        let outputs = self.scratch.outputs.as_mut_ptr();
        let mut acc = [[simd.splat(0.0); P]; R];
        // SAFETY: the run's rows lie in the scratch, its groups were located and have 16 rows of
        // `value_dim` values.
        unsafe {
            for r in 0..R {
                for p in 0..P {
                    let start = (row + r) * value_dim + (panel + p) * LANES;
                    acc[r][p] = simd.load(outputs.add(start));
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
                    panels[p].ptr = groups[group].values.add(offset + p * LANES);
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
                    let start = (row + r) * value_dim + (panel + p) * LANES;
                    simd.store(outputs.add(start), acc[r][p]);
                }
            }
        }
        P
    }

    /// Divides by the sums and writes the outputs.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S) {
        let head_dim = self.layer.shape.head_dim;
        let value_dim = padded_head_dim(head_dim);
        for row in 0..self.rows.len() {
            let (token, head) = self.token_and_head(row);
            let sum = simd.splat(self.scratch.sum[row]);
            let outputs = &mut self.scratch.outputs[row * value_dim..(row + 1) * value_dim];
            // SAFETY: a row of outputs is whole vectors; `Layer::check` made sure of the output's
            // size, and this row's head is this item's alone.
            unsafe {
                for output in outputs.chunks_exact_mut(LANES) {
                    let normalised = simd.div(simd.load(output.as_ptr()), sum);
                    simd.store(output.as_mut_ptr(), normalised);
                }
                let to = self
                    .out
                    .add(token * self.layer.shape.q_size() + head * head_dim);
                std::ptr::copy_nonoverlapping(outputs.as_ptr(), to, head_dim);
            }
        }
    }
}

/// The longest run from row `row` on, for the tile that begins at position `start`; `rows` are the
/// positions that the item's rows see.
fn run_from(rows: &[Range<usize>], row: usize, start: usize) -> Run {
    let clip = |position: usize| position.saturating_sub(start).min(TILE_KEYS);
    let keys = |visible: &Range<usize>| clip(visible.start)..clip(visible.end);
    let first = keys(&rows[row]);
    let len = rows[row..]
        .iter()
        .take_while(|next| keys(next) == first)
        .count();
    Run {
        rows: row..row + len,
        keys: first,
    }
}
