//! The seam between a model and a device.

use crate::{
    Activate, Add, AddRmsNorm, AddRows, Attention, BlockCopy, Caller, Clear, Embed, GatedLinear,
    GatherRows, KvDtype, LayerNorm, Linear, PackedBlocks, ReadDrawn, RmsNorm, Sample, SoftCap,
    StepBatch, StoredLinear, WeightFormat, WeightView, Workers, WriteKv,
};

/// Shape of the paged KV cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvCacheShape {
    /// Decoder layers.
    pub num_layers: usize,
    /// Blocks, the null block included.
    pub num_blocks: usize,
    /// Tokens per block.
    pub block_size: usize,
    /// Key/value heads.
    pub num_kv_heads: usize,
    /// Elements per head.
    pub head_dim: usize,
    /// Type of the elements.
    pub dtype: KvDtype,
}

/// How a row of the fused projection is divided: `num_q_heads` query heads, then `num_kv_heads` key
/// heads, then `num_kv_heads` value heads, each of `head_dim` elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QkvShape {
    /// Query heads; a multiple of `num_kv_heads` (equal: MHA, one KV head: MQA, between: GQA).
    pub num_q_heads: usize,
    /// Key/value heads.
    pub num_kv_heads: usize,
    /// Elements per head.
    pub head_dim: usize,
}

impl QkvShape {
    /// Elements of all query heads.
    pub fn q_size(&self) -> usize {
        self.num_q_heads * self.head_dim
    }

    /// Elements of all key heads (as many as of all value heads).
    pub fn kv_size(&self) -> usize {
        self.num_kv_heads * self.head_dim
    }

    /// Elements of one row.
    pub fn row_size(&self) -> usize {
        self.q_size() + 2 * self.kv_size()
    }
}

/// What no step of a model exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepSizes {
    /// Of every layer.
    pub qkv: QkvShape,
    /// Tokens computed.
    pub max_tokens: usize,
    /// Sequences.
    pub max_seqs: usize,
    /// Tokens that a row attends to.
    pub max_context: usize,
}

/// Cosines and sines of the rotary embedding, computed once by the model.
#[derive(Clone, Copy)]
pub struct RopeTableView<'a> {
    /// `[max_positions, rotary_dim / 2]`, row-major.
    pub cos: &'a [f32],
    /// `[max_positions, rotary_dim / 2]`, row-major.
    pub sin: &'a [f32],
    /// Elements at the head's start that are rotated (all of them in most models).
    pub rotary_dim: usize,
}

/// What a kernel or its memory can fail with.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Weights of a shape that the operation cannot take.
    #[error("{op}: {tensor}: {reason}")]
    Shape {
        /// Operation.
        op: &'static str,
        /// Tensor named in the checkpoint.
        tensor: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// The device has no room.
    #[error("out of memory: {what} needs {bytes} bytes")]
    OutOfMemory {
        /// What was being allocated.
        what: &'static str,
        /// Bytes asked for.
        bytes: usize,
    },
    /// This machine cannot do it.
    #[error("this machine does not have {what}")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// The device or its library failed.
    #[error("{op}: {source}")]
    Device {
        /// Operation.
        op: &'static str,
        /// The library's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A device: packed weights, activations, the KV cache, and the dozen operations of a decoder.
///
/// Everything is allocated when the model is loaded; a step allocates no device memory. On the
/// backends that promise it ([`Backend::batch_invariant`]) the bits of a row depend on that row's
/// sequence alone: not on the other rows, nor on how its tokens were divided into steps.
pub trait Backend: Send + Sized + 'static {
    /// Activations: a `[max_rows, cols]` matrix on the device.
    type Buffer: Send;
    /// Packed weights of a matrix product, with an optional bias.
    type Linear: Send;
    /// Weights of a norm, f32.
    type Vector: Send;
    /// Cosines and sines on the device.
    type RopeTable: Send;
    /// Paged keys and values of all layers.
    type KvCache: Send;

    /// What the elements of its KV cache may be.
    const KV_DTYPES: &'static [KvDtype];

    /// One line for logs: device, features in use, threads.
    fn description(&self) -> String;

    /// Whether a row's bits are independent of the batch.
    fn batch_invariant(&self) -> bool;

    /// Threads of the backend that have nothing to do between two operations.
    fn workers(&self) -> &dyn Workers {
        &Caller
    }

    /// Makes what steps need beside their buffers, so that steps allocate nothing: none that
    /// decodes, and none like an earlier one.
    ///
    /// # Errors
    /// `OutOfMemory`.
    fn reserve(&mut self, _sizes: &StepSizes) -> Result<(), KernelError> {
        Ok(())
    }

    /// As how many rows a step of `rows` rows is best run, if it may have rows that nobody reads: at
    /// least as many.
    fn padded_rows(&self, rows: usize) -> usize {
        rows
    }

    /// Begins the operations of a step, which are then asked for in their order, up to
    /// [`Backend::end_step`]; or does all of them at once, as it did for a step like it before, and
    /// returns `true`.
    ///
    /// Of steps that `repeat`, operations are the same for every batch with as many rows and logits
    /// rows: they differ in what the batch's vectors hold alone.
    ///
    /// # Errors
    /// `Device`.
    fn begin_step(&mut self, _batch: &StepBatch, _repeats: bool) -> Result<bool, KernelError> {
        Ok(false)
    }

    /// Ends the operations of a step that was begun and not done at once.
    ///
    /// # Errors
    /// `Device`.
    fn end_step(&mut self, _has_failed: bool) -> Result<(), KernelError> {
        Ok(())
    }

    /// Packs the matrices `parts`, stacked on the output axis (qkv, gate and up), for
    /// [`Backend::linear`]. `bias` covers all stacked rows, `formats` has one for each part.
    ///
    /// # Errors
    /// `Shape` when the parts' input features differ; `OutOfMemory`.
    ///
    /// # Panics
    /// If there are not as many formats as parts.
    fn pack_linear(
        &self,
        parts: &[WeightView<'_>],
        bias: Option<&[f32]>,
        formats: &[WeightFormat],
    ) -> Result<Self::Linear, KernelError>;

    /// What a matrix is packed as, in the order of its output features; `None` if its weights are no
    /// blocks, or the backend gives none away. Only a backend that packs the same matrix into the
    /// same bytes can take them back.
    fn packed_blocks<'a>(&self, _linear: &'a Self::Linear) -> Option<Vec<PackedBlocks<'a>>> {
        None
    }

    /// The matrix that [`Backend::packed_blocks`] gave the bytes of; `None` if they cannot be read, or
    /// the backend gives none away.
    ///
    /// # Errors
    /// `Shape` of what cannot have been packed; `OutOfMemory`.
    fn restore_linear(
        &self,
        _stored: &StoredLinear<'_>,
    ) -> Result<Option<Self::Linear>, KernelError> {
        Ok(None)
    }

    /// Uploads a vector of f32.
    ///
    /// # Errors
    /// `OutOfMemory`.
    fn vector(&self, values: &[f32]) -> Result<Self::Vector, KernelError>;

    /// Uploads the rotary table.
    ///
    /// # Errors
    /// `OutOfMemory`.
    fn rope_table(&self, table: RopeTableView<'_>) -> Result<Self::RopeTable, KernelError>;

    /// Allocates activations, `max_rows * cols` f32, or what this backend keeps them in.
    ///
    /// # Errors
    /// `OutOfMemory`.
    fn buffer(&self, max_rows: usize, cols: usize) -> Result<Self::Buffer, KernelError>;

    /// Allocates activations that keep f32, where others may be rounded to what products round them to
    /// anyway: sums over layers, what is rotated or normalised after a product, logits.
    ///
    /// # Errors
    /// `OutOfMemory`.
    fn exact_buffer(&self, max_rows: usize, cols: usize) -> Result<Self::Buffer, KernelError> {
        self.buffer(max_rows, cols)
    }

    /// Allocates the KV cache.
    ///
    /// # Errors
    /// `OutOfMemory`.
    fn kv_cache(&self, shape: KvCacheShape) -> Result<Self::KvCache, KernelError>;

    /// Bytes that one token's keys and values take in all layers.
    fn kv_bytes_per_token(&self, shape: &KvCacheShape) -> usize;

    /// Names how [`read_block`](Self::read_block) lays bytes out and with which arithmetic they were
    /// made: blocks of one name can be read back by any cache of the same shape and name.
    fn kv_layout(&self) -> String;

    /// Bytes of a block in all layers, as [`read_block`](Self::read_block) writes them.
    fn kv_block_bytes(&self, kv: &Self::KvCache) -> usize;

    /// Copies a block's keys and values of all layers to `out`, `[kv_block_bytes]`.
    ///
    /// # Errors
    /// `Device`.
    ///
    /// # Panics
    /// If the block does not exist or `out` has another length.
    fn read_block(
        &mut self,
        kv: &Self::KvCache,
        block: usize,
        out: &mut [u8],
    ) -> Result<(), KernelError>;

    /// Puts back what [`read_block`](Self::read_block) has copied, into any block.
    ///
    /// # Errors
    /// `Device`.
    ///
    /// # Panics
    /// If the block does not exist or `bytes` has another length.
    fn write_block(
        &mut self,
        kv: &mut Self::KvCache,
        block: usize,
        bytes: &[u8],
    ) -> Result<(), KernelError>;

    /// Runs the batch's block copies, in order, in every layer.
    ///
    /// # Errors
    /// `Device`.
    fn copy_blocks(
        &mut self,
        kv: &mut Self::KvCache,
        copies: &[BlockCopy],
    ) -> Result<(), KernelError>;

    /// See [`Embed`].
    ///
    /// # Errors
    /// `Device`.
    fn embed(&mut self, op: Embed<'_, Self>) -> Result<(), KernelError>;

    /// See [`RmsNorm`].
    ///
    /// # Errors
    /// `Device`.
    fn rms_norm(&mut self, op: RmsNorm<'_, Self>) -> Result<(), KernelError>;

    /// See [`LayerNorm`].
    ///
    /// # Errors
    /// `Device`.
    fn layer_norm(&mut self, op: LayerNorm<'_, Self>) -> Result<(), KernelError>;

    /// See [`AddRmsNorm`].
    ///
    /// # Errors
    /// `Device`.
    fn add_rms_norm(&mut self, op: AddRmsNorm<'_, Self>) -> Result<(), KernelError>;

    /// See [`Add`].
    ///
    /// # Errors
    /// `Device`.
    fn add(&mut self, op: Add<'_, Self>) -> Result<(), KernelError>;

    /// See [`Linear`].
    ///
    /// # Errors
    /// `Device`.
    fn linear(&mut self, op: Linear<'_, Self>) -> Result<(), KernelError>;

    /// See [`WriteKv`].
    ///
    /// # Errors
    /// `Device`.
    fn write_kv(&mut self, op: WriteKv<'_, Self>) -> Result<(), KernelError>;

    /// See [`Attention`].
    ///
    /// # Errors
    /// `Device`.
    fn attention(&mut self, op: Attention<'_, Self>) -> Result<(), KernelError>;

    /// See [`GatedLinear`].
    ///
    /// # Errors
    /// `Device`.
    fn gated_linear(&mut self, op: GatedLinear<'_, Self>) -> Result<(), KernelError>;

    /// See [`Activate`].
    ///
    /// # Errors
    /// `Device`.
    fn activate(&mut self, op: Activate<'_, Self>) -> Result<(), KernelError>;

    /// See [`SoftCap`].
    ///
    /// # Errors
    /// `Device`.
    fn soft_cap(&mut self, op: SoftCap<'_, Self>) -> Result<(), KernelError>;

    /// See [`GatherRows`].
    ///
    /// # Errors
    /// `Device`.
    fn gather_rows(&mut self, op: GatherRows<'_, Self>) -> Result<(), KernelError>;

    /// See [`Clear`].
    ///
    /// # Errors
    /// `Device`.
    fn clear(&mut self, op: Clear<'_, Self>) -> Result<(), KernelError>;

    /// See [`AddRows`].
    ///
    /// # Errors
    /// `Device`.
    fn add_rows(&mut self, op: AddRows<'_, Self>) -> Result<(), KernelError>;

    /// Whether operations have only begun when they return, so that the next step can be asked for
    /// before the tokens of this one are known.
    fn runs_ahead(&self) -> bool {
        false
    }

    /// See [`Sample`]. Returns whether it did so: where rows are the host's anyway, this is left to the
    /// caller.
    ///
    /// # Errors
    /// `Device`; `OutOfMemory` of more rows than were expected.
    fn sample(&mut self, _op: Sample<'_, Self>) -> Result<bool, KernelError> {
        Ok(false)
    }

    /// See [`ReadDrawn`].
    ///
    /// # Errors
    /// `Device`.
    ///
    /// # Panics
    /// If nothing was sampled that has not been read.
    fn read_drawn(&mut self, _op: ReadDrawn<'_, Self>) -> Result<(), KernelError> {
        unreachable!("nothing was sampled")
    }

    /// The first `rows` rows of `buffer` on the host, after every operation before it has finished.
    /// A backend with device memory copies into `host` and returns it.
    ///
    /// # Errors
    /// `Device`.
    fn read<'a>(
        &mut self,
        buffer: &'a Self::Buffer,
        rows: usize,
        host: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], KernelError>;
}
