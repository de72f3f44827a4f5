//! The paged KV cache.

use candle_core::{DType, Device, Tensor};

use crate::reference::e4m3;
use crate::{KvCacheShape, KvDtype};

/// Keys and values: per layer `[num_blocks * block_size, num_kv_heads, head_dim]` f32, rounded to
/// what the cache's element type can hold.
pub struct ReferenceKvCache {
    pub(super) shape: KvCacheShape,
    pub(super) keys: Vec<Tensor>,
    pub(super) values: Vec<Tensor>,
}

impl ReferenceKvCache {
    /// Zeros.
    pub(super) fn new(shape: KvCacheShape, device: &Device) -> candle_core::Result<Self> {
        let dims = (
            shape.num_blocks * shape.block_size,
            shape.num_kv_heads,
            shape.head_dim,
        );
        let layers = || {
            (0..shape.num_layers)
                .map(|_| Tensor::zeros(dims, DType::F32, device))
                .collect::<candle_core::Result<Vec<_>>>()
        };
        Ok(Self {
            shape,
            keys: layers()?,
            values: layers()?,
        })
    }

    pub(super) fn block_bytes(&self) -> usize {
        self.shape.num_layers * 2 * self.tensor_bytes()
    }

    /// Of the keys or the values of one layer.
    fn tensor_bytes(&self) -> usize {
        let tokens = self.shape.block_size * self.shape.num_kv_heads;
        tokens * self.shape.head_dim * size_of::<f32>()
    }

    pub(super) fn read_block(&self, block: usize, out: &mut [u8]) -> candle_core::Result<()> {
        assert_eq!(out.len(), self.block_bytes(), "bytes of a block");
        let tokens = self.shape.block_size;
        let tensors = self.keys.iter().chain(&self.values);
        for (tensor, out) in tensors.zip(out.chunks_exact_mut(self.tensor_bytes())) {
            let tensor = tensor.narrow(0, block * tokens, tokens)?;
            let elements = tensor.flatten_all()?.to_vec1::<f32>()?;
            for (element, out) in elements.iter().zip(out.chunks_exact_mut(4)) {
                out.copy_from_slice(&element.to_le_bytes());
            }
        }
        Ok(())
    }

    pub(super) fn write_block(&mut self, block: usize, bytes: &[u8]) -> candle_core::Result<()> {
        assert_eq!(bytes.len(), self.block_bytes(), "bytes of a block");
        let tokens = self.shape.block_size;
        let dims = (tokens, self.shape.num_kv_heads, self.shape.head_dim);
        let tensors = self.keys.iter().chain(&self.values);
        for (tensor, bytes) in tensors.zip(bytes.chunks_exact(self.tensor_bytes())) {
            let elements = bytes.chunks_exact(4);
            let elements = elements.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let values = Tensor::from_iter(elements, tensor.device())?.reshape(dims)?;
            tensor.slice_set(&values, 0, block * tokens)?;
        }
        Ok(())
    }
}

/// `heads` `[rows, heads, head_dim]` as they are read from a cache of `dtype`.
pub(super) fn round(heads: &Tensor, dtype: KvDtype) -> candle_core::Result<Tensor> {
    let heads = heads.contiguous()?;
    match dtype {
        KvDtype::F32 => Ok(heads),
        KvDtype::Bf16 => heads.to_dtype(DType::BF16)?.to_dtype(DType::F32),
        KvDtype::Int8 => {
            let dims = heads.dims3()?;
            let mut values: Vec<f32> = heads.flatten_all()?.to_vec1()?;
            for head in values.chunks_exact_mut(dims.2) {
                let finite = head.iter().all(|x| x.is_finite());
                let largest = head.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
                let scale = if finite { largest / 127.0 } else { f32::NAN };
                let inverse = if 1.0 / scale == f32::INFINITY {
                    0.0
                } else {
                    1.0 / scale
                };
                for x in head {
                    *x = (*x * inverse).round_ties_even() * scale;
                }
            }
            Tensor::from_vec(values, dims, heads.device())
        }
        KvDtype::Fp8 => {
            let dims = heads.dims3()?;
            let values: Vec<f32> = heads.flatten_all()?.to_vec1()?;
            let rounded = values.into_iter().map(e4m3::round).collect();
            Tensor::from_vec(rounded, dims, heads.device())
        }
    }
}
