//! The paged KV cache on the device.

use crate::cuda::Cuda;
use crate::cuda::arguments::{AllHeadsNormArguments, CopyArguments, KvLayer, WriteKvArguments};
use crate::cuda::device::{CudaDevice, Geometry};
use crate::cuda::step::Section;
use crate::{BlockCopy, HeadNorm, KernelError, KvCacheShape, KvDtype, KvPool, WriteKv};

/// Heads that a block writes, one per warp.
const HEADS_PER_BLOCK: usize = 4;

/// Keys and values of all layers: for each layer the keys `[slot, kv_head, head_dim]`, the values,
/// and, of 8-bit integers, the scales `[slot, kv_head]` of both.
pub struct CudaKvCache<D: CudaDevice> {
    memory: D::Memory,
    shape: KvCacheShape,
}

/// A tensor of a layer: where it begins there, and its bytes per token.
#[derive(Clone, Copy)]
struct Tensor {
    start: usize,
    token_bytes: usize,
}

impl<D: CudaDevice> CudaKvCache<D> {
    /// Zeros.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new(device: &D, shape: KvCacheShape) -> Result<Self, KernelError> {
        let memory = device.allocate("KV cache", shape.num_layers * layer_bytes(&shape))?;
        Ok(Self { memory, shape })
    }

    pub(crate) fn shape(&self) -> &KvCacheShape {
        &self.shape
    }

    /// Addresses of a layer.
    pub(crate) fn layer(&self, device: &D, layer: usize) -> KvLayer {
        assert!(layer < self.shape.num_layers, "the layer exists");
        let first = device.address(&self.memory) + (layer * layer_bytes(&self.shape)) as u64;
        let tensors = tensors(&self.shape);
        let address = |index: usize| first + tensors[index].start as u64;
        KvLayer {
            keys: address(0),
            values: address(1),
            key_scales: address(2),
            value_scales: address(3),
            dtype: match self.shape.dtype {
                KvDtype::F32 => 0,
                KvDtype::Bf16 => 1,
                KvDtype::Int8 => 2,
                KvDtype::Fp8 => 3,
            },
            num_kv_heads: self.shape.num_kv_heads as u32,
            head_dim: self.shape.head_dim as u32,
            block_size: self.shape.block_size as u32,
        }
    }

    /// Runs `write_kv` on `rows` rows.
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn write(
        &self,
        device: &D,
        rows: usize,
        arguments: &WriteKvArguments,
    ) -> Result<(), KernelError> {
        let heads = arguments.num_q_heads as usize + 2 * self.shape.num_kv_heads;
        let blocks = heads.div_ceil(HEADS_PER_BLOCK);
        let geometry = Geometry {
            shared_bytes: 4 * HEADS_PER_BLOCK * self.shape.head_dim,
            ..Geometry::new([rows, blocks], 32 * HEADS_PER_BLOCK)
        };
        device.launch(geometry, arguments)
    }

    pub(crate) fn block_bytes(&self) -> usize {
        let tokens = tensors(&self.shape).into_iter().map(|t| t.token_bytes);
        self.shape.num_layers * self.shape.block_size * tokens.sum::<usize>()
    }

    /// Copies a block's bytes of all layers to `out`.
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn read_block(
        &self,
        device: &D,
        block: usize,
        mut out: &mut [u8],
    ) -> Result<(), KernelError> {
        assert_eq!(out.len(), self.block_bytes(), "bytes of a block");
        for (offset, bytes) in self.pieces(block) {
            let (piece, rest) = out.split_at_mut(bytes);
            device.read(&self.memory, offset, piece)?;
            out = rest;
        }
        Ok(())
    }

    /// The inverse of [`Self::read_block`].
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn write_block(
        &self,
        device: &D,
        block: usize,
        mut bytes: &[u8],
    ) -> Result<(), KernelError> {
        assert_eq!(bytes.len(), self.block_bytes(), "bytes of a block");
        for (offset, length) in self.pieces(block) {
            let (piece, rest) = bytes.split_at(length);
            device.write(&self.memory, offset, piece)?;
            bytes = rest;
        }
        Ok(())
    }

    /// Copies the first tokens of blocks in every layer, in order.
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn copy(&self, device: &D, copies: &[BlockCopy]) -> Result<(), KernelError> {
        for copy in copies {
            for tensor in tensors(&self.shape).iter().filter(|t| t.token_bytes > 0) {
                let at = |block: u32| {
                    self.check(block as usize);
                    let slot = block as usize * self.shape.block_size;
                    (tensor.start + slot * tensor.token_bytes) as u64
                };
                let bytes = copy.num_tokens as usize * tensor.token_bytes;
                let arguments = CopyArguments {
                    memory: device.address(&self.memory),
                    layer_bytes: layer_bytes(&self.shape) as u64,
                    src: at(copy.src),
                    dst: at(copy.dst),
                    bytes: bytes as u64,
                };
                let blocks = bytes.div_ceil(256).min(64);
                let geometry = Geometry::new([blocks, self.shape.num_layers], 256);
                device.launch(geometry, &arguments)?;
            }
        }
        Ok(())
    }

    /// Offset and length of each piece of memory that a block consists of.
    fn pieces(&self, block: usize) -> impl Iterator<Item = (usize, usize)> + use<D> {
        self.check(block);
        let shape = self.shape;
        (0..shape.num_layers).flat_map(move |layer| {
            let first = layer * layer_bytes(&shape);
            tensors(&shape).into_iter().map(move |tensor| {
                let bytes = shape.block_size * tensor.token_bytes;
                (first + tensor.start + block * bytes, bytes)
            })
        })
    }

    fn check(&self, block: usize) {
        assert!(block < self.shape.num_blocks, "block {block} exists");
    }
}

impl<D: CudaDevice> Cuda<D> {
    /// See [`WriteKv`].
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn write_heads(&mut self, op: &WriteKv<'_, Self>) -> Result<(), KernelError> {
        assert_eq!(op.qkv.cols, op.shape.row_size(), "columns of the rows");
        assert_eq!(op.kv.shape().num_kv_heads, op.shape.num_kv_heads, "heads");
        assert_eq!(op.kv.shape().head_dim, op.shape.head_dim, "elements");
        let (device, rows) = (&self.device, op.slot_mapping.len());
        let section = match op.pool {
            KvPool::Main => Section::Slots,
            KvPool::Window => Section::WindowSlots,
        };
        let slots = self
            .slots
            .of_step(device, &self.inputs, section, op.slot_mapping)?;
        let mut arguments = WriteKvArguments {
            qkv: op.qkv.values(device, rows),
            kv: op.kv.layer(device, op.layer),
            slots,
            q_norm: 0,
            k_norm: 0,
            positions: 0,
            cos: 0,
            sin: 0,
            num_q_heads: op.shape.num_q_heads as u32,
            rotary_dim: 0,
            eps: 0.0,
        };
        if let Some(norm) = &op.norm {
            let sizes = [norm.q_weight.len, norm.k_weight.len];
            if sizes == [op.shape.head_dim; 2] {
                arguments.q_norm = norm.q_weight.address(device);
                arguments.k_norm = norm.k_weight.address(device);
                arguments.eps = norm.eps;
            } else {
                norm_all_heads(device, op, norm)?;
            }
        }
        if let Some(rope) = &op.rope {
            assert_eq!(rope.positions.len(), rows, "a position for each row");
            let (staged, inputs) = (&mut self.positions, &self.inputs);
            arguments.positions =
                staged.of_step(device, inputs, Section::Positions, rope.positions)?;
            arguments.cos = rope.table.cos.address(device);
            arguments.sin = rope.table.sin.address(device);
            arguments.rotary_dim = rope.table.rotary_dim as u32;
        }
        op.kv.write(device, rows, &arguments)
    }
}

/// The norm of a row's query heads together, and of its key heads.
fn norm_all_heads<D: CudaDevice>(
    device: &D,
    op: &WriteKv<'_, Cuda<D>>,
    norm: &HeadNorm<'_, Cuda<D>>,
) -> Result<(), KernelError> {
    let (q_size, kv_size) = (op.shape.q_size(), op.shape.kv_size());
    assert_eq!(norm.q_weight.len, q_size, "elements of the queries' norm");
    assert_eq!(norm.k_weight.len, kv_size, "elements of the keys' norm");
    let rows = op.slot_mapping.len();
    let arguments = AllHeadsNormArguments {
        qkv: op.qkv.values(device, rows),
        q_weight: norm.q_weight.address(device),
        k_weight: norm.k_weight.address(device),
        row_size: op.shape.row_size() as u32,
        q_size: q_size as u32,
        kv_size: kv_size as u32,
        eps: norm.eps,
    };
    device.launch(Geometry::new([rows, 2], 256), &arguments)
}

/// Bytes that a token takes in all layers.
pub(crate) fn bytes_per_token(shape: &KvCacheShape) -> usize {
    2 * shape.num_layers * shape.num_kv_heads * shape.dtype.head_bytes(shape.head_dim)
}

/// Keys, values, scales of keys, scales of values; each begins where vectors may be read.
fn tensors(shape: &KvCacheShape) -> [Tensor; 4] {
    let slots = shape.num_blocks * shape.block_size;
    let (element, scale) = match shape.dtype {
        KvDtype::F32 => (4, 0),
        KvDtype::Bf16 => (2, 0),
        KvDtype::Int8 => (1, 4),
        KvDtype::Fp8 => (1, 0),
    };
    let head = shape.head_dim * element;
    let mut start = 0;
    [head, head, scale, scale].map(|head_bytes| {
        let token_bytes = shape.num_kv_heads * head_bytes;
        let tensor = Tensor { start, token_bytes };
        start += (slots * token_bytes).next_multiple_of(16);
        tensor
    })
}

/// From one layer's first byte to the next one's.
fn layer_bytes(shape: &KvCacheShape) -> usize {
    let last = tensors(shape)[3];
    let slots = shape.num_blocks * shape.block_size;
    last.start + (slots * last.token_bytes).next_multiple_of(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys and values of 2 heads of 64 in 3 layers; a head of 8-bit integers has a scale.
    #[test]
    fn a_cache_is_as_large_as_its_elements() {
        for (dtype, head_bytes) in KvDtype::ALL.into_iter().zip([256, 128, 68, 64]) {
            let shape = KvCacheShape {
                num_layers: 3,
                num_blocks: 9,
                block_size: 16,
                num_kv_heads: 2,
                head_dim: 64,
                dtype,
            };
            let bytes = 2 * 3 * 2 * head_bytes;
            assert_eq!(bytes_per_token(&shape), bytes, "{dtype:?}");
            assert_eq!(3 * layer_bytes(&shape), 9 * 16 * bytes, "{dtype:?}");
        }
    }
}
