//! The paged KV cache.

mod carry;
mod element;
mod store;

pub(crate) use crate::cpu::kv::element::KvElement;
pub(crate) use crate::cpu::kv::store::{BlockHead, Store, padded_head_dim};

use half::bf16;

use crate::cpu::pool::Pool;
use crate::cpu::rope::Rotation;
use crate::cpu::simd::Isa;
use crate::{BlockCopy, KernelError, KvCacheShape, KvDtype, QkvShape};

/// Keys and values of all layers.
pub struct CpuKvCache {
    elements: Elements,
}

/// Rows whose keys and values are stored.
pub(crate) struct KvRows<'a> {
    /// `[slots.len(), shape.row_size()]`
    pub(crate) qkv: &'a mut [f32],
    pub(crate) shape: QkvShape,
    /// Of queries and keys, before they are stored.
    pub(crate) rotation: Option<Rotation<'a>>,
    /// Of rows that share a slot, the last one stays.
    pub(crate) slots: &'a [u32],
}

/// The cache in its element type.
pub(crate) enum Elements {
    F32(Store<f32>),
    Bf16(Store<bf16>),
    Int8(Store<i8>),
}

/// `$body` with `$store` the cache's store, whatever its elements are.
macro_rules! with_store {
    ($elements:expr, $store:ident => $body:expr) => {
        match $elements {
            Elements::F32($store) => $body,
            Elements::Bf16($store) => $body,
            Elements::Int8($store) => $body,
        }
    };
}

impl CpuKvCache {
    /// Zeros.
    ///
    /// # Errors
    /// `OutOfMemory`; `Unsupported` of a type that the backend does not have.
    pub(crate) fn new(shape: KvCacheShape) -> Result<Self, KernelError> {
        let elements = match shape.dtype {
            KvDtype::F32 => Elements::F32(Store::new(shape)?),
            KvDtype::Bf16 => Elements::Bf16(Store::new(shape)?),
            KvDtype::Int8 => Elements::Int8(Store::new(shape)?),
            KvDtype::Fp8 => {
                let what = format!("a KV cache in {} on the CPU", shape.dtype.name());
                return Err(KernelError::Unsupported { what });
            }
        };
        Ok(Self { elements })
    }

    /// Bytes that one token takes in all layers.
    pub(crate) fn bytes_per_token(shape: &KvCacheShape) -> usize {
        let padded = padded_head_dim(shape.head_dim);
        let head = shape.dtype.head_bytes(shape.head_dim) + shape.dtype.head_bytes(padded);
        shape.num_layers * shape.num_kv_heads * head
    }

    /// The elements.
    pub(crate) fn elements(&self) -> &Elements {
        &self.elements
    }

    /// Stores the key and value heads of `rows`.
    ///
    /// # Panics
    /// If a slot, a position or the layer does not exist, or the shapes differ.
    pub(crate) fn write(&mut self, pool: &Pool, isa: Isa, layer: usize, rows: KvRows<'_>) {
        with_store!(&mut self.elements, store => store.write(pool, isa, layer, rows));
    }

    /// Bytes of one block in all layers, as [`Self::read_block`] writes them.
    pub(crate) fn block_bytes(&self) -> usize {
        with_store!(&self.elements, store => store.block_bytes())
    }

    /// Copies a block of all layers to `out`.
    ///
    /// # Panics
    /// If the block does not exist or `out` has another length.
    pub(crate) fn read_block(&self, block: usize, out: &mut [u8]) {
        with_store!(&self.elements, store => store.read_block(block, out));
    }

    /// Puts back what [`Self::read_block`] has copied.
    ///
    /// # Panics
    /// If the block does not exist or `bytes` has another length.
    pub(crate) fn write_block(&mut self, block: usize, bytes: &[u8]) {
        with_store!(&mut self.elements, store => store.write_block(block, bytes));
    }

    /// Runs `copies` in order, in every layer.
    ///
    /// # Panics
    /// If a block does not exist or has fewer tokens.
    pub(crate) fn copy_blocks(&mut self, copies: &[BlockCopy]) {
        with_store!(&mut self.elements, store => store.copy_blocks(copies));
    }
}
