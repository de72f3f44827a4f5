//! Products in f32.

use std::ops::Range;

use crate::cpu::attention::SPAN_KEYS;
use crate::cpu::attention::item::{Arithmetic, Item, Run};
use crate::cpu::attention::located::{KeyPanels, SPAN_VECTORS, ValuePanels};
use crate::cpu::attention::scores::Scores;
use crate::cpu::attention::scratch::{RowTile, SCORE_STRIDE, Scratch};
use crate::cpu::attention::softmax::{Softmax, vectors};
use crate::cpu::attention::values::{Outputs, Values};
use crate::cpu::kv::KvElement;
use crate::cpu::simd::{Kernel, LANES, Simd};
use crate::cpu::tile::Rows;

/// Most rows of a product.
const MAX_ROWS: usize = 6;
/// Most rows that read the cache itself, each product widening what it reads; more rows read panels
/// that are widened once.
const DIRECT_ROWS: usize = 4;

/// An item whose products are in f32.
pub(super) struct FloatItem<'a, T>(pub(super) Item<'a, T>);

impl<T: KvElement> Kernel for FloatItem<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.0.compute(simd, Floats);
    }
}

/// Vectors of f32, with elements of the cache widened.
struct Floats;

impl<T: KvElement> Arithmetic<T> for Floats {
    #[inline(always)]
    fn begin<S: Simd>(&mut self, _simd: S, _item: &mut Item<'_, T>) {}

    #[inline(always)]
    fn scores<S: Simd>(&mut self, simd: S, item: &mut Item<'_, T>, run: &Run<'_, T>) {
        cut::<S, T>(item.scratch, run);
        let head_dim = item.layer.shape.head_dim;
        let Scratch {
            tiles,
            queries,
            scores,
            wide,
            scales,
            ..
        } = &mut *item.scratch;
        let queries = Rows {
            ptr: queries.as_ptr(),
            stride: head_dim,
        };
        if T::SCALED {
            run.located
                .copy_scales(&run.keys, |head| head.key_scales, scales);
        }
        let scales = T::SCALED.then_some(&**scales);
        let scores = scores.as_mut_ptr();
        let vectors = vectors(&run.keys);
        if is_direct(run) {
            simd.outline(Scores::<T, DIRECT_ROWS> {
                tiles,
                queries,
                head_dim,
                vectors,
                panels: &run.located.keys(&run.keys),
                scales,
                scores,
                streamed: Some(&run.located.values(&run.keys)),
            });
            return;
        }
        let mut panels = KeyPanels {
            ptrs: [std::ptr::null(); SPAN_VECTORS],
            stride: LANES,
        };
        for start in vectors.clone().step_by(S::TILE_PANELS) {
            let vectors = start..vectors.end.min(start + S::TILE_PANELS);
            let keys = wide.keys.chunks_exact_mut(head_dim * LANES);
            for (vector, keys) in vectors.clone().zip(keys) {
                run.located.widen_keys(simd, vector, run.keys.end, keys);
                panels.ptrs[vector] = keys.as_ptr();
            }
            simd.outline(Scores::<f32, MAX_ROWS> {
                tiles,
                queries,
                head_dim,
                vectors,
                panels: &panels,
                scales,
                scores,
                streamed: None,
            });
        }
    }

    #[inline(always)]
    fn weigh<S: Simd>(&mut self, simd: S, item: &mut Item<'_, T>) {
        let states = &mut item.scratch.states;
        simd.outline(Softmax {
            seen: &item.scratch.seen,
            scores: &mut item.scratch.scores,
            soft_cap: item.layer.soft_cap,
            maxima: &mut states.span_maxima,
            sums: &mut states.span_sums,
            rounded: None,
        });
    }

    #[inline(always)]
    fn values<S: Simd>(&mut self, simd: S, item: &mut Item<'_, T>, run: &Run<'_, T>, split: bool) {
        cut::<S, T>(item.scratch, run);
        let Scratch {
            tiles,
            seen,
            scores,
            states,
            wide,
            scales,
            ..
        } = &mut *item.scratch;
        if T::SCALED {
            run.located
                .copy_scales(&run.keys, |head| head.value_scales, scales);
            scale_weights(run, seen, scales, scores);
        }
        let value_dim = states.value_dim;
        let outputs = if split {
            Outputs::Continue(states.partial_outputs.as_mut_ptr())
        } else {
            Outputs::Join {
                outputs: states.outputs.as_mut_ptr(),
                factors: &states.factors,
                span_factors: &states.span_factors,
            }
        };
        let panels = 0..value_dim / LANES;
        let weights = scores.as_ptr();
        if is_direct(run) {
            simd.outline(Values::<T, DIRECT_ROWS> {
                tiles,
                weights,
                seen,
                keys: run.keys.clone(),
                panels,
                values: &run.located.values(&run.keys),
                value_dim,
                outputs,
            });
            return;
        }
        for start in panels.clone().step_by(S::TILE_PANELS) {
            let panels = start..panels.end.min(start + S::TILE_PANELS);
            let values = wide.values.chunks_exact_mut(SPAN_KEYS * LANES);
            for (panel, values) in panels.clone().zip(values) {
                run.located.widen_values(simd, panel, &run.keys, values);
            }
            simd.outline(Values::<f32, MAX_ROWS> {
                tiles,
                weights,
                seen,
                keys: run.keys.clone(),
                panels,
                values: &ValuePanels {
                    ptrs: [wide.values.as_ptr(); SPAN_VECTORS],
                    run: SPAN_KEYS,
                    stride: LANES,
                    panel: SPAN_KEYS * LANES,
                },
                value_dim,
                outputs,
            });
        }
    }
}

/// Multiplies the weights of the run's rows by the scales of the values.
#[inline(always)]
fn scale_weights<T>(run: &Run<'_, T>, seen: &[Range<usize>], scales: &[f32], weights: &mut [f32]) {
    for row in run.rows.clone() {
        let weights = &mut weights[row * SCORE_STRIDE..][..SPAN_KEYS];
        let seen = seen[row].start.max(run.keys.start)..seen[row].end.min(run.keys.end);
        let scales = &scales[seen.clone()];
        for (weight, scale) in weights[seen].iter_mut().zip(scales) {
            *weight *= scale;
        }
    }
}

/// Whether products read the cache itself.
fn is_direct<T: KvElement>(run: &Run<'_, T>) -> bool {
    run.rows.len() <= DIRECT_ROWS && run.located.layer.kv.has_panels()
}

/// Cuts the run's rows into tiles of about the same height.
#[inline(always)]
fn cut<S: Simd, T>(scratch: &mut Scratch, run: &Run<'_, T>) {
    let Scratch { tiles, seen, .. } = scratch;
    tiles.clear();
    let mut left = run.rows.len().div_ceil(S::TILE_ROWS.min(MAX_ROWS));
    let mut first = run.rows.start;
    while left > 0 {
        let count = (run.rows.end - first).div_ceil(left);
        let mut tile = RowTile {
            first,
            count,
            seen: run.keys.end..run.keys.start,
            shared: run.keys.clone(),
        };
        for seen in &seen[first..first + count] {
            let (start, end) = (seen.start.max(run.keys.start), seen.end.min(run.keys.end));
            tile.seen = tile.seen.start.min(start)..tile.seen.end.max(end);
            tile.shared = tile.shared.start.max(start)..tile.shared.end.min(end);
        }
        tiles.push(tile);
        first += count;
        left -= 1;
    }
}
