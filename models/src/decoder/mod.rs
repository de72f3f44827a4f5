//! The decoder: one forward pass for every family, over any backend.

mod buffers;
mod weights;

use std::sync::{Mutex, PoisonError};

use kernels::{
    AddRmsNorm, Attention, Backend, Embed, GatedLinear, GatherRows, HeadNorm, KernelError,
    KvCacheShape, KvDtype, Linear, QkvShape, RmsNorm, Rope, StepBatch, StepSizes, WriteKv,
};

use crate::config::ModelConfig;
use crate::limits::Limits;
use crate::loading::Loading;
use crate::log_softmax;
use crate::quantization::Precision;
use crate::weights::Checkpoint;
use crate::weights_cache::CacheNotice;
use crate::{KvBlocks, Logits, ModelRunner};

use buffers::Buffers;
use weights::{Packing, Weights};

/// A model on a backend, with its KV cache and every buffer of a step.
///
/// Life cycle: [`Decoder::new`] packs the weights and allocates everything; then each
/// [`ModelRunner::forward`] reuses it.
pub(crate) struct Decoder<B: Backend> {
    backend: B,
    weights: Weights<B>,
    shape: Shape,
    limits: Limits,
    buffers: Buffers<B>,
    kv: B::KvCache,
}

/// Numbers that every layer needs.
struct Shape {
    qkv: QkvShape,
    vocab_size: usize,
    eps: f32,
    scale: f32,
}

/// Which rows pass through the end of a layer.
#[derive(Clone, Copy)]
enum Rows {
    /// All of the step.
    All,
    /// Those whose logits are wanted.
    Sampled,
}

impl<B: Backend> Decoder<B> {
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
        limits: Limits,
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
        backend.reserve(&StepSizes {
            qkv,
            max_tokens: limits.max_num_batched_tokens,
            max_seqs: limits.max_num_seqs,
            max_context: limits.max_model_len,
        })?;
        let kv = backend.kv_cache(KvCacheShape {
            num_layers: config.num_layers(),
            num_blocks: limits.num_blocks,
            block_size: limits.block_size,
            num_kv_heads: config.num_kv_heads,
            head_dim: config.head_dim,
            dtype: kv_dtype,
        })?;
        let shape = Shape {
            qkv,
            vocab_size: config.vocab_size,
            eps: config.rms_norm_eps,
            scale: 1.0 / (config.head_dim as f32).sqrt(),
        };
        Ok(Self {
            backend,
            weights,
            shape,
            limits,
            buffers,
            kv,
        })
    }

    /// Ends a load, as [`Loading::finish`] does.
    pub(crate) fn finish(&self, config: &ModelConfig, loading: Loading<'_>) -> Vec<CacheNotice> {
        loading.finish(&self.backend, self.weights.matrices(config))
    }

    /// One line for logs.
    pub(crate) fn description(&self) -> String {
        self.backend.description()
    }

    /// The norm in front of layer `index`, which also adds what the layer before it left.
    fn input_norm(&mut self, index: usize, rows: usize) -> Result<(), KernelError> {
        let Self {
            backend,
            weights,
            shape,
            buffers,
            ..
        } = self;
        let weight = &weights.layers[index].input_norm;
        let out = &mut buffers.normed;
        if index == 0 {
            let input = &buffers.residual;
            return backend.rms_norm(RmsNorm {
                input,
                weight,
                eps: shape.eps,
                rows,
                out,
            });
        }
        backend.add_rms_norm(AddRmsNorm {
            residual: &mut buffers.residual,
            delta: &buffers.delta,
            weight,
            eps: shape.eps,
            rows,
            out,
        })
    }

    /// Computes and stores keys and values of layer `index`; leaves the queries in `buffers.qkv`.
    fn write_kv(&mut self, index: usize, batch: &StepBatch) -> Result<(), KernelError> {
        let Self {
            backend,
            weights,
            shape,
            buffers,
            kv,
            ..
        } = self;
        let layer = &weights.layers[index];
        let (rows, qkv_shape) = (batch.num_tokens(), shape.qkv);
        backend.linear(Linear {
            input: &buffers.normed,
            weight: &layer.qkv,
            rows,
            out: &mut buffers.qkv,
        })?;
        if let Some((q_weight, k_weight)) = &layer.head_norms {
            backend.head_norm(HeadNorm {
                qkv: &mut buffers.qkv,
                shape: qkv_shape,
                q_weight,
                k_weight,
                eps: shape.eps,
                rows,
            })?;
        }
        let rope = Rope {
            positions: &batch.positions,
            table: &weights.rope,
        };
        backend.write_kv(WriteKv {
            qkv: &mut buffers.qkv,
            shape: qkv_shape,
            rope: layer.rope.then_some(rope),
            kv,
            layer: index,
            slot_mapping: &batch.slot_mapping,
        })
    }

    /// Attention of layer `index` into `buffers.attended`.
    fn attend(&mut self, index: usize, batch: &StepBatch) -> Result<(), KernelError> {
        let Self {
            backend,
            weights,
            shape,
            buffers,
            kv,
            ..
        } = self;
        backend.attention(Attention {
            qkv: &buffers.qkv,
            shape: shape.qkv,
            kv,
            layer: index,
            batch,
            scale: shape.scale,
            soft_cap: None,
            window: weights.layers[index].sliding_window,
            out: &mut buffers.attended,
        })
    }

    /// The rest of layer `index`; what it adds to the state is left in `buffers.delta`.
    fn feed_forward(&mut self, index: usize, which: Rows, rows: usize) -> Result<(), KernelError> {
        let Self {
            backend,
            weights,
            shape,
            buffers,
            ..
        } = self;
        let layer = &weights.layers[index];
        let (attended, residual) = match which {
            Rows::All => (&buffers.attended, &mut buffers.residual),
            Rows::Sampled => (&buffers.sampled_attended, &mut buffers.sampled_residual),
        };
        let delta = &mut buffers.delta;
        backend.linear(Linear {
            input: attended,
            weight: &layer.o,
            rows,
            out: delta,
        })?;
        backend.add_rms_norm(AddRmsNorm {
            residual,
            delta: &buffers.delta,
            weight: &layer.post_attention_norm,
            eps: shape.eps,
            rows,
            out: &mut buffers.normed,
        })?;
        backend.gated_linear(GatedLinear {
            input: &buffers.normed,
            weight: &layer.gate_up,
            rows,
            gate_up: &mut buffers.gate_up,
            out: &mut buffers.activated,
        })?;
        backend.linear(Linear {
            input: &buffers.activated,
            weight: &layer.down,
            rows,
            out: &mut buffers.delta,
        })
    }

    /// Log probabilities of the scored tokens, as many rows at once as there is room for.
    fn score(&mut self, last: usize, batch: &StepBatch) -> Result<(), KernelError> {
        self.buffers.scores.clear();
        let most = self.limits.max_num_seqs;
        let rows = batch.scored_rows.chunks(most);
        for (rows, tokens) in rows.zip(batch.scored_tokens.chunks(most)) {
            self.logits(last, rows)?;
            let Buffers {
                logits,
                host,
                scores,
                ..
            } = &mut self.buffers;
            let data = self.backend.read(logits, rows.len(), host)?;
            let read = Logits::new(data, self.shape.vocab_size);
            let start = scores.len();
            scores.resize(start + rows.len(), f32::NAN);
            let found = Mutex::new(&mut scores[start..]);
            self.backend.workers().run(rows.len(), &|_, row| {
                let score = log_softmax::score(read.row(row), tokens[row]);
                found.lock().unwrap_or_else(PoisonError::into_inner)[row] = score;
            });
        }
        Ok(())
    }

    /// The end of the last layer and the output projection, for these rows alone. What all rows have
    /// before it stays, so that it can be done for others.
    fn logits(&mut self, last: usize, rows: &[u32]) -> Result<(), KernelError> {
        let Self {
            backend, buffers, ..
        } = self;
        backend.gather_rows(GatherRows {
            input: &buffers.attended,
            rows,
            out: &mut buffers.sampled_attended,
        })?;
        backend.gather_rows(GatherRows {
            input: &buffers.residual,
            rows,
            out: &mut buffers.sampled_residual,
        })?;
        let rows = rows.len();
        self.feed_forward(last, Rows::Sampled, rows)?;
        let Self {
            backend,
            weights,
            shape,
            buffers,
            ..
        } = self;
        backend.add_rms_norm(AddRmsNorm {
            residual: &mut buffers.sampled_residual,
            delta: &buffers.delta,
            weight: &weights.final_norm,
            eps: shape.eps,
            rows,
            out: &mut buffers.normed,
        })?;
        backend.linear(Linear {
            input: &buffers.normed,
            weight: weights.lm_head.as_ref().unwrap_or(&weights.embedding),
            rows,
            out: &mut buffers.logits,
        })
    }
}

impl<B: Backend> KvBlocks for Decoder<B> {
    fn layout(&self) -> String {
        self.backend.kv_layout()
    }

    fn block_bytes(&self) -> usize {
        self.backend.kv_block_bytes(&self.kv)
    }

    fn read(&mut self, block: u32, out: &mut [u8]) -> Result<(), KernelError> {
        self.backend.read_block(&self.kv, block as usize, out)
    }

    fn write(&mut self, block: u32, bytes: &[u8]) -> Result<(), KernelError> {
        self.backend
            .write_block(&mut self.kv, block as usize, bytes)
    }
}

impl<B: Backend> ModelRunner for Decoder<B> {
    fn blocks(&mut self) -> Option<&mut dyn KvBlocks> {
        Some(self)
    }

    /// # Panics
    /// If the batch exceeds the limits that the model was loaded with, or names a token outside the
    /// vocabulary: the caller's bugs.
    fn forward(&mut self, batch: &StepBatch) -> Result<Logits<'_>, KernelError> {
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
        let vocab_size = self.shape.vocab_size;
        let known = |&token: &u32| (token as usize) < vocab_size;
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

        self.backend
            .copy_blocks(&mut self.kv, &batch.block_copies)?;
        if tokens == 0 {
            return Ok(Logits::new(&[], vocab_size));
        }
        self.backend.embed(Embed {
            table: &self.weights.embedding,
            token_ids: &batch.token_ids,
            out: &mut self.buffers.residual,
        })?;
        let last = self.weights.layers.len() - 1;
        for index in 0..=last {
            self.input_norm(index, tokens)?;
            self.write_kv(index, batch)?;
            if index < last {
                self.attend(index, batch)?;
                self.feed_forward(index, Rows::All, tokens)?;
            }
        }
        // Of the last layer, a row whose logits nobody wants leaves keys and values only.
        if rows == 0 && batch.scored_rows.is_empty() {
            return Ok(Logits::new(&[], vocab_size));
        }
        self.attend(last, batch)?;
        self.score(last, batch)?;
        if rows == 0 {
            return Ok(Logits::new(&[], vocab_size).with_scores(&self.buffers.scores));
        }
        self.logits(last, &batch.logits_rows)?;
        let buffers = &mut self.buffers;
        let data = self
            .backend
            .read(&buffers.logits, rows, &mut buffers.host)?;
        let mut logits = Logits::new(data, vocab_size).with_scores(&buffers.scores);
        if batch.wants_states {
            let states = &mut buffers.host_states;
            logits = logits.with_states(self.backend.read(&buffers.normed, rows, states)?);
        }
        Ok(logits.with_workers(self.backend.workers()))
    }
}
