//! The flat inputs of one forward pass.

use crate::Draw;

/// Copies the first `num_tokens` tokens of one block's KV, in every layer, to another block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockCopy {
    /// Block to read.
    pub src: u32,
    /// Block to write.
    pub dst: u32,
    /// Tokens to copy, counted from the start of the block.
    pub num_tokens: u32,
}

/// Which of a model's pools of blocks a layer keeps its keys and values in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvPool {
    /// The one that every model has.
    #[default]
    Main,
    /// That of the layers with a sliding window, where they have one of their own: what has fallen
    /// behind the window is given back there.
    Window,
}

/// Where a step finds and puts the keys and values of the layers with a sliding window, where they
/// have a pool of their own; the vectors are empty where they have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowBlocks {
    /// As [`StepBatch::block_copies`].
    pub block_copies: Vec<BlockCopy>,
    /// As [`StepBatch::slot_mapping`].
    pub slot_mapping: Vec<u32>,
    /// As [`StepBatch::block_tables`], and as long: block 0, the null block, stands where nothing of
    /// the step looks.
    pub block_tables: Vec<u32>,
}

/// One step's inputs as flat host vectors; sequences are laid out one after the other.
///
/// For sequence `s`, rows `query_start[s]..query_start[s + 1]` are the tokens computed in this
/// step, its KV after the step covers tokens `0..context_lens[s]`, and its blocks, in order, are
/// `block_tables[block_table_start[s]..block_table_start[s + 1]]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepBatch {
    /// Copies to run, in this order, before anything of the step is written.
    pub block_copies: Vec<BlockCopy>,
    /// Tokens to compute, some of which may be unknown ([`DRAWN_BEFORE`](crate::DRAWN_BEFORE)).
    /// `[num_tokens]`
    pub token_ids: Vec<u32>,
    /// Position of each token in its sequence. `[num_tokens]`
    pub positions: Vec<u32>,
    /// Where each token's KV goes: `block * block_size + offset`. `[num_tokens]`
    pub slot_mapping: Vec<u32>,
    /// Prefix sums of the number of tokens per sequence, first element 0. `[num_seqs + 1]`
    pub query_start: Vec<u32>,
    /// Tokens that each sequence's last row attends to, itself included. `[num_seqs]`
    pub context_lens: Vec<u32>,
    /// Concatenated block tables. `[sum of blocks]`
    pub block_tables: Vec<u32>,
    /// Prefix sums of the number of blocks per sequence, first element 0. `[num_seqs + 1]`
    pub block_table_start: Vec<u32>,
    /// The same in the pool of the layers with a sliding window.
    pub window: WindowBlocks,
    /// Slot of the adapter that each sequence is computed with; `None` is the base model. Neighbours
    /// of one adapter are computed together. `[num_seqs]`, or empty if all are the base model's.
    pub adapters: Vec<Option<u32>>,
    /// Rows (indices into the token axis, ascending) whose logits are wanted.
    pub logits_rows: Vec<u32>,
    /// Rows (as in `logits_rows`, ascending) after which the log probability of a token is wanted.
    pub scored_rows: Vec<u32>,
    /// That token, for each of them. `[scored_rows.len()]`
    pub scored_tokens: Vec<u32>,
    /// Whether the states behind `logits_rows` are wanted beside their logits.
    pub wants_states: bool,
    /// How the tokens of `logits_rows` are chosen, where the backend may do that; `None` where the row's
    /// logits are wanted. `[logits_rows.len()]`, or empty if all are.
    pub draws: Vec<Option<Draw>>,
}

impl StepBatch {
    /// Tokens computed in this step.
    pub fn num_tokens(&self) -> usize {
        self.token_ids.len()
    }

    /// Sequences in this step.
    pub fn num_seqs(&self) -> usize {
        self.context_lens.len()
    }

    /// The rows of sequence `seq` on the token axis.
    pub fn query_range(&self, seq: usize) -> std::ops::Range<usize> {
        self.query_start[seq] as usize..self.query_start[seq + 1] as usize
    }

    /// The blocks of sequence `seq` in the main pool, in order.
    pub fn block_table(&self, seq: usize) -> &[u32] {
        self.block_table_in(KvPool::Main, seq)
    }

    /// The blocks of sequence `seq` in one of the pools, in order.
    pub fn block_table_in(&self, pool: KvPool, seq: usize) -> &[u32] {
        let tables = match pool {
            KvPool::Main => &self.block_tables,
            KvPool::Window => &self.window.block_tables,
        };
        &tables[self.block_table_start[seq] as usize..self.block_table_start[seq + 1] as usize]
    }

    /// Where each token's KV goes in one of the pools. `[num_tokens]`
    pub fn slots_in(&self, pool: KvPool) -> &[u32] {
        match pool {
            KvPool::Main => &self.slot_mapping,
            KvPool::Window => &self.window.slot_mapping,
        }
    }

    /// Slot of the adapter that sequence `seq` is computed with.
    pub fn adapter(&self, seq: usize) -> Option<u32> {
        self.adapters.get(seq).copied().flatten()
    }

    /// Empties every vector and keeps the capacity, so that a step allocates nothing.
    pub fn clear(&mut self) {
        self.block_copies.clear();
        self.token_ids.clear();
        self.positions.clear();
        self.slot_mapping.clear();
        self.query_start.clear();
        self.query_start.push(0);
        self.context_lens.clear();
        self.block_tables.clear();
        self.window.block_copies.clear();
        self.window.slot_mapping.clear();
        self.window.block_tables.clear();
        self.block_table_start.clear();
        self.block_table_start.push(0);
        self.adapters.clear();
        self.logits_rows.clear();
        self.scored_rows.clear();
        self.scored_tokens.clear();
        self.wants_states = false;
        self.draws.clear();
    }
}
