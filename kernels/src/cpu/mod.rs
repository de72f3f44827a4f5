//! The native CPU backend: packed weights, f32 activations, threads and SIMD of its own.
//!
//! A row's bits depend on its own sequence alone ([`Backend::batch_invariant`]). Products keep SIMD
//! lanes on output columns and add over the inputs in ascending order, whatever tile computes them;
//! attention cuts keys at absolute positions; norms add in an order fixed by the row's length; and
//! which thread computes what changes no order. Different instruction sets may differ in bits: from
//! [`InstructionSet::Avx512Bf16`] on, what is multiplied with weights in bfloat16 is rounded to it, and
//! so are the queries and softmax weights that meet a cache in bfloat16 or 8 bits; with
//! [`InstructionSet::Amx`], inputs of integer products have 8 bits instead of 15.
//!
//! The processor's denormal modes are left alone: Rust assumes the default floating-point
//! environment, and every thread, the caller's too, would have to agree. Instead `exp` flushes
//! results that could make products subnormal.

#![expect(
    unsafe_code,
    reason = "what a cache holds is read and written through pointers"
)]

mod activation;
mod attention;
mod buffer;
mod exp;
pub(crate) mod instruction_set;
mod kv;
mod linear;
mod lora;
mod memory;
mod norm;
mod packed;
mod pairs;
mod pool;
mod portable;
mod prefetch;
mod rope;
#[expect(
    clippy::needless_pass_by_value,
    reason = "operations are handed on as the backend takes them"
)]
mod rows;
pub(crate) mod simd;
pub mod softmax;
mod tile;
pub(crate) mod tiles;
mod widen;

pub use buffer::CpuBuffer;
pub use instruction_set::InstructionSet;
pub use kv::CpuKvCache;
pub use lora::CpuLora;
pub use packed::PackedLinear;
pub use rope::CpuRopeTable;

use std::num::NonZero;

use crate::cpu::attention::{Layer, Workspace};
use crate::cpu::kv::{Elements, KvElement, KvRows, Store};
use crate::cpu::linear::{Forms, FormsInUse, Input, Operand};
use crate::cpu::memory::AlignedSlice;
use crate::cpu::packed::Bf16Product;
use crate::cpu::pool::Pool;
use crate::cpu::rope::Rotation;
use crate::cpu::simd::Isa;
use crate::{
    Activate, Add, AddRmsNorm, AddRows, Attention, Backend, BlockCopy, Clear, Embed, GatedLinear,
    GatherRows, KernelError, KvCacheShape, KvDtype, LayerNorm, Linear, PackedBlocks, RmsNorm,
    RopeTableView, SoftCap, StepSizes, StoredLinear, WeightFormat, WeightView, Workers, WriteKv,
};

/// How to run the CPU backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuOptions {
    /// Threads, the caller's included; `None` takes what the machine offers.
    pub threads: Option<NonZero<usize>>,
    /// Keep each thread of the pool on a core of its own. The caller's thread, which does other
    /// things too, is left to the scheduler, and a core is left to it.
    pub pin_threads: bool,
    /// Instructions to use; `None` takes the machine's best.
    pub instruction_set: Option<InstructionSet>,
}

/// The native CPU backend.
pub struct Cpu {
    isa: Isa,
    pool: Pool,
    workspace: Workspace,
    /// What the inputs of products are made into by the operations before them.
    forms: FormsInUse,
    /// The input of the product that is computed, where that has not happened.
    operand: Operand,
}

/// Weights of a norm.
pub struct CpuVector(AlignedSlice<f32>);

impl Cpu {
    /// Detects the instruction set and starts the threads.
    ///
    /// # Errors
    /// `Unsupported` when the machine lacks the instruction set, `Device` when the operating system
    /// refuses a thread, cannot pin threads, or allows fewer cores than there are threads to pin.
    pub fn new(options: CpuOptions) -> Result<Self, KernelError> {
        let isa = match options.instruction_set {
            None => Isa::detect(),
            Some(set) => Isa::new(set).ok_or_else(|| KernelError::Unsupported {
                what: format!("the instruction set {set}"),
            })?,
        };
        let threads = options
            .threads
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, NonZero::get);
        let pool = Pool::new(threads, options.pin_threads).map_err(|e| KernelError::Device {
            op: "start threads",
            source: Box::new(e),
        })?;
        Ok(Self {
            isa,
            pool,
            workspace: Workspace::new()?,
            forms: FormsInUse::default(),
            operand: Operand::new()?,
        })
    }

    /// Attention over a cache of `T`.
    fn attend<T: KvElement>(
        &mut self,
        kv: &Store<T>,
        op: Attention<'_, Self>,
    ) -> Result<(), KernelError> {
        let Attention {
            qkv,
            shape,
            layer,
            batch,
            pool,
            scale,
            soft_cap,
            sinks,
            window,
            out,
            ..
        } = op;
        let rows = batch.num_tokens();
        let layer = Layer {
            qkv: qkv.rows(rows),
            shape,
            kv,
            layer,
            batch,
            pool,
            scale,
            soft_cap,
            sinks: sinks.map(|sinks| &*sinks.0),
            window,
        };
        let out = out.rows_mut(rows);
        layer.attend(&self.pool, self.isa, &mut self.workspace, out)
    }

    /// Sees to it that [`Self::input`] finds the rows of `input` as products with `weight` take them.
    fn prepare(
        &mut self,
        weight: &PackedLinear,
        input: &CpuBuffer,
        rows: usize,
    ) -> Result<(), KernelError> {
        let forms = Forms::of(self.isa, weight, rows);
        if input.operand.has(forms, rows) {
            return Ok(());
        }
        let by = (&self.pool, self.isa);
        let (floats, depth) = (input.rows(rows), input.cols);
        self.operand
            .fill(by, forms, floats, input.max_rows(), depth)
    }

    /// The rows of `input`, as products with `weight` take them.
    fn input<'a>(&'a self, weight: &PackedLinear, input: &'a CpuBuffer, rows: usize) -> Input<'a> {
        let there = input.operand.has(Forms::of(self.isa, weight, rows), rows);
        Input {
            floats: input.rows(rows),
            operand: if there { &input.operand } else { &self.operand },
            rows,
        }
    }
}

impl Backend for Cpu {
    type Buffer = CpuBuffer;
    type Linear = PackedLinear;
    type Vector = CpuVector;
    type RopeTable = CpuRopeTable;
    type KvCache = CpuKvCache;
    const KV_DTYPES: &'static [KvDtype] = &[KvDtype::F32, KvDtype::Bf16, KvDtype::Int8];

    fn description(&self) -> String {
        let (name, threads) = (self.isa.name(), self.pool.num_threads());
        format!("cpu: {name}, {threads} threads")
    }

    fn batch_invariant(&self) -> bool {
        true
    }

    fn workers(&self) -> &dyn Workers {
        &self.pool
    }

    fn reserve(&mut self, sizes: &StepSizes) -> Result<(), KernelError> {
        self.workspace.reserve(self.pool.num_threads(), sizes)
    }

    fn pack_linear(
        &self,
        parts: &[WeightView<'_>],
        bias: Option<&[f32]>,
        formats: &[WeightFormat],
    ) -> Result<PackedLinear, KernelError> {
        let product = Bf16Product::of(self.isa);
        let packed = PackedLinear::pack(&self.pool, self.isa, parts, bias, formats, product)?;
        self.forms.add(&packed);
        Ok(packed)
    }

    fn packed_blocks<'a>(&self, linear: &'a PackedLinear) -> Option<Vec<PackedBlocks<'a>>> {
        linear.blocks()
    }

    fn restore_linear(
        &self,
        stored: &StoredLinear<'_>,
    ) -> Result<Option<PackedLinear>, KernelError> {
        let restored = PackedLinear::restore(&self.pool, stored)?;
        if let Some(packed) = &restored {
            self.forms.add(packed);
        }
        Ok(restored)
    }

    fn vector(&self, values: &[f32]) -> Result<CpuVector, KernelError> {
        let mut vector = AlignedSlice::zeroed(values.len(), "vector")?;
        vector.copy_from_slice(values);
        Ok(CpuVector(vector))
    }

    fn rope_table(&self, table: RopeTableView<'_>) -> Result<CpuRopeTable, KernelError> {
        CpuRopeTable::new(table)
    }

    fn buffer(&self, max_rows: usize, cols: usize) -> Result<CpuBuffer, KernelError> {
        CpuBuffer::new(max_rows, cols)
    }

    fn kv_cache(&self, shape: KvCacheShape) -> Result<CpuKvCache, KernelError> {
        CpuKvCache::new(shape)
    }

    fn kv_bytes_per_token(&self, shape: &KvCacheShape) -> usize {
        CpuKvCache::bytes_per_token(shape)
    }

    fn kv_layout(&self) -> String {
        format!("cpu 1 {}", self.isa.name())
    }

    fn kv_block_bytes(&self, kv: &CpuKvCache) -> usize {
        kv.block_bytes()
    }

    fn read_block(
        &mut self,
        kv: &CpuKvCache,
        block: usize,
        out: &mut [u8],
    ) -> Result<(), KernelError> {
        kv.read_block(block, out);
        Ok(())
    }

    fn write_block(
        &mut self,
        kv: &mut CpuKvCache,
        block: usize,
        bytes: &[u8],
    ) -> Result<(), KernelError> {
        kv.write_block(block, bytes);
        Ok(())
    }

    fn copy_blocks(
        &mut self,
        kv: &mut CpuKvCache,
        copies: &[BlockCopy],
    ) -> Result<(), KernelError> {
        kv.copy_blocks(copies);
        Ok(())
    }

    fn embed(&mut self, op: Embed<'_, Self>) -> Result<(), KernelError> {
        rows::embed(self, op)
    }

    fn rms_norm(&mut self, op: RmsNorm<'_, Self>) -> Result<(), KernelError> {
        rows::rms_norm(self, op)
    }

    fn layer_norm(&mut self, op: LayerNorm<'_, Self>) -> Result<(), KernelError> {
        rows::layer_norm(self, op)
    }

    fn add_rms_norm(&mut self, op: AddRmsNorm<'_, Self>) -> Result<(), KernelError> {
        rows::add_rms_norm(self, op)
    }

    fn add(&mut self, op: Add<'_, Self>) -> Result<(), KernelError> {
        rows::add(self, op);
        Ok(())
    }

    fn linear(&mut self, op: Linear<'_, Self>) -> Result<(), KernelError> {
        let widths = [op.input.cols, op.out.cols];
        let features = [op.weight.in_features(), op.weight.out_features()];
        assert_eq!(widths, features, "linear: columns");
        self.prepare(op.weight, op.input, op.rows)?;
        let out = op.out.rows_mut(op.rows);
        let input = self.input(op.weight, op.input, op.rows);
        linear::linear(&self.pool, self.isa, op.weight, input, out);
        Ok(())
    }

    fn write_kv(&mut self, op: WriteKv<'_, Self>) -> Result<(), KernelError> {
        assert_eq!(op.qkv.cols, op.shape.row_size(), "write_kv: columns");
        if let Some(norm) = &op.norm {
            rows::head_norm(self, norm, op.shape, op.qkv.rows_mut(op.slot_mapping.len()));
        }
        let rows = KvRows {
            qkv: op.qkv.rows_mut(op.slot_mapping.len()),
            shape: op.shape,
            rotation: op.rope.map(|rope| Rotation {
                table: rope.table,
                positions: rope.positions,
            }),
            slots: op.slot_mapping,
        };
        op.kv.write(&self.pool, self.isa, op.layer, rows);
        Ok(())
    }

    fn attention(&mut self, op: Attention<'_, Self>) -> Result<(), KernelError> {
        assert_eq!(
            op.qkv.cols,
            op.shape.row_size(),
            "attention: columns of qkv"
        );
        assert_eq!(
            op.out.cols,
            op.shape.q_size(),
            "attention: columns of the output"
        );
        match op.kv.elements() {
            Elements::F32(kv) => self.attend(kv, op),
            Elements::Bf16(kv) => self.attend(kv, op),
            Elements::Int8(kv) => self.attend(kv, op),
        }
    }

    fn gated_linear(&mut self, op: GatedLinear<'_, Self>) -> Result<(), KernelError> {
        let widths = [op.input.cols, op.gate_up.cols, 2 * op.out.cols];
        let features = [op.weight.in_features(), op.weight.out_features()];
        assert_eq!(
            widths,
            [features[0], features[1], features[1]],
            "gated_linear: columns"
        );
        self.prepare(op.weight, op.input, op.rows)?;
        let gate_up = op.gate_up.rows_mut(op.rows);
        let out = op.out.rows_mut(op.rows);
        let input = self.input(op.weight, op.input, op.rows);
        let by = (&self.pool, self.isa);
        linear::gated_linear(by, (op.weight, op.activation), input, gate_up, out);
        Ok(())
    }

    fn activate(&mut self, op: Activate<'_, Self>) -> Result<(), KernelError> {
        rows::activate(self, op);
        Ok(())
    }

    fn soft_cap(&mut self, op: SoftCap<'_, Self>) -> Result<(), KernelError> {
        rows::soft_cap(self, op);
        Ok(())
    }

    fn gather_rows(&mut self, op: GatherRows<'_, Self>) -> Result<(), KernelError> {
        rows::gather_rows(op);
        Ok(())
    }

    fn clear(&mut self, op: Clear<'_, Self>) -> Result<(), KernelError> {
        op.out.rows_mut(op.rows).fill(0.0);
        Ok(())
    }

    fn add_rows(&mut self, op: AddRows<'_, Self>) -> Result<(), KernelError> {
        rows::add_rows(op);
        Ok(())
    }

    fn read<'a>(
        &mut self,
        buffer: &'a CpuBuffer,
        rows: usize,
        _host: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], KernelError> {
        Ok(buffer.rows(rows))
    }
}
