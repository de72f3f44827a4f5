//! From the last layer's attention to logits.

use std::sync::{Mutex, PoisonError};

use kernels::{GatherRows, KernelError, Linear, LoraBackend, SoftCap, StepBatch};

use super::Decoder;
use super::buffers::Buffers;
use super::feed_forward::Rows;
use super::norms::AddAndNorm;
use crate::Logits;
use crate::log_softmax;

impl<B: LoraBackend> Decoder<B> {
    /// Log probabilities of the scored tokens, as many rows at once as there is room for.
    pub(super) fn score(&mut self, last: usize, batch: &StepBatch) -> Result<(), KernelError> {
        let most = self.limits.max_num_seqs;
        let rows = batch.scored_rows.chunks(most);
        for (rows, tokens) in rows.zip(batch.scored_tokens.chunks(most)) {
            self.select(rows)?;
            self.logits(last, Rows::Sampled, rows.len())?;
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

    /// Takes the rows that go on alone. What all rows have stays, so that others can be taken then.
    pub(super) fn select(&mut self, rows: &[u32]) -> Result<(), KernelError> {
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
        self.adapters.select(rows);
        Ok(())
    }

    /// The end of the last layer and the output projection.
    pub(super) fn logits(
        &mut self,
        last: usize,
        which: Rows,
        rows: usize,
    ) -> Result<(), KernelError> {
        self.feed_forward(last, which, rows)?;
        let Self {
            backend,
            weights,
            shape,
            buffers,
            ..
        } = self;
        let residual = match which {
            Rows::All => &mut buffers.residual,
            Rows::Sampled => &mut buffers.sampled_residual,
        };
        let add_and_norm = AddAndNorm {
            residual,
            delta: Some((&buffers.delta, shape.residual_multiplier)),
            norm: Some(&weights.final_norm),
            eps: shape.eps,
            rows,
            normed: &mut buffers.normed,
        };
        let input = add_and_norm.run(backend)?;
        backend.linear(Linear {
            input,
            weight: weights.lm_head.as_ref().unwrap_or(&weights.embedding),
            rows,
            out: &mut buffers.logits,
        })?;
        match shape.logits_soft_cap {
            None => Ok(()),
            Some(cap) => backend.soft_cap(SoftCap {
                values: &mut buffers.logits,
                cap,
                rows,
            }),
        }
    }
}
