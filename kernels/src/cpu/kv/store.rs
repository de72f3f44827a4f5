//! Keys and values of one element type.

#![expect(unsafe_code, reason = "tasks write disjoint heads through pointers")]

use std::slice;

use crate::cpu::kv::{KvElement, KvRows};
use crate::cpu::memory::AlignedSlice;
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::simd::{Isa, LANES};
use crate::{BlockCopy, KernelError, KvCacheShape};

/// Elements that one task rotates and writes: fewer are not worth another thread.
const TASK_ELEMENTS: usize = 16 * 1024;

/// Keys `[layer][block][kv_head][head_dim][block_size]` and values
/// `[layer][block][kv_head][block_size][padded head_dim]`.
///
/// Sixteen keys of a block are a panel of the score product (lanes = keys), 16 dimensions of a
/// block are a panel of the value product (lanes = dimensions), so neither is repacked in a step.
/// Values are padded to whole vectors; the padding stays zero. Lanes lie where
/// [`crate::cpu::widen::Widen::position`] says, keys in order where a block is no whole number of
/// vectors.
pub(crate) struct Store<T> {
    shape: KvCacheShape,
    keys: AlignedSlice<T>,
    values: AlignedSlice<T>,
    /// `[layer][block][kv_head][block_size]`, empty unless elements are scaled.
    key_scales: AlignedSlice<f32>,
    /// As `key_scales`.
    value_scales: AlignedSlice<f32>,
}

/// One head of one block.
#[derive(Clone, Copy)]
pub(crate) struct BlockHead<'a, T> {
    /// `[head_dim][block_size]`
    pub(crate) keys: &'a [T],
    /// `[block_size][padded head_dim]`
    pub(crate) values: &'a [T],
    /// `[block_size]`, or empty
    pub(crate) key_scales: &'a [f32],
    /// `[block_size]`, or empty
    pub(crate) value_scales: &'a [f32],
}

impl<T: KvElement> Store<T> {
    /// Zeros.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new(shape: KvCacheShape) -> Result<Self, KernelError> {
        let heads = shape
            .num_layers
            .saturating_mul(shape.num_blocks)
            .saturating_mul(shape.num_kv_heads * shape.block_size);
        let value_dim = padded_head_dim(shape.head_dim);
        let scales = if T::SCALED { heads } else { 0 };
        Ok(Self {
            shape,
            keys: AlignedSlice::zeroed(heads.saturating_mul(shape.head_dim), "KV cache")?,
            values: AlignedSlice::zeroed(heads.saturating_mul(value_dim), "KV cache")?,
            key_scales: AlignedSlice::zeroed(scales, "KV cache")?,
            value_scales: AlignedSlice::zeroed(scales, "KV cache")?,
        })
    }

    /// The cache's shape.
    pub(crate) fn shape(&self) -> &KvCacheShape {
        &self.shape
    }

    /// Whether 16 keys of a block, from a multiple of 16 on, are a panel.
    pub(crate) fn has_panels(&self) -> bool {
        has_panels(self.shape.block_size)
    }

    /// Where the key at `offset` of a block lies in a row of keys.
    pub(crate) fn key_position(&self, offset: usize) -> usize {
        key_position::<T>(self.shape.block_size, offset)
    }

    /// Keys, values and the scales of both.
    pub(super) fn arrays(&self) -> (&[T], &[T], &[f32], &[f32]) {
        let (keys, values) = (&self.keys, &self.values);
        (keys, values, &self.key_scales, &self.value_scales)
    }

    /// As [`Self::arrays`].
    pub(super) fn arrays_mut(&mut self) -> (&mut [T], &mut [T], &mut [f32], &mut [f32]) {
        let (keys, values) = (&mut self.keys, &mut self.values);
        (keys, values, &mut self.key_scales, &mut self.value_scales)
    }

    /// One head of one block.
    pub(crate) fn block_head(
        &self,
        layer: usize,
        block: usize,
        kv_head: usize,
    ) -> BlockHead<'_, T> {
        let KvCacheShape {
            block_size,
            head_dim,
            ..
        } = self.shape;
        let index = self.head_index(layer, block, kv_head);
        let key_len = head_dim * block_size;
        let value_len = padded_head_dim(head_dim) * block_size;
        let scales = if T::SCALED {
            index * block_size..(index + 1) * block_size
        } else {
            0..0
        };
        BlockHead {
            keys: &self.keys[index * key_len..][..key_len],
            values: &self.values[index * value_len..][..value_len],
            key_scales: &self.key_scales[scales.clone()],
            value_scales: &self.value_scales[scales],
        }
    }

    /// See [`crate::CpuKvCache::write`]. A task takes a KV head and the query heads that share it: it
    /// rotates each row's, while it stores them.
    pub(crate) fn write(&mut self, pool: &Pool, isa: Isa, layer: usize, rows: KvRows<'_>) {
        let num_slots = self.shape.num_blocks * self.shape.block_size;
        let KvRows {
            qkv,
            shape,
            rotation,
            slots,
        } = rows;
        assert!(layer < self.shape.num_layers, "layer {layer}");
        assert!(
            slots.iter().all(|&slot| (slot as usize) < num_slots),
            "slots exist"
        );
        assert_eq!(qkv.len(), slots.len() * shape.row_size(), "rows");
        assert_eq!(shape.num_kv_heads, self.shape.num_kv_heads, "KV heads");
        assert_eq!(shape.head_dim, self.shape.head_dim, "head_dim");
        let (block_size, head_dim) = (self.shape.block_size, self.shape.head_dim);
        let group = shape.q_size() / shape.num_kv_heads;
        let writer = HeadWriter {
            keys: SharedPtr(self.keys.as_mut_ptr()),
            values: SharedPtr(self.values.as_mut_ptr()),
            key_scales: SharedPtr(self.key_scales.as_mut_ptr()),
            value_scales: SharedPtr(self.value_scales.as_mut_ptr()),
            shape: self.shape,
        };
        let qkv = SharedPtr(qkv.as_mut_ptr());
        let write_head = |kv_head: usize| {
            for (row, &slot) in slots.iter().enumerate() {
                let (block, offset) = (slot as usize / block_size, slot as usize % block_size);
                let index = head_index(&writer.shape, layer, block, kv_head);
                // SAFETY: the row has these heads, and the cache the slot and the layer; only this
                // task touches this head in either.
                unsafe {
                    let row_start = qkv.get().add(row * shape.row_size());
                    let heads = |start, len| slice::from_raw_parts_mut(row_start.add(start), len);
                    let queries = heads(kv_head * group, group);
                    let key = heads(shape.q_size() + kv_head * head_dim, head_dim);
                    let value_start = shape.q_size() + shape.kv_size() + kv_head * head_dim;
                    let value = heads(value_start, head_dim);
                    if let Some(rotation) = &rotation {
                        rotation.rotate(isa, row, queries, head_dim);
                        rotation.rotate(isa, row, key, head_dim);
                    }
                    writer.write(index, offset, key, value);
                }
            }
        };
        if slots.len() * shape.row_size() < TASK_ELEMENTS {
            (0..shape.num_kv_heads).for_each(write_head);
        } else {
            pool.run(shape.num_kv_heads, &|_, kv_head| write_head(kv_head));
        }
    }

    /// See [`crate::CpuKvCache::copy_blocks`].
    pub(super) fn copy_blocks(&mut self, copies: &[BlockCopy]) {
        let KvCacheShape {
            num_layers,
            num_blocks,
            block_size,
            num_kv_heads,
            ..
        } = self.shape;
        for copy in copies {
            let (src, dst) = (copy.src as usize, copy.dst as usize);
            let tokens = copy.num_tokens as usize;
            assert!(
                src < num_blocks && dst < num_blocks,
                "blocks {src} and {dst} exist"
            );
            assert!(tokens <= block_size, "{tokens} tokens of {block_size}");
            for layer in 0..num_layers {
                for kv_head in 0..num_kv_heads {
                    let from = self.head_index(layer, src, kv_head);
                    let to = self.head_index(layer, dst, kv_head);
                    self.copy_head(from, to, tokens);
                }
            }
        }
    }

    /// Copies the first `tokens` of one head of a block.
    fn copy_head(&mut self, from: usize, to: usize, tokens: usize) {
        let KvCacheShape {
            block_size,
            head_dim,
            ..
        } = self.shape;
        // Whole vectors lie together whatever their lanes' order is.
        let whole = tokens - tokens % LANES;
        for d in 0..head_dim {
            let src = (from * head_dim + d) * block_size;
            let dst = (to * head_dim + d) * block_size;
            self.keys.copy_within(src..src + whole, dst);
            for token in whole..tokens {
                let at = self.key_position(token);
                self.keys[dst + at] = self.keys[src + at];
            }
        }
        let value_dim = padded_head_dim(head_dim);
        let src = from * block_size * value_dim;
        let dst = to * block_size * value_dim;
        self.values.copy_within(src..src + tokens * value_dim, dst);
        if T::SCALED {
            let (src, dst) = (from * block_size, to * block_size);
            self.key_scales.copy_within(src..src + tokens, dst);
            self.value_scales.copy_within(src..src + tokens, dst);
        }
    }

    fn head_index(&self, layer: usize, block: usize, kv_head: usize) -> usize {
        head_index(&self.shape, layer, block, kv_head)
    }
}

fn head_index(shape: &KvCacheShape, layer: usize, block: usize, kv_head: usize) -> usize {
    (layer * shape.num_blocks + block) * shape.num_kv_heads + kv_head
}

fn has_panels(block_size: usize) -> bool {
    block_size.is_multiple_of(LANES)
}

fn key_position<T: KvElement>(block_size: usize, offset: usize) -> usize {
    if has_panels(block_size) {
        lane_position::<T>(offset)
    } else {
        offset
    }
}

/// Where element `index` of a row of whole vectors lies.
fn lane_position<T: KvElement>(index: usize) -> usize {
    index - index % LANES + T::position(index % LANES)
}

/// `head_dim` rounded up to whole vectors.
pub(crate) fn padded_head_dim(head_dim: usize) -> usize {
    head_dim.next_multiple_of(LANES)
}

/// The cache while several threads write different heads.
struct HeadWriter<T> {
    shape: KvCacheShape,
    keys: SharedPtr<T>,
    values: SharedPtr<T>,
    key_scales: SharedPtr<f32>,
    value_scales: SharedPtr<f32>,
}

impl<T: KvElement> HeadWriter<T> {
    /// Stores one token's key and value `[head_dim]` at `offset` of the block-and-head `index`.
    ///
    /// # Safety
    /// The index exists, `offset < block_size`, and nobody else accesses this head.
    unsafe fn write(&self, index: usize, offset: usize, key: &[f32], value: &[f32]) {
        let KvCacheShape {
            block_size,
            head_dim,
            ..
        } = self.shape;
        let value_dim = padded_head_dim(head_dim);
        let (key_scale, value_scale) = (T::scale(key), T::scale(value));
        let (key_inverse, value_inverse) = (inverse(key_scale), inverse(value_scale));
        // SAFETY: by the caller's promise the elements exist and are this caller's alone.
        unsafe {
            let at = key_position::<T>(block_size, offset);
            let keys = self.keys.get().add(index * head_dim * block_size + at);
            for (vector, key) in key.chunks(LANES).enumerate() {
                let encoded = encode::<T>(key, key_inverse);
                for (lane, &x) in encoded[..key.len()].iter().enumerate() {
                    *keys.add((vector * LANES + lane) * block_size) = x;
                }
            }
            let values = self
                .values
                .get()
                .add((index * block_size + offset) * value_dim);
            for (vector, value) in value.chunks(LANES).enumerate() {
                let encoded = encode::<T>(value, value_inverse);
                let row = values.add(vector * LANES);
                for (lane, &x) in encoded.iter().enumerate() {
                    *row.add(T::position(lane)) = x;
                }
            }
            if T::SCALED {
                let at = index * block_size + offset;
                *self.key_scales.get().add(at) = key_scale;
                *self.value_scales.get().add(at) = value_scale;
            }
        }
    }
}

/// A vector of `values` in a head of scale `1 / inverse`, zeros behind them.
#[inline(always)]
fn encode<T: KvElement>(values: &[f32], inverse: f32) -> [T; LANES] {
    // Constant lengths are what the compiler vectorises.
    match <&[f32; LANES]>::try_from(values) {
        Ok(values) => values.map(|x| T::encode(x, inverse)),
        Err(_) => {
            let mut padded = [0.0; LANES];
            padded[..values.len()].copy_from_slice(values);
            padded.map(|x| T::encode(x, inverse))
        }
    }
}

/// `1 / scale`, finite where the scale is: a head of zeros, or so small that its scale has no
/// reciprocal, is stored as zeros.
fn inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_infinite() { 0.0 } else { inverse }
}
