//! What a [`FakeRunner`] expects of every batch.

use kernels::{BlockCopy, KvPool, StepBatch};

use super::FakeRunner;
use super::fault::ShadowFault;

impl FakeRunner {
    pub(super) fn check_limits(&self, batch: &StepBatch) -> Result<(), ShadowFault> {
        let limits = &self.limits;
        let counts = [
            (
                "tokens of the step",
                batch.num_tokens(),
                limits.max_num_batched_tokens,
            ),
            (
                "sequences of the step",
                batch.num_seqs(),
                limits.max_num_seqs,
            ),
            (
                "rows of logits",
                batch.logits_rows.len(),
                limits.max_num_seqs,
            ),
        ];
        for (what, count, limit) in counts {
            if count > limit {
                return Err(ShadowFault::OverLimit { what, count, limit });
            }
        }
        for (row, &token) in batch.token_ids.iter().enumerate() {
            let vocab_size = limits.vocab_size;
            if token as usize >= vocab_size {
                return Err(ShadowFault::BadToken {
                    row,
                    token,
                    vocab_size,
                });
            }
        }
        Ok(())
    }

    pub(super) fn check_layout(&self, batch: &StepBatch) -> Result<(), ShadowFault> {
        let (tokens, seqs) = (batch.num_tokens(), batch.num_seqs());
        let malformed = |what: String| Err(ShadowFault::Malformed(what));
        if batch.positions.len() != tokens || batch.slot_mapping.len() != tokens {
            return malformed("positions and slots are one per token".into());
        }
        if ![0, seqs].contains(&batch.adapters.len()) {
            return malformed("adapters are one per sequence, or none".into());
        }
        let prefix_sums = [
            ("query_start", &batch.query_start, tokens),
            (
                "block_table_start",
                &batch.block_table_start,
                batch.block_tables.len(),
            ),
        ];
        for (name, sums, total) in prefix_sums {
            let ends = (sums.first().copied(), sums.last().copied());
            if sums.len() != seqs + 1 || ends != (Some(0), Some(total as u32)) || !sums.is_sorted()
            {
                return malformed(format!("{name} is not a prefix sum of {seqs} sequences"));
            }
        }
        for (name, rows) in [
            ("logits_rows", &batch.logits_rows),
            ("scored_rows", &batch.scored_rows),
        ] {
            let is_within = rows.last().is_none_or(|&row| (row as usize) < tokens);
            if !rows.is_sorted_by(|a, b| a < b) || !is_within {
                return malformed(format!("{name} {rows:?} do not ascend below {tokens}"));
            }
        }
        if batch.scored_rows.len() != batch.scored_tokens.len() {
            return malformed("scored tokens are one per scored row".into());
        }
        let window = &batch.window;
        let as_long = window.slot_mapping.len() == tokens
            && window.block_tables.len() == batch.block_tables.len();
        if self.window.is_some() && !as_long {
            return malformed("slots and tables of the window are as long as the others".into());
        }
        (0..seqs).try_for_each(|seq| self.check_sequence(batch, seq))
    }

    fn check_sequence(&self, batch: &StepBatch, seq: usize) -> Result<(), ShadowFault> {
        let rows = batch.query_range(seq);
        let context_len = batch.context_lens[seq] as usize;
        if rows.is_empty() || rows.len() > context_len {
            let (rows, message) = (rows.len(), "rows of a context of");
            return Err(ShadowFault::Malformed(format!(
                "sequence {seq}: {rows} {message} {context_len}"
            )));
        }
        let expected = context_len - rows.len()..context_len;
        if !batch.positions[rows]
            .iter()
            .map(|&p| p as usize)
            .eq(expected.clone())
        {
            return Err(ShadowFault::Malformed(format!(
                "sequence {seq}: positions are not {expected:?}"
            )));
        }
        let table = batch.block_table(seq);
        if table.len() * self.limits.block_size < context_len {
            return Err(ShadowFault::Malformed(format!(
                "sequence {seq}: {} blocks cannot hold {context_len} tokens",
                table.len()
            )));
        }
        table.iter().try_for_each(|&block| {
            check_block(block, self.limits.num_blocks, || format!("sequence {seq}"))
        })?;
        let Some(window) = &self.window else {
            return Ok(());
        };
        let first = (batch.positions[batch.query_start[seq] as usize] as usize + 1)
            .saturating_sub(window.tokens);
        let table = batch.block_table_in(KvPool::Window, seq);
        let read = &table[first / self.limits.block_size..];
        read.iter().try_for_each(|&block| {
            check_block(block, window.num_blocks, || {
                format!("window of sequence {seq}")
            })
        })
    }

    pub(super) fn check_copy(
        &self,
        copy: &BlockCopy,
        num_blocks: usize,
    ) -> Result<(), ShadowFault> {
        for block in [copy.src, copy.dst] {
            check_block(block, num_blocks, || format!("{copy:?}"))?;
        }
        if copy.src == copy.dst || copy.num_tokens as usize > self.limits.block_size {
            return Err(ShadowFault::Malformed(format!("{copy:?}")));
        }
        Ok(())
    }
}

fn check_block(
    block: u32,
    num_blocks: usize,
    place: impl Fn() -> String,
) -> Result<(), ShadowFault> {
    if block == 0 || block as usize >= num_blocks {
        return Err(ShadowFault::BadBlock {
            place: place(),
            block,
            num_blocks,
        });
    }
    Ok(())
}
