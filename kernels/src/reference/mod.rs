//! The operations written plainly on candle tensors: slow, clear, and the oracle of the others.

mod attention;
mod e4m3;
mod kv;

pub use kv::ReferenceKvCache;
mod lora;

pub use lora::ReferenceLora;

use candle_core::{D, DType, Device, Tensor};

use crate::reference::kv::round;
use crate::weights::stacked_shape;
use crate::{
    Activate, Activation, Add, AddRmsNorm, AddRows, Attention, Backend, BlockCopy, Clear, Embed,
    GatedLinear, GatherRows, KernelError, KvCacheShape, KvDtype, LayerNorm, Linear, QkvShape,
    RmsNorm, RopeTableView, SoftCap, WeightFormat, WeightView, WriteKv,
};

/// The backend on candle tensors, all f32, on any device that candle has.
pub struct Reference {
    device: Device,
}

/// Activations. An operation replaces the tensor, which holds the rows computed last.
pub struct ReferenceBuffer {
    /// `[rows, cols]`, `rows <= max_rows`
    tensor: Tensor,
    max_rows: usize,
    cols: usize,
}

/// Weights of a matrix product.
pub struct ReferenceLinear {
    /// `[out_features, in_features]` f32
    weight: Tensor,
    /// `[out_features]` f32
    bias: Option<Tensor>,
}

/// Cosines and sines, `[max_positions, rotary_dim / 2]` each.
pub struct ReferenceRopeTable {
    cos: Tensor,
    sin: Tensor,
    rotary_dim: usize,
}

impl Reference {
    /// The reference on the CPU.
    pub fn cpu() -> Self {
        Self::new(Device::Cpu)
    }

    /// The reference on a device of candle's.
    pub fn new(device: Device) -> Self {
        Self { device }
    }

    fn ids(&self, ids: &[u32]) -> Result<Tensor, KernelError> {
        Tensor::new(ids, &self.device).map_err(|e| device_error("ids", e))
    }
}

impl ReferenceBuffer {
    /// The first `rows` rows, `[rows, cols]`.
    fn rows(&self, rows: usize) -> candle_core::Result<Tensor> {
        self.tensor.narrow(0, 0, rows)
    }

    fn set(&mut self, tensor: Tensor) {
        let (rows, cols) = tensor.dims2().expect("operations make matrices");
        assert!(
            rows <= self.max_rows,
            "{rows} rows exceed {}",
            self.max_rows
        );
        assert_eq!(cols, self.cols, "columns of the output");
        self.tensor = tensor;
    }
}

impl Backend for Reference {
    type Buffer = ReferenceBuffer;
    type Linear = ReferenceLinear;
    type Vector = Tensor;
    type RopeTable = ReferenceRopeTable;
    type KvCache = ReferenceKvCache;
    const KV_DTYPES: &'static [KvDtype] = &KvDtype::ALL;

    fn description(&self) -> String {
        format!("reference: candle on {:?}, f32", self.device.location())
    }

    fn batch_invariant(&self) -> bool {
        false
    }

    fn pack_linear(
        &self,
        parts: &[WeightView<'_>],
        bias: Option<&[f32]>,
        formats: &[WeightFormat],
    ) -> Result<ReferenceLinear, KernelError> {
        let (out_features, in_features) = stacked_shape("pack_linear", parts, bias, formats)?;
        let mut values = vec![0.0; out_features * in_features];
        let mut rows = values.chunks_exact_mut(in_features);
        for (part, format) in parts.iter().zip(formats) {
            let dtype = format.of(part.dtype);
            for (row, out) in (0..part.rows).zip(&mut rows) {
                part.read_as(row, 0, dtype, out);
            }
        }
        let pack = || {
            let shape = (out_features, in_features);
            let weight = Tensor::from_vec(values, shape, &self.device)?;
            let bias = bias.map(|b| Tensor::new(b, &self.device)).transpose()?;
            Ok(ReferenceLinear { weight, bias })
        };
        pack().map_err(|e| device_error("pack_linear", e))
    }

    fn vector(&self, values: &[f32]) -> Result<Tensor, KernelError> {
        Tensor::new(values, &self.device).map_err(|e| device_error("vector", e))
    }

    fn rope_table(&self, table: RopeTableView<'_>) -> Result<ReferenceRopeTable, KernelError> {
        let half = table.rotary_dim / 2;
        let upload = |values: &[f32]| {
            Tensor::from_slice(values, (values.len() / half, half), &self.device)
                .map_err(|e| device_error("rope_table", e))
        };
        Ok(ReferenceRopeTable {
            cos: upload(table.cos)?,
            sin: upload(table.sin)?,
            rotary_dim: table.rotary_dim,
        })
    }

    fn buffer(&self, max_rows: usize, cols: usize) -> Result<ReferenceBuffer, KernelError> {
        let tensor = Tensor::zeros((max_rows, cols), DType::F32, &self.device)
            .map_err(|e| device_error("buffer", e))?;
        Ok(ReferenceBuffer {
            tensor,
            max_rows,
            cols,
        })
    }

    fn kv_cache(&self, shape: KvCacheShape) -> Result<ReferenceKvCache, KernelError> {
        ReferenceKvCache::new(shape, &self.device).map_err(|e| device_error("kv_cache", e))
    }

    fn kv_bytes_per_token(&self, shape: &KvCacheShape) -> usize {
        let head = KvDtype::F32.head_bytes(shape.head_dim);
        2 * shape.num_layers * shape.num_kv_heads * head
    }

    fn kv_layout(&self) -> String {
        "reference 1".to_owned()
    }

    fn kv_block_bytes(&self, kv: &ReferenceKvCache) -> usize {
        kv.block_bytes()
    }

    fn read_block(
        &mut self,
        kv: &ReferenceKvCache,
        block: usize,
        out: &mut [u8],
    ) -> Result<(), KernelError> {
        kv.read_block(block, out)
            .map_err(|e| device_error("read_block", e))
    }

    fn write_block(
        &mut self,
        kv: &mut ReferenceKvCache,
        block: usize,
        bytes: &[u8],
    ) -> Result<(), KernelError> {
        kv.write_block(block, bytes)
            .map_err(|e| device_error("write_block", e))
    }

    fn copy_blocks(
        &mut self,
        kv: &mut ReferenceKvCache,
        copies: &[BlockCopy],
    ) -> Result<(), KernelError> {
        let block_size = kv.shape.block_size;
        let copy_one = |tensor: &Tensor, copy: &BlockCopy| {
            let (src, dst) = (
                copy.src as usize * block_size,
                copy.dst as usize * block_size,
            );
            let tokens = tensor.narrow(0, src, copy.num_tokens as usize)?.copy()?;
            tensor.slice_set(&tokens, 0, dst)
        };
        for copy in copies {
            for tensor in kv.keys.iter().chain(&kv.values) {
                copy_one(tensor, copy).map_err(|e| device_error("copy_blocks", e))?;
            }
        }
        Ok(())
    }

    fn embed(&mut self, op: Embed<'_, Self>) -> Result<(), KernelError> {
        let ids = self.ids(op.token_ids)?;
        let rows = op.table.weight.index_select(&ids, 0);
        let out = rows.and_then(|rows| rows.affine(f64::from(op.scale), 0.0));
        op.out.set(out.map_err(|e| device_error("embed", e))?);
        Ok(())
    }

    fn rms_norm(&mut self, op: RmsNorm<'_, Self>) -> Result<(), KernelError> {
        let out = op
            .input
            .rows(op.rows)
            .and_then(|x| normalise(&x, op.weight, op.eps));
        op.out.set(out.map_err(|e| device_error("rms_norm", e))?);
        Ok(())
    }

    fn layer_norm(&mut self, op: LayerNorm<'_, Self>) -> Result<(), KernelError> {
        let compute = || {
            let input = op.input.rows(op.rows)?;
            let centred = input.broadcast_sub(&input.mean_keepdim(D::Minus1)?)?;
            normalise(&centred, op.weight, op.eps)?.broadcast_add(op.bias)
        };
        op.out
            .set(compute().map_err(|e| device_error("layer_norm", e))?);
        Ok(())
    }

    fn add_rms_norm(&mut self, op: AddRmsNorm<'_, Self>) -> Result<(), KernelError> {
        let compute = || {
            let sum = add_scaled(op.residual, op.delta, op.scale, op.rows)?;
            let out = normalise(&sum, op.weight, op.eps)?;
            Ok((sum, out))
        };
        let (sum, out) = compute().map_err(|e| device_error("add_rms_norm", e))?;
        op.residual.set(sum);
        op.out.set(out);
        Ok(())
    }

    fn add(&mut self, op: Add<'_, Self>) -> Result<(), KernelError> {
        let sum = add_scaled(op.residual, op.delta, op.scale, op.rows);
        op.residual.set(sum.map_err(|e| device_error("add", e))?);
        Ok(())
    }

    fn linear(&mut self, op: Linear<'_, Self>) -> Result<(), KernelError> {
        let compute = || {
            let out = op.input.rows(op.rows)?.matmul(&op.weight.weight.t()?)?;
            match &op.weight.bias {
                Some(bias) => out.broadcast_add(bias),
                None => Ok(out),
            }
        };
        op.out
            .set(compute().map_err(|e| device_error("linear", e))?);
        Ok(())
    }

    fn write_kv(&mut self, op: WriteKv<'_, Self>) -> Result<(), KernelError> {
        if let Some(norm) = &op.norm {
            let compute = || {
                let (q, k, v) = split_qkv(&op.qkv.rows(op.slot_mapping.len())?, &op.shape)?;
                let q = normalise_heads(&q, norm.q_weight, norm.eps)?;
                let k = normalise_heads(&k, norm.k_weight, norm.eps)?;
                join_qkv(&q, &k, &v)
            };
            let out = compute().map_err(|e| device_error("head_norm", e))?;
            op.qkv.set(out);
        }
        if let Some(rope) = &op.rope {
            let positions = self.ids(rope.positions)?;
            let compute = || {
                let cos = rope.table.cos.index_select(&positions, 0)?.unsqueeze(1)?;
                let sin = rope.table.sin.index_select(&positions, 0)?.unsqueeze(1)?;
                let (q, k, v) = split_qkv(&op.qkv.rows(rope.positions.len())?, &op.shape)?;
                let q = rotate(&q, &cos, &sin, rope.table.rotary_dim)?;
                let k = rotate(&k, &cos, &sin, rope.table.rotary_dim)?;
                join_qkv(&q, &k, &v)
            };
            let out = compute().map_err(|e| device_error("rope", e))?;
            op.qkv.set(out);
        }
        let write = || {
            let (_, k, v) = split_qkv(&op.qkv.rows(op.slot_mapping.len())?, &op.shape)?;
            let dtype = op.kv.shape.dtype;
            let (k, v) = (round(&k, dtype)?, round(&v, dtype)?);
            for (row, &slot) in op.slot_mapping.iter().enumerate() {
                let slot = slot as usize;
                op.kv.keys[op.layer].slice_set(&k.narrow(0, row, 1)?, 0, slot)?;
                op.kv.values[op.layer].slice_set(&v.narrow(0, row, 1)?, 0, slot)?;
            }
            Ok(())
        };
        write().map_err(|e| device_error("write_kv", e))
    }

    fn attention(&mut self, op: Attention<'_, Self>) -> Result<(), KernelError> {
        let out = attention::attend(&op, &self.device);
        op.out.set(out.map_err(|e| device_error("attention", e))?);
        Ok(())
    }

    fn gated_linear(&mut self, op: GatedLinear<'_, Self>) -> Result<(), KernelError> {
        let GatedLinear {
            input,
            weight,
            rows,
            gate_up,
            activation,
            out,
        } = op;
        self.linear(Linear {
            input,
            weight,
            rows,
            out: gate_up,
        })?;
        let compute = || {
            let gate_up = gate_up.rows(rows)?;
            let halves = gate_up.chunk(2, 1)?;
            gated(&halves[0], &halves[1], activation)
        };
        out.set(compute().map_err(|e| device_error("gated_linear", e))?);
        Ok(())
    }

    fn activate(&mut self, op: Activate<'_, Self>) -> Result<(), KernelError> {
        let values = op.values.rows(op.rows);
        let out = values.and_then(|x| activate(&x, op.activation));
        op.values.set(out.map_err(|e| device_error("activate", e))?);
        Ok(())
    }

    fn soft_cap(&mut self, op: SoftCap<'_, Self>) -> Result<(), KernelError> {
        let cap = f64::from(op.cap);
        let compute = || {
            let values = op.values.rows(op.rows)?.affine(1.0 / cap, 0.0)?;
            values.tanh()?.affine(cap, 0.0)
        };
        let out = compute().map_err(|e| device_error("soft_cap", e))?;
        op.values.set(out);
        Ok(())
    }

    fn gather_rows(&mut self, op: GatherRows<'_, Self>) -> Result<(), KernelError> {
        let rows = self.ids(op.rows)?;
        let out = op.input.tensor.index_select(&rows, 0);
        op.out.set(out.map_err(|e| device_error("gather_rows", e))?);
        Ok(())
    }

    fn clear(&mut self, op: Clear<'_, Self>) -> Result<(), KernelError> {
        let zeros = Tensor::zeros((op.rows, op.out.cols), DType::F32, &self.device);
        op.out.set(zeros.map_err(|e| device_error("clear", e))?);
        Ok(())
    }

    fn add_rows(&mut self, op: AddRows<'_, Self>) -> Result<(), KernelError> {
        let rows = self.ids(op.rows)?;
        let compute = || {
            let factors = Tensor::new(op.factors, &self.device)?.unsqueeze(1)?;
            let scaled = op.input.rows(op.rows.len())?.broadcast_mul(&factors)?;
            op.out.tensor.index_add(&rows, &scaled, 0)
        };
        let out = compute().map_err(|e| device_error("add_rows", e))?;
        op.out.set(out);
        Ok(())
    }

    fn read<'a>(
        &mut self,
        buffer: &'a ReferenceBuffer,
        rows: usize,
        host: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], KernelError> {
        let values = buffer.rows(rows).and_then(|x| x.flatten_all()?.to_vec1());
        *host = values.map_err(|e| device_error("read", e))?;
        Ok(host)
    }
}

/// `residual + scale * delta`
fn add_scaled(
    residual: &ReferenceBuffer,
    delta: &ReferenceBuffer,
    scale: f32,
    rows: usize,
) -> candle_core::Result<Tensor> {
    residual.rows(rows)? + delta.rows(rows)?.affine(f64::from(scale), 0.0)?
}

fn activate(x: &Tensor, activation: Activation) -> candle_core::Result<Tensor> {
    match activation {
        Activation::Silu => x.silu(),
        Activation::GeluTanh => x.gelu(),
        Activation::ClampedSwiglu { alpha, limit } => {
            let clamped = x.minimum(f64::from(limit))?;
            let gain = clamped.affine(f64::from(alpha), 0.0)?;
            clamped / (gain.neg()?.exp()? + 1.0)?
        }
    }
}

/// What passes through a gate.
fn gated(gate: &Tensor, up: &Tensor, activation: Activation) -> candle_core::Result<Tensor> {
    let gate = activate(gate, activation)?;
    match activation {
        Activation::Silu | Activation::GeluTanh => gate.mul(up),
        Activation::ClampedSwiglu { limit, .. } => {
            let limit = f64::from(limit);
            gate.mul(&(up.clamp(-limit, limit)? + 1.0)?)
        }
    }
}

/// RMS norm of `heads` `[rows, heads, head_dim]`, each by itself or all together.
fn normalise_heads(heads: &Tensor, weight: &Tensor, eps: f32) -> candle_core::Result<Tensor> {
    let dims = heads.dims3()?;
    if weight.elem_count() == dims.2 {
        return normalise(heads, weight, eps);
    }
    normalise(&heads.flatten_from(1)?, weight, eps)?.reshape(dims)
}

/// RMS norm over the last dimension.
fn normalise(x: &Tensor, weight: &Tensor, eps: f32) -> candle_core::Result<Tensor> {
    let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
    let scale = mean.affine(1.0, f64::from(eps))?.sqrt()?.recip()?;
    x.broadcast_mul(&scale)?.broadcast_mul(weight)
}

/// Query, key and value heads of fused rows, `[rows, heads, head_dim]` each.
fn split_qkv(rows: &Tensor, shape: &QkvShape) -> candle_core::Result<(Tensor, Tensor, Tensor)> {
    let count = rows.dim(0)?;
    let (q_size, kv_size) = (shape.q_size(), shape.kv_size());
    let heads = |start: usize, num_heads: usize| {
        rows.narrow(1, start, num_heads * shape.head_dim)?.reshape((
            count,
            num_heads,
            shape.head_dim,
        ))
    };
    Ok((
        heads(0, shape.num_q_heads)?,
        heads(q_size, shape.num_kv_heads)?,
        heads(q_size + kv_size, shape.num_kv_heads)?,
    ))
}

/// The inverse of [`split_qkv`].
fn join_qkv(q: &Tensor, k: &Tensor, v: &Tensor) -> candle_core::Result<Tensor> {
    Tensor::cat(&[q, k, v], 1)?.flatten_from(1)
}

/// Rotates the first `rotary_dim` elements of `heads` `[rows, heads, head_dim]`; `cos` and `sin`
/// are `[rows, 1, rotary_dim / 2]`.
fn rotate(
    heads: &Tensor,
    cos: &Tensor,
    sin: &Tensor,
    rotary_dim: usize,
) -> candle_core::Result<Tensor> {
    let half = rotary_dim / 2;
    let head_dim = heads.dim(2)?;
    let (a, b) = (heads.narrow(2, 0, half)?, heads.narrow(2, half, half)?);
    let first = (a.broadcast_mul(cos)? - b.broadcast_mul(sin)?)?;
    let second = (b.broadcast_mul(cos)? + a.broadcast_mul(sin)?)?;
    if rotary_dim == head_dim {
        return Tensor::cat(&[first, second], 2);
    }
    let rest = heads.narrow(2, rotary_dim, head_dim - rotary_dim)?;
    Tensor::cat(&[first, second, rest], 2)
}

fn device_error(op: &'static str, source: candle_core::Error) -> KernelError {
    KernelError::Device {
        op,
        source: Box::new(source),
    }
}
