//! Batches of sequences that own fixed blocks, so that a model can be driven without a scheduler.

use kernels::StepBatch;

/// Lays out a fixed number of sequences in a KV cache. Block 0 is the null block; the blocks of a
/// shared prefix come first, then each sequence's own.
#[derive(Clone, Debug)]
pub struct Sequences {
    block_size: usize,
    shared_blocks: usize,
    own_blocks: usize,
    count: usize,
    /// Adapters that the sequences use, divided evenly; 0 is the base model.
    adapters: usize,
    batch: StepBatch,
}

/// Tokens of one sequence to compute in a step.
#[derive(Clone, Copy, Debug)]
pub struct ChunkInputs<'a> {
    /// The sequence's blocks, in order; at least those that its tokens reach into.
    pub blocks: &'a [u32],
    /// Tokens per block.
    pub block_size: usize,
    /// Position of the first token.
    pub start: usize,
    /// The tokens.
    pub tokens: &'a [u32],
    /// Whether the last token's logits are wanted.
    pub wants_logits: bool,
}

impl Sequences {
    /// Room for `count` sequences of `max_len` tokens. The first `shared_len` of them, rounded down
    /// to whole blocks, lie in the same blocks for all: a prefix cache shares no others.
    ///
    /// # Panics
    /// If `shared_len` exceeds `max_len`.
    pub fn new(count: usize, max_len: usize, shared_len: usize, block_size: usize) -> Self {
        assert!(shared_len <= max_len, "a prefix is part of its sequence");
        let shared_blocks = shared_len / block_size;
        let mut batch = StepBatch::default();
        batch.clear();
        Self {
            block_size,
            shared_blocks,
            own_blocks: max_len.div_ceil(block_size) - shared_blocks,
            count,
            adapters: 0,
            batch,
        }
    }

    /// Divides the sequences evenly over the first `adapters` slots, neighbours together as the engine
    /// has them.
    pub fn with_adapters(self, adapters: usize) -> Self {
        Self { adapters, ..self }
    }

    /// Blocks of the KV cache that holds them, the null block included.
    pub fn num_blocks(&self) -> usize {
        1 + self.shared_blocks + self.count * self.own_blocks
    }

    /// Starts a step.
    pub fn clear(&mut self) {
        self.batch.clear();
    }

    /// Adds `tokens` at the positions `start..` of `sequence` to the step; the KV of the earlier
    /// positions must exist.
    ///
    /// # Panics
    /// If the sequence, or a token of it, has no room.
    pub fn push(&mut self, sequence: usize, start: usize, tokens: &[u32], wants_logits: bool) {
        let end = start + tokens.len();
        let num_blocks = end.div_ceil(self.block_size);
        assert!(
            sequence < self.count && num_blocks <= self.shared_blocks + self.own_blocks,
            "the sequence has room"
        );
        let first_own = 1 + self.shared_blocks + sequence * self.own_blocks;
        let blocks: Vec<u32> = (1..=self.shared_blocks)
            .chain(first_own..)
            .take(num_blocks)
            .map(|block| block as u32)
            .collect();
        let chunk = ChunkInputs {
            blocks: &blocks,
            block_size: self.block_size,
            start,
            tokens,
            wants_logits,
        };
        chunk.push_to(&mut self.batch);
        let slot = (self.adapters > 0).then(|| sequence * self.adapters / self.count);
        self.batch.adapters.push(slot.map(|slot| slot as u32));
    }

    /// Wants the logits of every token of the step so far.
    pub fn want_all_logits(&mut self) {
        let rows = 0..self.batch.token_ids.len() as u32;
        self.batch.logits_rows.clear();
        self.batch.logits_rows.extend(rows);
    }

    /// The step so far.
    pub fn batch(&self) -> &StepBatch {
        &self.batch
    }
}

impl ChunkInputs<'_> {
    /// Appends the chunk to a step.
    pub fn push_to(&self, batch: &mut StepBatch) {
        let end = self.start + self.tokens.len();
        batch.token_ids.extend_from_slice(self.tokens);
        for position in self.start..end {
            let block = self.blocks[position / self.block_size] as usize;
            let slot = block * self.block_size + position % self.block_size;
            batch.positions.push(position as u32);
            batch.slot_mapping.push(slot as u32);
        }
        let used = &self.blocks[..end.div_ceil(self.block_size)];
        batch.query_start.push(batch.token_ids.len() as u32);
        batch.context_lens.push(end as u32);
        batch.block_tables.extend_from_slice(used);
        batch
            .block_table_start
            .push(batch.block_tables.len() as u32);
        if self.wants_logits {
            batch.logits_rows.push(batch.token_ids.len() as u32 - 1);
        }
    }
}

#[cfg(test)]
mod tests;
