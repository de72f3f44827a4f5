//! The paged KV cache.

#![expect(unsafe_code, reason = "tasks write disjoint heads through pointers")]

use crate::cpu::memory::AlignedSlice;
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::simd::LANES;
use crate::{BlockCopy, KernelError, KvCacheShape, QkvShape};

/// Keys `[layer][block][kv_head][head_dim][block_size]` and values
/// `[layer][block][kv_head][block_size][padded head_dim]`, f32.
///
/// Sixteen keys of a block are a panel of the score product (lanes = keys), 16 dimensions of a
/// block are a panel of the value product (lanes = dimensions), so neither is repacked in a step.
/// Values are padded to whole vectors; the padding stays zero.
pub struct CpuKvCache {
    shape: KvCacheShape,
    keys: AlignedSlice<f32>,
    values: AlignedSlice<f32>,
}

impl CpuKvCache {
    /// Zeros.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new(shape: KvCacheShape) -> Result<Self, KernelError> {
        let heads = shape
            .num_layers
            .saturating_mul(shape.num_blocks)
            .saturating_mul(shape.num_kv_heads * shape.block_size);
        let keys = AlignedSlice::zeroed(heads.saturating_mul(shape.head_dim), "KV cache")?;
        let value_dim = padded_head_dim(shape.head_dim);
        let values = AlignedSlice::zeroed(heads.saturating_mul(value_dim), "KV cache")?;
        Ok(Self {
            shape,
            keys,
            values,
        })
    }

    /// The cache's shape.
    pub(crate) fn shape(&self) -> &KvCacheShape {
        &self.shape
    }

    /// Keys of one head of one block, `[head_dim][block_size]`.
    pub(crate) fn keys(&self, layer: usize, block: usize, kv_head: usize) -> &[f32] {
        let len = self.shape.head_dim * self.shape.block_size;
        &self.keys[self.head_index(layer, block, kv_head) * len..][..len]
    }

    /// Values of one head of one block, `[block_size][padded head_dim]`.
    pub(crate) fn values(&self, layer: usize, block: usize, kv_head: usize) -> &[f32] {
        let len = padded_head_dim(self.shape.head_dim) * self.shape.block_size;
        &self.values[self.head_index(layer, block, kv_head) * len..][..len]
    }

    /// Stores the key and value heads of `qkv` `[slots.len(), shape.row_size()]`, row `i` at
    /// `slots[i]`; of rows that share a slot, the last one stays.
    ///
    /// # Panics
    /// If a slot or the layer does not exist, or the shapes differ.
    pub(crate) fn write(
        &mut self,
        pool: &Pool,
        layer: usize,
        qkv: &[f32],
        shape: QkvShape,
        slots: &[u32],
    ) {
        let num_slots = self.shape.num_blocks * self.shape.block_size;
        assert!(layer < self.shape.num_layers, "layer {layer}");
        assert!(
            slots.iter().all(|&slot| (slot as usize) < num_slots),
            "slots exist"
        );
        assert_eq!(shape.num_kv_heads, self.shape.num_kv_heads, "KV heads");
        assert_eq!(shape.head_dim, self.shape.head_dim, "head_dim");
        let heads = HeadWriter {
            cache: self.shape,
            keys: SharedPtr(self.keys.as_mut_ptr()),
            values: SharedPtr(self.values.as_mut_ptr()),
        };
        let (block_size, head_dim) = (self.shape.block_size, self.shape.head_dim);
        let write_head = |kv_head: usize| {
            let key_start = shape.q_size() + kv_head * head_dim;
            let value_start = key_start + shape.kv_size();
            for (row, &slot) in qkv.chunks_exact(shape.row_size()).zip(slots) {
                let (block, offset) = (slot as usize / block_size, slot as usize % block_size);
                let index =
                    (layer * heads.cache.num_blocks + block) * heads.cache.num_kv_heads + kv_head;
                let key = &row[key_start..key_start + head_dim];
                let value = &row[value_start..value_start + head_dim];
                // SAFETY: the slot and layer exist; only this task writes this head.
                unsafe { heads.write(index, offset, key, value) };
            }
        };
        // A decode step writes a few rows: not worth another thread.
        if slots.len() * shape.kv_size() < 16 * 1024 {
            (0..shape.num_kv_heads).for_each(write_head);
        } else {
            pool.run(shape.num_kv_heads, &|_, kv_head| write_head(kv_head));
        }
    }

    /// Runs `copies` in order, in every layer.
    ///
    /// # Panics
    /// If a block does not exist or has fewer tokens.
    pub(crate) fn copy_blocks(&mut self, copies: &[BlockCopy]) {
        let KvCacheShape {
            num_layers,
            num_blocks,
            block_size,
            num_kv_heads,
            head_dim,
        } = self.shape;
        let value_dim = padded_head_dim(head_dim);
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
                    for d in 0..head_dim {
                        let start = (from * head_dim + d) * block_size;
                        let to = (to * head_dim + d) * block_size;
                        self.keys.copy_within(start..start + tokens, to);
                    }
                    let start = from * block_size * value_dim;
                    let to = to * block_size * value_dim;
                    self.values
                        .copy_within(start..start + tokens * value_dim, to);
                }
            }
        }
    }

    fn head_index(&self, layer: usize, block: usize, kv_head: usize) -> usize {
        (layer * self.shape.num_blocks + block) * self.shape.num_kv_heads + kv_head
    }
}

/// `head_dim` rounded up to whole vectors.
pub(crate) fn padded_head_dim(head_dim: usize) -> usize {
    head_dim.next_multiple_of(LANES)
}

/// The cache while several threads write different heads.
struct HeadWriter {
    cache: KvCacheShape,
    keys: SharedPtr<f32>,
    values: SharedPtr<f32>,
}

impl HeadWriter {
    /// Stores one token's key and value `[head_dim]` at `offset` of the block-and-head `index`.
    ///
    /// # Safety
    /// The index exists, `offset < block_size`, and nobody else accesses this head.
    unsafe fn write(&self, index: usize, offset: usize, key: &[f32], value: &[f32]) {
        let KvCacheShape {
            block_size,
            head_dim,
            ..
        } = self.cache;
        let value_dim = padded_head_dim(head_dim);
        // SAFETY: by the caller's promise the elements exist and are this caller's alone.
        unsafe {
            let keys = self.keys.get().add(index * head_dim * block_size + offset);
            for (d, &x) in key.iter().enumerate() {
                *keys.add(d * block_size) = x;
            }
            let values = self
                .values
                .get()
                .add((index * block_size + offset) * value_dim);
            std::ptr::copy_nonoverlapping(value.as_ptr(), values, head_dim);
        }
    }
}
