//! Products in bfloat16, where those are an instruction: queries and softmax weights are rounded to
//! it, and keys and values are taken as a cache of bfloat16 has them. Sums are in f32, and weights
//! are summed before they are rounded (as in Dao et al., "FlashAttention", 2022).

#![expect(
    unsafe_code,
    reason = "products read and write scratch through pointers"
)]

#[cfg(test)]
mod tests;

use std::ops::Range;

use half::bf16;

use crate::cpu::attention::SPAN_KEYS;
use crate::cpu::attention::item::{Arithmetic, Item, Run};
use crate::cpu::attention::pair_product::{Dots, Multiply, OnTiles, PairProduct};
use crate::cpu::attention::scratch::{SCORE_STRIDE, Scratch};
use crate::cpu::attention::softmax::{Softmax, vectors};
use crate::cpu::kv::KvElement;
use crate::cpu::pairs::{Bf16Chunk, Round, STEP_PAIRS, VECTOR};
use crate::cpu::simd::{Kernel, LANES, Simd};
use crate::cpu::tiles::{TileKernel, Tiles};

/// Panels of keys that are made before the rows meet them: they stay in the L1 cache.
pub(super) const KEY_PANELS: usize = 4;
/// Rows that are so few that adding to their sums in memory costs less than panels of a span's values
/// that do not fit the L1 cache.
const FEW_ROWS: usize = 16;
/// Keys whose values they meet at a time.
const FEW_ROWS_KEYS: usize = 64;
/// Keys of a step of the value product.
const STEP_KEYS: usize = 2 * STEP_PAIRS;

/// An item whose products are in bfloat16.
pub(super) struct PairItem<'a, T>(pub(super) Item<'a, T>);

impl<T: KvElement> Kernel for PairItem<'_, T> {
    const DOTS_BF16: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // Nothing is compiled where nothing is computed in pairs.
        if S::DOTS_BF16 && T::PAIRS {
            self.0.compute(simd, Pairs(Dots));
        } else {
            unreachable!("products are in bfloat16 where those are an instruction");
        }
    }
}

impl<T: KvElement> TileKernel for PairItem<'_, T> {
    #[inline(always)]
    fn run<S: Simd, R: Tiles>(self, simd: S, tiles: &mut R) {
        if T::PAIRS {
            self.0.compute(simd, Pairs(OnTiles::new(tiles)));
        } else {
            unreachable!("elements of this type are multiplied in f32");
        }
    }
}

/// Rows and panels of pairs, and what multiplies them.
struct Pairs<M>(M);

impl<T: KvElement, M: Multiply> Arithmetic<T> for Pairs<M> {
    #[inline(always)]
    fn begin<S: Simd>(&mut self, simd: S, item: &mut Item<'_, T>) {
        let head_dim = item.layer.shape.head_dim;
        let Scratch {
            places,
            queries,
            pairs,
            ..
        } = &mut *item.scratch;
        let rows = queries.chunks_exact(head_dim).take(places.len());
        for (input, chunk) in rows.zip(&mut *pairs.queries) {
            Round { input, chunk }.run(simd);
        }
    }

    #[inline(always)]
    fn scores<S: Simd>(&mut self, simd: S, item: &mut Item<'_, T>, run: &Run<'_, T>) {
        let Scratch {
            seen,
            scores,
            pairs,
            scales,
            ..
        } = &mut *item.scratch;
        if T::SCALED {
            run.located
                .copy_scales(&run.keys, |head| head.key_scales, scales);
        }
        let depth = padded_depth(item.layer.shape.head_dim);
        let panel = depth / 2 * VECTOR;
        let all = vectors(&run.keys);
        for start in all.clone().step_by(KEY_PANELS) {
            let group = start..all.end.min(start + KEY_PANELS);
            for (vector, out) in group.clone().zip(pairs.keys.chunks_exact_mut(panel)) {
                run.located
                    .pair_keys(simd, vector, run.keys.end, scales, out);
            }
            for first in run.rows.clone().step_by(M::ROWS) {
                let rows = first..run.rows.end.min(first + M::ROWS);
                let vectors = vectors(&seen_by(seen, rows.clone(), &run.keys));
                let vectors = vectors.start.max(group.start)..vectors.end.min(group.end);
                if vectors.is_empty() {
                    continue;
                }
                let product = PairProduct {
                    input: &pairs.queries[rows],
                    panels: pairs.keys[(vectors.start - group.start) * panel..].as_ptr(),
                    panel_len: panel,
                    num_panels: vectors.len(),
                    first_step: 0,
                    num_steps: depth / 2 / STEP_PAIRS,
                    sums: scores[first * SCORE_STRIDE + vectors.start * LANES..].as_mut_ptr(),
                    stride: SCORE_STRIDE,
                    goes_on: false,
                };
                // SAFETY: the vectors' panels were written, and the rows have scores for them.
                unsafe { self.0.multiply(simd, &product) };
            }
        }
    }

    #[inline(always)]
    fn weigh<S: Simd>(&mut self, simd: S, item: &mut Item<'_, T>) {
        let Scratch {
            seen,
            scores,
            states,
            pairs,
            ..
        } = &mut *item.scratch;
        simd.outline(Softmax {
            seen,
            scores,
            soft_cap: item.layer.soft_cap,
            maxima: &mut states.span_maxima,
            sums: &mut states.span_sums,
            rounded: Some(&mut pairs.weights),
        });
    }

    #[inline(always)]
    fn values<S: Simd>(&mut self, simd: S, item: &mut Item<'_, T>, run: &Run<'_, T>, split: bool) {
        if T::SCALED {
            run.located.copy_scales(
                &run.keys,
                |head| head.value_scales,
                &mut item.scratch.scales,
            );
        }
        let part = match run.rows.len() {
            ..=FEW_ROWS => FEW_ROWS_KEYS,
            _ => SPAN_KEYS,
        };
        for start in (run.keys.start / part * part..run.keys.end).step_by(part) {
            let keys = clip(&(start..start + part), &run.keys);
            let goes_on = split || keys.start > run.keys.start;
            let finite = pair_values(simd, item, run, &keys);
            let seen = &item.scratch.seen[run.rows.clone()];
            let alike = |seen: &Range<usize>| clip(seen, &keys) == keys;
            if finite || seen.iter().all(alike) {
                for first in run.rows.clone().step_by(M::ROWS) {
                    let rows = first..run.rows.end.min(first + M::ROWS);
                    self.outputs(simd, item.scratch, rows, &keys, goes_on);
                }
                continue;
            }
            // A key that some rows do not see has a value that is not finite, and zero times that is
            // not zero: every row by itself, with zeros for what it does not see.
            for row in run.rows.clone() {
                let keys = clip(&item.scratch.seen[row], &keys);
                pair_values(simd, item, run, &keys);
                self.outputs(simd, item.scratch, row..row + 1, &keys, goes_on);
            }
        }
        if !split {
            item.scratch.states.join_outputs(simd, run.rows.clone());
        }
    }
}

impl<M: Multiply> Pairs<M> {
    /// The span's weighted values of `rows`, over those of `keys` that one of them sees.
    #[inline(always)]
    fn outputs<S: Simd>(
        &mut self,
        simd: S,
        scratch: &mut Scratch,
        rows: Range<usize>,
        keys: &Range<usize>,
        goes_on: bool,
    ) {
        let Scratch {
            seen,
            states,
            pairs,
            ..
        } = scratch;
        let written = keys.start / STEP_KEYS;
        let keys = seen_by(seen, rows.clone(), keys);
        // Where none is seen, nothing may have been written.
        let steps = match keys.is_empty() {
            true => written..written,
            false => keys.start / STEP_KEYS..keys.end.div_ceil(STEP_KEYS),
        };
        let value_dim = states.value_dim;
        let product = PairProduct {
            input: &pairs.weights[rows.clone()],
            panels: step_zero(pairs.values.as_ptr(), written),
            panel_len: VALUE_PANEL,
            num_panels: value_dim / LANES,
            first_step: steps.start,
            num_steps: steps.len(),
            sums: states.partial_outputs[rows.start * value_dim..].as_mut_ptr(),
            stride: value_dim,
            goes_on,
        };
        // SAFETY: these steps of the panels were written, and the rows have outputs.
        unsafe { self.0.multiply(simd, &product) };
    }
}

/// Elements of a panel of values; not a whole number of pages, which would fall into the same few
/// sets of the caches.
pub(super) const VALUE_PANEL: usize = SPAN_KEYS / 2 * VECTOR + STEP_PAIRS * VECTOR;

/// Where step 0 of a panel would lie whose step `step` lies at `panel`.
#[inline(always)]
fn step_zero(panel: *const bf16, step: usize) -> *const bf16 {
    panel.wrapping_sub(step * STEP_PAIRS * VECTOR)
}

/// `head_dim`, filled up to whole tiles.
pub(super) fn padded_depth(head_dim: usize) -> usize {
    head_dim.next_multiple_of(2 * STEP_PAIRS)
}

/// Makes panels of the values of `keys`, whose scales were copied; whether all are finite.
#[inline(always)]
fn pair_values<S: Simd, T: KvElement>(
    simd: S,
    item: &mut Item<'_, T>,
    run: &Run<'_, T>,
    keys: &Range<usize>,
) -> bool {
    let Scratch { pairs, scales, .. } = &mut *item.scratch;
    run.located
        .pair_values(simd, keys, scales, &mut pairs.values)
}

/// Of `keys` those that one of `rows` sees.
#[inline(always)]
fn seen_by(seen: &[Range<usize>], rows: Range<usize>, keys: &Range<usize>) -> Range<usize> {
    let mut by_some = keys.end..keys.start;
    for seen in &seen[rows] {
        let seen = clip(seen, keys);
        if !seen.is_empty() {
            by_some = by_some.start.min(seen.start)..by_some.end.max(seen.end);
        }
    }
    match by_some.is_empty() {
        true => keys.start..keys.start,
        false => by_some,
    }
}

/// What `seen` has of `keys`.
#[inline(always)]
fn clip(seen: &Range<usize>, keys: &Range<usize>) -> Range<usize> {
    seen.start.max(keys.start)..seen.end.min(keys.end)
}

const _: () = assert!(SPAN_KEYS == Bf16Chunk::LEN, "a row's weights are a chunk");
