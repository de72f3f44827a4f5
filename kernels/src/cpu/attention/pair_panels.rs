//! Panels of pairs, made of the keys and values of a span.

#![expect(unsafe_code, reason = "reads rows of the cache through pointers")]

use std::ops::Range;

use half::bf16;

use crate::cpu::attention::SPAN_KEYS;
use crate::cpu::attention::located::Located;
use crate::cpu::attention::pairs::VALUE_PANEL;
use crate::cpu::kv::{KvElement, padded_head_dim};
use crate::cpu::pairs::{Bf16Chunk, STEP_PAIRS, VECTOR};
use crate::cpu::simd::{LANES, Simd, to_bf16};

/// Keys whose values are asked for before their turn: about what memory takes.
const AHEAD_KEYS: usize = 16;
/// Panels of values that are made side by side.
const ZIPPED_PANELS: usize = 4;
/// Bytes that arrive at once.
const CACHE_LINE: usize = 64;

impl<T: KvElement> Located<'_, T> {
    /// Pairs of the elements of vector `vector` of keys, of those before key `end`, into `out`
    /// `[head_dim / 2][16][2]`. `scales` `[SPAN_KEYS]` are read where elements are scaled.
    #[inline(always)]
    pub(super) fn pair_keys<S: Simd>(
        &self,
        simd: S,
        vector: usize,
        end: usize,
        scales: &[f32],
        out: &mut [bf16],
    ) {
        let block_size = self.layer.kv.shape().block_size;
        let head_dim = self.layer.shape.head_dim;
        if !self.layer.kv.has_panels() {
            for key in vector * LANES..end.min((vector + 1) * LANES) {
                let (head, offset) = self.block(key);
                let at = self.layer.kv.key_position(offset);
                for (d, row) in head.keys.chunks_exact(block_size).enumerate() {
                    let scale = if T::SCALED { scales[key] } else { 1.0 };
                    let element = to_bf16(row[at].widen() * scale);
                    out[d / 2 * VECTOR + key % LANES * 2 + d % 2] = element;
                }
            }
            return;
        }
        let panel = |key: usize| {
            let (head, offset) = self.block(key);
            head.keys[offset..].as_ptr()
        };
        let keys = panel(vector * LANES);
        // What comes after these.
        let next = (vector + 1) * LANES;
        let next = if next < end { panel(next) } else { keys };
        let scales = match T::SCALED {
            // SAFETY: a vector of the span's scales.
            true => unsafe { simd.load(scales[vector * LANES..][..LANES].as_ptr()) },
            false => simd.splat(1.0),
        };
        // Rows of 16 keys begin `block_size` elements apart.
        assert!(out.len() >= head_dim.div_ceil(2) * VECTOR);
        let mut out = out.as_mut_ptr();
        let (mut row, mut next) = (keys, next);
        // SAFETY: the block has `head_dim` rows of `block_size` keys, a multiple of 16, and the
        // assertion counted what is written.
        unsafe {
            for _ in 0..head_dim / 2 {
                simd.prefetch(next.cast());
                simd.prefetch(next.wrapping_add(block_size).cast());
                let pairs = T::zip(simd, [row, row.add(block_size)], [scales; 2]);
                simd.store_pairs(out.cast(), pairs);
                row = row.wrapping_add(2 * block_size);
                next = next.wrapping_add(2 * block_size);
                out = out.wrapping_add(VECTOR);
            }
            if !head_dim.is_multiple_of(2) {
                let zeros = [T::encode(0.0, 0.0); LANES];
                let pairs = T::zip(simd, [row, zeros.as_ptr()], [scales; 2]);
                simd.store_pairs(out.cast(), pairs);
            }
        }
    }

    /// Pairs of the values of `keys`, into panels `out`, from the first step on that has one of them:
    /// zeros for other keys of these steps. `scales` `[SPAN_KEYS]` are read where elements are scaled.
    /// Returns whether all are finite.
    #[inline(always)]
    pub(super) fn pair_values<S: Simd>(
        &self,
        simd: S,
        keys: &Range<usize>,
        scales: &[f32],
        out: &mut [bf16],
    ) -> bool {
        let value_dim = padded_head_dim(self.layer.shape.head_dim);
        let no_key = [T::encode(0.0, 0.0); Bf16Chunk::LEN];
        let mut rows = [no_key.as_ptr(); SPAN_KEYS + AHEAD_KEYS];
        self.value_rows(keys, &mut rows);
        let step = 2 * STEP_PAIRS;
        let pairs = keys.start / step * STEP_PAIRS..keys.end.div_ceil(step) * STEP_PAIRS;
        assert!(out.len() >= value_dim / LANES * VALUE_PANEL && pairs.end <= SPAN_KEYS / 2);
        let first = pairs.start;
        // Zero times what is finite, in sums that do not wait for each other.
        let mut zeros = [simd.splat(0.0); ZIPPED_PANELS];
        for pair in pairs {
            let (low, high) = (2 * pair, 2 * pair + 1);
            for line in (0..value_dim * size_of::<T>()).step_by(CACHE_LINE) {
                simd.prefetch(rows[low + AHEAD_KEYS].wrapping_byte_add(line).cast());
                simd.prefetch(rows[high + AHEAD_KEYS].wrapping_byte_add(line).cast());
            }
            let mut scale = [simd.splat(0.0); 2];
            if T::SCALED {
                for (scale, key) in scale.iter_mut().zip([low, high]) {
                    if keys.contains(&key) {
                        *scale = simd.splat(scales[key]);
                    }
                }
            }
            let mut at = [rows[low], rows[high]];
            let mut out = out.as_mut_ptr().wrapping_add((pair - first) * VECTOR);
            let mut left = value_dim / LANES;
            // SAFETY: rows have `value_dim` elements, at most those of the row of zeros, and the
            // assertion counted what is written.
            unsafe {
                while left >= ZIPPED_PANELS {
                    zip_panels::<S, T, ZIPPED_PANELS>(simd, &mut at, scale, &mut out, &mut zeros);
                    left -= ZIPPED_PANELS;
                }
                while left > 0 {
                    zip_panels::<S, T, 1>(simd, &mut at, scale, &mut out, &mut zeros);
                    left -= 1;
                }
            }
        }
        let [a, b, c, d] = zeros;
        simd.sum(simd.add(simd.add(a, b), simd.add(c, d))) == 0.0
    }

    /// Where the values of `keys` lie.
    #[inline(always)]
    fn value_rows(&self, keys: &Range<usize>, rows: &mut [*const T]) {
        let value_dim = padded_head_dim(self.layer.shape.head_dim);
        for (keys, head, offset) in self.blocks(keys) {
            let values = head.values[offset * value_dim..].chunks_exact(value_dim);
            for (row, value) in rows[keys].iter_mut().zip(values) {
                *row = value.as_ptr();
            }
        }
    }
}

/// Pairs of two keys' values for `P` panels, from `rows` to `out`, which both move on; zero times each
/// is added to `zeros`.
///
/// # Safety
/// As many elements are readable and writable.
#[inline(always)]
unsafe fn zip_panels<S: Simd, T: KvElement, const P: usize>(
    simd: S,
    rows: &mut [*const T; 2],
    scales: [S::Vector; 2],
    out: &mut *mut bf16,
    zeros: &mut [S::Vector; ZIPPED_PANELS],
) {
    for zero in &mut zeros[..P] {
        // SAFETY: the caller's promise.
        unsafe {
            let values = T::zip(simd, *rows, scales);
            *zero = simd.dot_bf16(*zero, values, simd.splat_pair(0));
            simd.store_pairs(out.cast(), values);
        }
        *rows = [rows[0].wrapping_add(LANES), rows[1].wrapping_add(LANES)];
        *out = out.wrapping_add(VALUE_PANEL);
    }
}
