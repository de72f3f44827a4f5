//! The decoder: one forward pass for every family, over any backend.

mod attention;
mod buffers;
mod experts;
mod feed_forward;
mod in_flight;
mod kv;
mod lora;
mod norms;
mod output;
mod padding;
mod routes;
mod weights;

use kernels::{
    Activation, DRAWN_BEFORE, Embed, KernelError, KvCacheShape, KvDtype, LoraBackend, QkvShape,
    StepBatch, StepSizes,
};

use crate::config::ModelConfig;
use crate::limits::{Limits, LoraLimits};
use crate::loading::Loading;
use crate::quantization::Precision;
use crate::weights::Checkpoint;
use crate::weights_cache::CacheNotice;
use crate::{AdapterSlots, KvBlocks, Logits, ModelRunner, StepsInFlight};

use buffers::Buffers;
use feed_forward::Rows;
use in_flight::InFlight;
use kv::KvCaches;
use lora::Adapters;
use weights::{Packing, Weights};

/// A model on a backend, with its KV cache and every buffer of a step.
///
/// Life cycle: [`Decoder::new`] packs the weights and allocates everything; then each
/// [`ModelRunner::forward`] reuses it.
pub(crate) struct Decoder<B: LoraBackend> {
    backend: B,
    weights: Weights<B>,
    shape: Shape,
    limits: Limits,
    buffers: Buffers<B>,
    adapters: Adapters<B>,
    kv: KvCaches<B>,
    /// A step with rows that nobody reads; kept for its memory.
    padded: StepBatch,
    in_flight: InFlight,
    /// See [`KvBlocks::layout`].
    kv_layout: String,
}

/// Numbers that every layer needs.
struct Shape {
    qkv: QkvShape,
    vocab_size: usize,
    eps: f32,
    attention_scale: f32,
    attention_soft_cap: Option<f32>,
    activation: Activation,
    embedding_multiplier: f32,
    residual_multiplier: f32,
    logits_soft_cap: Option<f32>,
}

impl<B: LoraBackend> Decoder<B> {
    /// Packs the weights of a checked checkpoint and allocates everything; `loading` hears how far
    /// that has come.
    ///
    /// # Errors
    /// `OutOfMemory`, `Shape`.
    pub(crate) fn new(
        mut backend: B,
        config: &ModelConfig,
        checkpoint: &Checkpoint,
        precision: Precision,
        kv_dtype: KvDtype,
        (limits, lora): (Limits, Option<LoraLimits>),
        loading: &mut Loading<'_>,
    ) -> Result<Self, KernelError> {
        let qkv = QkvShape {
            num_q_heads: config.num_q_heads,
            num_kv_heads: config.num_kv_heads,
            head_dim: config.head_dim,
        };
        let packing = Packing {
            backend: &backend,
            config,
            checkpoint,
            precision,
        };
        let weights = packing.pack(limits.max_model_len, loading)?;
        let buffers = Buffers::new(&backend, config, qkv, &limits)?;
        let adapters = Adapters::new(&backend, config, qkv, &limits, lora)?;
        backend.reserve(&StepSizes {
            qkv,
            max_tokens: limits.max_num_batched_tokens,
            max_seqs: limits.max_num_seqs,
            max_context: limits.max_model_len,
        })?;
        let kv = KvCacheShape {
            num_layers: config.num_layers(),
            num_blocks: limits.num_blocks,
            block_size: limits.block_size,
            num_kv_heads: config.num_kv_heads,
            head_dim: config.head_dim,
            dtype: kv_dtype,
        };
        let kv = KvCaches::new(&backend, config, &limits, kv)?;
        let shape = Shape {
            qkv,
            vocab_size: config.vocab_size,
            eps: config.norms.eps,
            attention_scale: config.attention_scale,
            attention_soft_cap: config.attention_soft_cap,
            activation: config.activation,
            embedding_multiplier: config.multipliers.embedding,
            residual_multiplier: config.multipliers.residual,
            logits_soft_cap: config.logits_soft_cap,
        };
        // Keys in the cache are rotated.
        let kv_layout = match config.rope.scaling.is_long(limits.max_model_len) {
            true => format!("{} long rope", backend.kv_layout()),
            false => backend.kv_layout(),
        };
        Ok(Self {
            backend,
            weights,
            shape,
            limits,
            buffers,
            adapters,
            kv,
            padded: StepBatch::default(),
            in_flight: InFlight::default(),
            kv_layout,
        })
    }

    /// Ends a load, as [`Loading::finish`] does.
    pub(crate) fn finish(&self, config: &ModelConfig, loading: Loading<'_>) -> Vec<CacheNotice> {
        loading.finish(&self.backend, self.weights.matrices(config).into_iter())
    }

    /// One line for logs.
    pub(crate) fn description(&self) -> String {
        self.backend.description()
    }

    /// # Panics
    /// If the batch exceeds the limits, or names a token outside the vocabulary.
    fn check(&self, batch: &StepBatch) {
        let (tokens, rows) = (batch.num_tokens(), batch.logits_rows.len());
        let limits = &self.limits;
        assert!(
            tokens <= limits.max_num_batched_tokens,
            "{tokens} tokens exceed {limits:?}"
        );
        assert!(
            rows <= limits.max_num_seqs.min(tokens),
            "{rows} logits rows exceed {limits:?}"
        );
        assert_eq!(
            batch.scored_rows.len(),
            batch.scored_tokens.len(),
            "a token for each scored row"
        );
        assert!(
            batch.draws.is_empty() || batch.draws.len() == rows,
            "a draw or none for each row"
        );
        let vocab_size = self.shape.vocab_size;
        let known = |&token: &u32| match token & DRAWN_BEFORE {
            0 => (token as usize) < vocab_size,
            _ => ((token & !DRAWN_BEFORE) as usize) < self.in_flight.rows_of_last(),
        };
        assert!(
            batch
                .token_ids
                .iter()
                .chain(&batch.scored_tokens)
                .all(known),
            "a token is outside the vocabulary"
        );
        let fits = |&position: &u32| (position as usize) < limits.max_model_len;
        assert!(
            batch.positions.iter().all(fits),
            "a position exceeds {limits:?}"
        );
    }
}

impl<B: LoraBackend> Decoder<B> {
    /// Whether the step's operations are those of every step with as many rows: one token of each
    /// sequence, each of which is sampled, and nothing that depends on what they hold.
    fn repeats(&self, batch: &StepBatch) -> bool {
        let (tokens, rows) = (batch.num_tokens(), batch.logits_rows.len());
        let asks_for_more = batch.wants_states || !batch.scored_rows.is_empty();
        let has_adapters = batch.adapters.iter().any(Option::is_some);
        tokens == batch.num_seqs()
            && tokens == rows
            && !asks_for_more
            && !has_adapters
            && self.buffers.experts.is_none()
    }

    /// Runs the step up to its scores and logits.
    fn run(&mut self, batch: &StepBatch, repeats: bool) -> Result<(), KernelError> {
        self.buffers.scores.clear();
        if self.backend.begin_step(batch, repeats)? {
            return Ok(());
        }
        let done = self.operations(batch);
        let ended = self.backend.end_step(done.is_err());
        done.and(ended)
    }

    fn operations(&mut self, batch: &StepBatch) -> Result<(), KernelError> {
        self.backend.embed(Embed {
            table: &self.weights.embedding,
            token_ids: &batch.token_ids,
            scale: self.shape.embedding_multiplier,
            out: &mut self.buffers.residual,
        })?;
        let last = self.weights.layers.len() - 1;
        for index in 0..=last {
            self.write_kv(index, batch)?;
            if index < last {
                self.attend(index, batch)?;
                self.feed_forward(index, Rows::All, batch.num_tokens())?;
            }
        }
        // Of the last layer, a row whose logits nobody wants leaves keys and values only.
        if !batch.logits_rows.is_empty() || !batch.scored_rows.is_empty() {
            self.attend(last, batch)?;
            self.score(last, batch)?;
        }
        let rows = batch.logits_rows.len();
        if rows == batch.num_tokens() {
            self.logits(last, Rows::All, rows)?;
        } else if rows > 0 {
            self.select(&batch.logits_rows)?;
            self.logits(last, Rows::Sampled, rows)?;
        }
        Ok(())
    }
}

/// Of a decoder whose layers share one pool.
impl<B: LoraBackend> KvBlocks for Decoder<B> {
    fn layout(&self) -> String {
        self.kv_layout.clone()
    }

    fn block_bytes(&self) -> usize {
        self.kv
            .whole()
            .map_or(0, |kv| self.backend.kv_block_bytes(kv))
    }

    fn read(&mut self, block: u32, out: &mut [u8]) -> Result<(), KernelError> {
        let kv = self.kv.whole().expect("blocks are whole");
        self.backend.read_block(kv, block as usize, out)
    }

    fn write(&mut self, block: u32, bytes: &[u8]) -> Result<(), KernelError> {
        let kv = self.kv.whole_mut().expect("blocks are whole");
        self.backend.write_block(kv, block as usize, bytes)
    }
}

impl<B: LoraBackend> ModelRunner for Decoder<B> {
    fn blocks(&mut self) -> Option<&mut dyn KvBlocks> {
        match self.kv.whole() {
            Some(_) => Some(self),
            None => None,
        }
    }

    fn adapters(&mut self) -> Option<&mut dyn AdapterSlots> {
        match self.adapters.is_enabled() {
            true => Some(self),
            false => None,
        }
    }

    fn steps_in_flight(&mut self) -> Option<&mut dyn StepsInFlight> {
        match self.backend.runs_ahead() {
            true => Some(self),
            false => None,
        }
    }

    /// # Panics
    /// If the batch exceeds the limits that the model was loaded with, or names a token outside the
    /// vocabulary: the caller's bugs.
    fn forward(&mut self, batch: &StepBatch) -> Result<Logits<'_>, KernelError> {
        self.launch(batch)?;
        self.finish()
    }
}
