//! NVIDIA GPUs: own kernels in `kernels/cuda`, and the library's products of many rows.
//!
//! The backend plans on the host and knows no driver: a [`CudaDevice`] runs the kernels, which is a GPU
//! or, in tests, an emulator.

pub(crate) mod arguments;
mod attention;
mod buffer;
mod bytes;
pub(crate) mod device;
mod function;
mod graphs;
mod kv;
mod linear;
mod lora;
mod sample;
mod step;

pub use arguments::{Arguments, Kernel};
pub use buffer::{CudaBuffer, CudaRopeTable, CudaVector};
pub use device::{CudaDevice, Geometry, Product, ProductDtype};
pub use kv::CudaKvCache;
pub use linear::CudaLinear;
pub use lora::CudaLora;

use crate::cuda::arguments::{
    AddArguments, AddRowsArguments, ClearArguments, FunctionArguments, GateArguments,
    GatherRowsArguments, LayerNormArguments, RmsNormArguments, Values,
};
use crate::cuda::attention::{MAX_HEAD_DIM, Partials};
use crate::cuda::device::Staged;
use crate::cuda::function::{SOFT_CAP, function};
use crate::cuda::graphs::Graphs;
use crate::cuda::linear::{Operands, Rounded};
use crate::cuda::sample::Draws;
use crate::cuda::step::{Section, StepInputs};
use crate::{
    Activate, ActivationDtype, Add, AddRmsNorm, AddRows, Attention, Backend, BlockCopy, Clear,
    DRAWN_BEFORE, Embed, GatedLinear, GatherRows, KernelError, KvCacheShape, KvDtype, LayerNorm,
    Linear, ReadDrawn, RmsNorm, RopeTableView, Sample, SoftCap, StepBatch, StepSizes, SumOrder,
    WeightFormat, WeightView, WriteKv,
};

/// Threads of a block that takes a row.
const ROW_THREADS: usize = 256;

/// The backend on a device.
///
/// Activations are rounded to bfloat16 where they meet weights, keys and values in bfloat16.
pub struct Cuda<D: CudaDevice> {
    device: D,
    /// Of what products are made of.
    dtype: ActivationDtype,
    sum_order: SumOrder,
    token_ids: Staged<D>,
    positions: Staged<D>,
    slots: Staged<D>,
    rows: Staged<D>,
    factors: Staged<D>,
    draws: Draws<D>,
    /// What becomes of factors on their way.
    factor_bits: Vec<u32>,
    rounded: Rounded<D>,
    inputs: StepInputs<D>,
    partials: Partials<D>,
    graphs: Graphs<D>,
}

impl<D: CudaDevice> Cuda<D> {
    /// The backend on `device`, which keeps what products are made of as `dtype` and sums in `sum_order`.
    pub fn new(device: D, dtype: ActivationDtype, sum_order: SumOrder) -> Self {
        Self {
            device,
            dtype,
            sum_order,
            token_ids: Staged::new("token ids"),
            positions: Staged::new("positions"),
            slots: Staged::new("slots"),
            rows: Staged::new("rows"),
            factors: Staged::new("factors"),
            draws: Draws::new(),
            factor_bits: Vec::new(),
            rounded: Rounded::new(),
            inputs: StepInputs::new(sum_order),
            partials: Partials::new(sum_order),
            graphs: Graphs::new(),
        }
    }

    /// `residual`, when there is a delta, becomes `input + scale * delta` first.
    fn norm_rows(&self, rows: usize, arguments: &RmsNormArguments) -> Result<(), KernelError> {
        self.device
            .launch(Geometry::new([rows, 1], ROW_THREADS), arguments)
    }

    fn apply(
        &self,
        values: &CudaBuffer<D>,
        rows: usize,
        (function, alpha, limit): (u32, f32, f32),
    ) -> Result<(), KernelError> {
        let count = rows * values.cols;
        let arguments = FunctionArguments {
            values: values.values(&self.device, rows),
            count: count as u64,
            function,
            alpha,
            limit,
        };
        self.device.launch(Geometry::of_elements(count), &arguments)
    }
}

impl<D: CudaDevice> Backend for Cuda<D> {
    type Buffer = CudaBuffer<D>;
    type Linear = CudaLinear<D>;
    type Vector = CudaVector<D>;
    type RopeTable = CudaRopeTable<D>;
    type KvCache = CudaKvCache<D>;
    const KV_DTYPES: &'static [KvDtype] = &KvDtype::ALL;

    fn description(&self) -> String {
        let device = self.device.description();
        match self.sum_order {
            SumOrder::Free => format!("cuda: {device}"),
            SumOrder::Fixed => format!("cuda: {device}, fixed sums"),
        }
    }

    fn batch_invariant(&self) -> bool {
        self.sum_order == SumOrder::Fixed
    }

    fn reserve(&mut self, sizes: &StepSizes) -> Result<(), KernelError> {
        let device = &self.device;
        for staged in [
            &mut self.token_ids,
            &mut self.positions,
            &mut self.slots,
            &mut self.rows,
            &mut self.factors,
        ] {
            staged.reserve(device, sizes.max_tokens)?;
        }
        self.factor_bits.reserve(sizes.max_tokens);
        self.draws.reserve(device, sizes.max_seqs)?;
        self.rounded.reserve(device, sizes.max_tokens)?;
        self.inputs.reserve(device, sizes)?;
        self.partials.reserve(device, &sizes.qkv)
    }

    fn padded_rows(&self, rows: usize) -> usize {
        graphs::padded_rows(rows)
    }

    fn begin_step(&mut self, batch: &StepBatch, repeats: bool) -> Result<bool, KernelError> {
        self.inputs.set(&self.device, batch)?;
        let (layout, generation) = self.inputs.layout();
        let layout = repeats.then_some(layout);
        self.graphs.begin(&self.device, layout, generation)
    }

    fn end_step(&mut self, has_failed: bool) -> Result<(), KernelError> {
        self.graphs.end(&self.device, has_failed)
    }

    fn pack_linear(
        &self,
        parts: &[WeightView<'_>],
        bias: Option<&[f32]>,
        formats: &[WeightFormat],
    ) -> Result<CudaLinear<D>, KernelError> {
        let linear = CudaLinear::pack(&self.device, parts, bias, formats)?;
        self.rounded.expect(&linear);
        Ok(linear)
    }

    fn vector(&self, values: &[f32]) -> Result<CudaVector<D>, KernelError> {
        CudaVector::new(&self.device, values)
    }

    fn rope_table(&self, table: RopeTableView<'_>) -> Result<CudaRopeTable<D>, KernelError> {
        Ok(CudaRopeTable {
            cos: self.vector(table.cos)?,
            sin: self.vector(table.sin)?,
            rotary_dim: table.rotary_dim,
        })
    }

    fn buffer(&self, max_rows: usize, cols: usize) -> Result<CudaBuffer<D>, KernelError> {
        CudaBuffer::new(&self.device, self.dtype, max_rows, cols)
    }

    fn exact_buffer(&self, max_rows: usize, cols: usize) -> Result<CudaBuffer<D>, KernelError> {
        CudaBuffer::new(&self.device, ActivationDtype::F32, max_rows, cols)
    }

    fn kv_cache(&self, shape: KvCacheShape) -> Result<CudaKvCache<D>, KernelError> {
        if shape.head_dim > MAX_HEAD_DIM {
            let what = format!("kernels for heads of more than {MAX_HEAD_DIM} elements");
            return Err(KernelError::Unsupported { what });
        }
        CudaKvCache::new(&self.device, shape)
    }

    fn kv_bytes_per_token(&self, shape: &KvCacheShape) -> usize {
        kv::bytes_per_token(shape)
    }

    fn kv_layout(&self) -> String {
        // Blocks that were computed with other sums would show in the bits of what follows them.
        match self.sum_order {
            SumOrder::Free => "cuda 1".to_owned(),
            SumOrder::Fixed => "cuda 1, fixed sums".to_owned(),
        }
    }

    fn kv_block_bytes(&self, kv: &CudaKvCache<D>) -> usize {
        kv.block_bytes()
    }

    fn read_block(
        &mut self,
        kv: &CudaKvCache<D>,
        block: usize,
        out: &mut [u8],
    ) -> Result<(), KernelError> {
        kv.read_block(&self.device, block, out)
    }

    fn write_block(
        &mut self,
        kv: &mut CudaKvCache<D>,
        block: usize,
        bytes: &[u8],
    ) -> Result<(), KernelError> {
        kv.write_block(&self.device, block, bytes)
    }

    fn copy_blocks(
        &mut self,
        kv: &mut CudaKvCache<D>,
        copies: &[BlockCopy],
    ) -> Result<(), KernelError> {
        kv.copy(&self.device, copies)
    }

    fn embed(&mut self, op: Embed<'_, Self>) -> Result<(), KernelError> {
        let vocab_size = op.table.out_features();
        for &id in op.token_ids {
            let exists = match id & DRAWN_BEFORE {
                0 => (id as usize) < vocab_size,
                _ => self.draws.has_drawn((id & !DRAWN_BEFORE) as usize),
            };
            assert!(exists, "token {id} exists");
        }
        let drawn = self.draws.tokens(&self.device);
        let (device, staged) = (&self.device, &mut self.token_ids);
        let ids = staged.of_step(device, &self.inputs, Section::TokenIds, op.token_ids)?;
        let rows = op.token_ids.len();
        op.table
            .embed(&self.device, (ids, rows), drawn, op.scale, op.out)
    }

    fn rms_norm(&mut self, op: RmsNorm<'_, Self>) -> Result<(), KernelError> {
        assert_eq!(op.input.cols, op.weight.len, "elements of the weight");
        assert_eq!(op.input.cols, op.out.cols, "columns of the output");
        let arguments = RmsNormArguments {
            input: op.input.values(&self.device, op.rows),
            residual: Values::NONE,
            delta: Values::NONE,
            weight: op.weight.address(&self.device),
            out: op.out.values(&self.device, op.rows),
            cols: op.input.cols as u32,
            scale: 0.0,
            eps: op.eps,
        };
        self.norm_rows(op.rows, &arguments)
    }

    fn layer_norm(&mut self, op: LayerNorm<'_, Self>) -> Result<(), KernelError> {
        assert_eq!(op.input.cols, op.weight.len, "elements of the weight");
        assert_eq!(op.input.cols, op.bias.len, "elements of the bias");
        assert_eq!(op.input.cols, op.out.cols, "columns of the output");
        let arguments = LayerNormArguments {
            input: op.input.values(&self.device, op.rows),
            weight: op.weight.address(&self.device),
            bias: op.bias.address(&self.device),
            out: op.out.values(&self.device, op.rows),
            cols: op.input.cols as u32,
            eps: op.eps,
        };
        self.device
            .launch(Geometry::new([op.rows, 1], ROW_THREADS), &arguments)
    }

    fn add_rms_norm(&mut self, op: AddRmsNorm<'_, Self>) -> Result<(), KernelError> {
        assert_eq!(op.residual.cols, op.weight.len, "elements of the weight");
        assert_eq!(op.residual.cols, op.delta.cols, "columns of the delta");
        assert_eq!(op.residual.cols, op.out.cols, "columns of the output");
        let residual = op.residual.values(&self.device, op.rows);
        let arguments = RmsNormArguments {
            input: residual,
            residual,
            delta: op.delta.values(&self.device, op.rows),
            weight: op.weight.address(&self.device),
            out: op.out.values(&self.device, op.rows),
            cols: op.residual.cols as u32,
            scale: op.scale,
            eps: op.eps,
        };
        self.norm_rows(op.rows, &arguments)
    }

    fn add(&mut self, op: Add<'_, Self>) -> Result<(), KernelError> {
        assert_eq!(op.residual.cols, op.delta.cols, "columns of the delta");
        let count = op.rows * op.residual.cols;
        let arguments = AddArguments {
            out: op.residual.values(&self.device, op.rows),
            delta: op.delta.values(&self.device, op.rows),
            count: count as u64,
            scale: op.scale,
        };
        self.device.launch(Geometry::of_elements(count), &arguments)
    }

    fn linear(&mut self, op: Linear<'_, Self>) -> Result<(), KernelError> {
        let operands = Operands {
            input: op.input,
            rows: op.rows,
            out: op.out,
            sum_order: self.sum_order,
        };
        op.weight
            .multiply(&self.device, &mut self.rounded, &operands)
    }

    fn write_kv(&mut self, op: WriteKv<'_, Self>) -> Result<(), KernelError> {
        self.write_heads(&op)
    }

    fn attention(&mut self, op: Attention<'_, Self>) -> Result<(), KernelError> {
        self.attend(&op)
    }

    fn gated_linear(&mut self, op: GatedLinear<'_, Self>) -> Result<(), KernelError> {
        assert_eq!(op.gate_up.cols, 2 * op.out.cols, "columns of both halves");
        let function = function(op.activation);
        let operands = Operands {
            input: op.input,
            rows: op.rows,
            out: op.gate_up,
            sum_order: self.sum_order,
        };
        let (device, rounded, weight) = (&self.device, &mut self.rounded, op.weight);
        if weight.multiply_gated(device, rounded, &operands, (function, op.out))? {
            return Ok(());
        }
        weight.multiply(device, rounded, &operands)?;
        let (function, alpha, limit) = function;
        let arguments = GateArguments {
            gate_up: op.gate_up.values(&self.device, op.rows),
            out: op.out.values(&self.device, op.rows),
            first_row: 0,
            rows: op.rows as u32,
            cols: op.out.cols as u32,
            function,
            alpha,
            limit,
        };
        let geometry = Geometry::of_elements(op.rows * op.out.cols);
        self.device.launch(geometry, &arguments)
    }

    fn activate(&mut self, op: Activate<'_, Self>) -> Result<(), KernelError> {
        self.apply(op.values, op.rows, function(op.activation))
    }

    fn soft_cap(&mut self, op: SoftCap<'_, Self>) -> Result<(), KernelError> {
        self.apply(op.values, op.rows, (SOFT_CAP, 0.0, op.cap))
    }

    fn gather_rows(&mut self, op: GatherRows<'_, Self>) -> Result<(), KernelError> {
        assert_eq!(op.input.cols, op.out.cols, "columns of the output");
        let device = &self.device;
        let last = op.rows.iter().max().map_or(0, |&row| row as usize + 1);
        let arguments = GatherRowsArguments {
            input: op.input.values(device, last),
            rows: self
                .rows
                .of_step(device, &self.inputs, Section::LogitsRows, op.rows)?,
            factors: 0,
            out: op.out.values(device, op.rows.len()),
            cols: op.input.cols as u32,
        };
        device.launch(Geometry::new([op.rows.len(), 1], ROW_THREADS), &arguments)
    }

    fn clear(&mut self, op: Clear<'_, Self>) -> Result<(), KernelError> {
        let count = op.rows * op.out.cols;
        let arguments = ClearArguments {
            values: op.out.values(&self.device, op.rows),
            count: count as u64,
        };
        self.device.launch(Geometry::of_elements(count), &arguments)
    }

    fn add_rows(&mut self, op: AddRows<'_, Self>) -> Result<(), KernelError> {
        assert_eq!(op.input.cols, op.out.cols, "columns of the output");
        assert_eq!(op.rows.len(), op.factors.len(), "a factor for each row");
        let device = &self.device;
        let last = op.rows.iter().max().map_or(0, |&row| row as usize + 1);
        self.factor_bits.clear();
        self.factor_bits
            .extend(op.factors.iter().map(|factor| factor.to_bits()));
        let arguments = AddRowsArguments {
            input: op.input.values(device, op.rows.len()),
            rows: self.rows.send(device, op.rows)?,
            factors: self.factors.send(device, &self.factor_bits)?,
            out: op.out.values(device, last),
            cols: op.input.cols as u32,
        };
        device.launch(Geometry::new([op.rows.len(), 1], ROW_THREADS), &arguments)
    }

    fn runs_ahead(&self) -> bool {
        true
    }

    fn sample(&mut self, op: Sample<'_, Self>) -> Result<bool, KernelError> {
        self.draw(&op).map(|()| true)
    }

    fn read_drawn(&mut self, mut op: ReadDrawn<'_, Self>) -> Result<(), KernelError> {
        self.take_drawn(&mut op)
    }

    fn read<'a>(
        &mut self,
        buffer: &'a CudaBuffer<D>,
        rows: usize,
        host: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], KernelError> {
        buffer.read(&self.device, rows, host)?;
        Ok(host)
    }
}
