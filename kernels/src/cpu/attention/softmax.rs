//! A span's scores become weights.

#![expect(unsafe_code, reason = "vector loads and stores through pointers")]

use std::ops::Range;

use crate::cpu::attention::located::SPAN_VECTORS;
use crate::cpu::attention::scratch::SCORE_STRIDE;
use crate::cpu::attention::state::NO_KEYS;
use crate::cpu::exp::{exp2, tanh};
use crate::cpu::pairs::Bf16Chunk;
use crate::cpu::simd::{Kernel, LANES, Simd};

/// Rows whose maxima are found before the first of their weights is computed, so that the ends of
/// reductions overlap; their scores fit the nearest cache.
const ROWS: usize = 8;

/// Turns the scores of rows into powers of 2 relative to each row's largest.
pub(super) struct Softmax<'a> {
    /// Per row, the keys that it sees; scores of others are not read, up to whole vectors.
    pub(super) seen: &'a [Range<usize>],
    /// `[seen.len(), SCORE_STRIDE]`
    pub(super) scores: &'a mut [f32],
    /// Scores are natural until they are capped.
    pub(super) soft_cap: Option<f32>,
    /// Largest scores, `[seen.len()]`
    pub(super) maxima: &'a mut [f32],
    /// Sums of the weights, `[seen.len()]`
    pub(super) sums: &'a mut [f32],
    /// Where weights go rounded, zeros for keys that a row does not see, `[seen.len()]`; they take
    /// the scores' place if there is no such place.
    pub(super) rounded: Option<&'a mut [Bf16Chunk]>,
}

impl Kernel for Softmax<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for first in (0..self.seen.len()).step_by(ROWS) {
            let rows = first..self.seen.len().min(first + ROWS);
            for row in rows.clone() {
                self.maxima[row] = self.max(simd, row);
            }
            for row in rows {
                self.sums[row] = self.weigh(simd, row);
            }
        }
    }
}

impl Softmax<'_> {
    /// The row's largest score, after capping them and hiding those that it does not see.
    #[inline(always)]
    fn max<S: Simd>(&mut self, simd: S, row: usize) -> f32 {
        let seen = self.seen[row].clone();
        if seen.is_empty() {
            return NO_KEYS;
        }
        let scores = &mut self.scores[row * SCORE_STRIDE..][..SCORE_STRIDE];
        let vectors = vectors(&seen);
        let whole = &mut scores[vectors.start * LANES..vectors.end * LANES];
        if let Some(cap) = self.soft_cap {
            for vector in whole.chunks_exact_mut(LANES) {
                // SAFETY: a chunk is a vector.
                unsafe {
                    let score = simd.mul(simd.load(vector.as_ptr()), simd.splat(1.0 / cap));
                    let cap = simd.splat(cap * std::f32::consts::LOG2_E);
                    simd.store(vector.as_mut_ptr(), simd.mul(tanh(simd, score), cap));
                }
            }
        }
        // Fewer than a vector's lanes: a loop beats a call.
        for score in &mut scores[vectors.start * LANES..seen.start] {
            *score = f32::NEG_INFINITY;
        }
        for score in &mut scores[seen.end..vectors.end * LANES] {
            *score = f32::NEG_INFINITY;
        }
        let mut max = simd.splat(f32::NEG_INFINITY);
        for vector in scores[vectors.start * LANES..vectors.end * LANES].chunks_exact(LANES) {
            // SAFETY: a chunk is a vector. A NaN stays out of the maximum, and becomes a weight.
            max = simd.max(unsafe { simd.load(vector.as_ptr()) }, max);
        }
        simd.max_lane(max)
    }

    /// Makes weights of the row's scores; returns their sum, before they are rounded.
    #[inline(always)]
    fn weigh<S: Simd>(&mut self, simd: S, row: usize) -> f32 {
        let vectors = vectors(&self.seen[row]);
        let scores = &mut self.scores[row * SCORE_STRIDE..][..SCORE_STRIDE];
        let scores = &mut scores[vectors.start * LANES..vectors.end * LANES];
        let max = simd.splat(self.maxima[row]);
        // Vectors that the row does not see would add zeros, which change no bits.
        let mut sum = simd.splat(0.0);
        let Some(rounded) = &mut self.rounded else {
            for vector in scores.chunks_exact_mut(LANES) {
                // SAFETY: a chunk is a vector.
                unsafe {
                    let weight = exp2(simd, simd.sub(simd.load(vector.as_ptr()), max));
                    sum = simd.add(sum, weight);
                    simd.store(vector.as_mut_ptr(), weight);
                }
            }
            return simd.sum(sum);
        };
        let rounded = &mut rounded[row];
        rounded.clear(0..vectors.start);
        rounded.clear(vectors.end..SPAN_VECTORS);
        for (index, vector) in vectors.zip(scores.chunks_exact(LANES)) {
            // SAFETY: a chunk is a vector.
            let score = unsafe { simd.load(vector.as_ptr()) };
            let weight = exp2(simd, simd.sub(score, max));
            sum = simd.add(sum, weight);
            rounded.set(simd, index, weight);
        }
        simd.sum(sum)
    }
}

/// Vectors that hold `keys`.
pub(super) fn vectors(keys: &Range<usize>) -> Range<usize> {
    keys.start / LANES..keys.end.div_ceil(LANES)
}
