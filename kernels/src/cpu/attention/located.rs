//! Where keys and values of a span lie, and how products read them.

#![expect(unsafe_code, reason = "widens panels of the cache through pointers")]

use std::ops::Range;

use crate::cpu::attention::softmax::vectors;
use crate::cpu::attention::{Layer, SPAN_KEYS};
use crate::cpu::kv::{BlockHead, KvElement, padded_head_dim};
use crate::cpu::simd::{LANES, Simd};

/// Vectors of keys in a span.
pub(super) const SPAN_VECTORS: usize = SPAN_KEYS / LANES;

/// The keys of a span that a sequence's KV head has.
#[derive(Clone, Copy)]
pub(super) struct Located<'a, T> {
    pub(super) layer: &'a Layer<'a, T>,
    pub(super) table: &'a [u32],
    pub(super) kv_head: usize,
    /// Position of the span's first key.
    pub(super) start: usize,
}

/// Panels of keys: row `d` of vector `i` of the span begins at `ptrs[i] + d * stride`.
pub(super) struct KeyPanels<T> {
    pub(super) ptrs: [*const T; SPAN_VECTORS],
    pub(super) stride: usize,
}

/// Panels of values: dimensions `16 p` and on of key `k` of the span begin at
/// `ptrs[k / run] + k % run * stride + p * panel`.
pub(super) struct ValuePanels<T> {
    pub(super) ptrs: [*const T; SPAN_VECTORS],
    /// Keys that lie one after the other.
    pub(super) run: usize,
    pub(super) stride: usize,
    pub(super) panel: usize,
}

/// Keys of a span, block by block: those of a block, the block, and the place of the first there.
pub(super) struct Blocks<'l, 'a, T> {
    located: &'l Located<'a, T>,
    left: Range<usize>,
}

impl<'a, T: KvElement> Located<'a, T> {
    /// The block that holds key `key` of the span, and the key's place there.
    #[inline(always)]
    pub(super) fn block(&self, key: usize) -> (BlockHead<'a, T>, usize) {
        let block_size = self.layer.kv.shape().block_size;
        let position = self.start + key;
        let block = self.table[position / block_size] as usize;
        let head = self
            .layer
            .kv
            .block_head(self.layer.layer, block, self.kv_head);
        (head, position % block_size)
    }

    /// The blocks that hold `keys` of the span.
    #[inline(always)]
    pub(super) fn blocks(&self, keys: &Range<usize>) -> Blocks<'_, 'a, T> {
        Blocks {
            located: self,
            left: keys.clone(),
        }
    }

    /// The keys in the cache itself, where 16 keys of a block are a panel; `keys` of the span.
    #[inline(always)]
    pub(super) fn keys(&self, keys: &Range<usize>) -> KeyPanels<T> {
        let mut ptrs = [std::ptr::null(); SPAN_VECTORS];
        for vector in vectors(keys) {
            let (head, offset) = self.block(vector * LANES);
            ptrs[vector] = head.keys[offset..].as_ptr();
        }
        let stride = self.layer.kv.shape().block_size;
        KeyPanels { ptrs, stride }
    }

    /// The values in the cache itself, as [`Self::keys`].
    #[inline(always)]
    pub(super) fn values(&self, keys: &Range<usize>) -> ValuePanels<T> {
        let value_dim = padded_head_dim(self.layer.shape.head_dim);
        let mut ptrs = [std::ptr::null(); SPAN_VECTORS];
        for vector in vectors(keys) {
            let (head, offset) = self.block(vector * LANES);
            ptrs[vector] = head.values[offset * value_dim..].as_ptr();
        }
        ValuePanels {
            ptrs,
            run: LANES,
            stride: value_dim,
            panel: LANES,
        }
    }

    /// Widens the keys of vector `vector` of the span that come before key `end` into `wide`
    /// `[head_dim, LANES]`.
    #[inline(always)]
    pub(super) fn widen_keys<S: Simd>(&self, simd: S, vector: usize, end: usize, wide: &mut [f32]) {
        let block_size = self.layer.kv.shape().block_size;
        if self.layer.kv.has_panels() {
            let panel = |key: usize| {
                let (head, offset) = self.block(key);
                head.keys[offset..].as_ptr()
            };
            let ptr = panel(vector * LANES);
            // What is widened after the products that read this.
            let next = (vector + S::TILE_PANELS) * LANES;
            let next = if next < end { panel(next) } else { ptr };
            for (d, wide) in wide.chunks_exact_mut(LANES).enumerate() {
                let row = d * block_size;
                simd.prefetch(next.wrapping_add(row).cast());
                // SAFETY: the block has `head_dim` rows of `block_size` keys, a multiple of 16, and
                // the chunk has 16 elements.
                unsafe { simd.store(wide.as_mut_ptr(), T::load(simd, ptr.add(row))) };
            }
            return;
        }
        for key in vector * LANES..end.min((vector + 1) * LANES) {
            let (head, offset) = self.block(key);
            let at = self.layer.kv.key_position(offset);
            let rows = head.keys.chunks_exact(block_size);
            for (row, wide) in rows.zip(wide.chunks_exact_mut(LANES)) {
                wide[key % LANES] = row[at].widen();
            }
        }
    }

    /// Widens dimensions `16 panel` and on of the values of `keys` of the span into `wide`
    /// `[SPAN_KEYS, LANES]`.
    #[inline(always)]
    pub(super) fn widen_values<S: Simd>(
        &self,
        simd: S,
        panel: usize,
        keys: &Range<usize>,
        wide: &mut [f32],
    ) {
        let value_dim = padded_head_dim(self.layer.shape.head_dim);
        for (keys, head, offset) in self.blocks(keys) {
            let rows = head.values[offset * value_dim..].chunks_exact(value_dim);
            let wide = wide[keys.start * LANES..keys.end * LANES].chunks_exact_mut(LANES);
            for (row, wide) in rows.zip(wide) {
                let row = &row[panel * LANES..(panel + 1) * LANES];
                // What is widened after the products that read this.
                simd.prefetch(row.as_ptr().wrapping_add(LANES * S::TILE_PANELS).cast());
                // SAFETY: both slices have 16 elements.
                unsafe { simd.store(wide.as_mut_ptr(), T::load(simd, row.as_ptr())) };
            }
        }
    }

    /// Copies the scales of `keys` of the span, of keys or of values, into `scales` `[SPAN_KEYS]`.
    #[inline(always)]
    pub(super) fn copy_scales(
        &self,
        keys: &Range<usize>,
        of: impl Fn(&BlockHead<'a, T>) -> &'a [f32],
        scales: &mut [f32],
    ) {
        for (keys, head, offset) in self.blocks(keys) {
            let scales = &mut scales[keys];
            scales.copy_from_slice(&of(&head)[offset..offset + scales.len()]);
        }
    }
}

impl<'a, T: KvElement> Iterator for Blocks<'_, 'a, T> {
    type Item = (Range<usize>, BlockHead<'a, T>, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        let (head, offset) = self.located.block(self.left.start);
        let block_size = self.located.layer.kv.shape().block_size;
        let end = self.left.end.min(self.left.start + block_size - offset);
        let keys = self.left.start..end;
        self.left.start = end;
        Some((keys, head, offset))
    }
}
