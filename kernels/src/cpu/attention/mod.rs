//! Attention through the block table, one pass over keys with an online softmax (Milakov and
//! Gimelshein, "Online normalizer calculation for softmax", 2018; tiled as in Dao et al.,
//! "FlashAttention", 2022).
//!
//! Keys are cut into tiles of 64 at absolute positions, and a row visits its tiles in ascending
//! order with one running maximum, sum and output. So a row's bits depend on its own keys alone:
//! not on the rows beside it, the chunk it came in, or the block size.

#![expect(
    unsafe_code,
    reason = "tasks use their worker's scratch and write disjoint outputs"
)]

mod item;
mod keys;
mod scratch;

use crate::cpu::attention::item::Item;
pub(crate) use crate::cpu::attention::scratch::Scratch;
use crate::cpu::kv::CpuKvCache;
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::simd::Isa;
use crate::{QkvShape, StepBatch};

/// Keys per tile, counted from position 0.
const TILE_KEYS: usize = 64;
/// Rows (queries times heads of the group) per item: enough to use a tile of keys well, few enough
/// that their state stays near.
const ITEM_ROWS: usize = 48;
/// Multiply-adds of a step below which the caller computes alone: a few microseconds, about what it
/// takes to hear from another thread.
const SMALL_STEP: usize = 1 << 16;

/// The inputs of one layer's attention; shapes as in [`crate::Attention`].
#[derive(Clone, Copy)]
pub(crate) struct Layer<'a> {
    pub(crate) qkv: &'a [f32],
    pub(crate) shape: QkvShape,
    pub(crate) kv: &'a CpuKvCache,
    pub(crate) layer: usize,
    pub(crate) batch: &'a StepBatch,
    pub(crate) scale: f32,
    pub(crate) window: Option<usize>,
}

impl Layer<'_> {
    /// Attention of all rows into `out` `[batch.num_tokens(), num_q_heads * head_dim]`. `scratch`
    /// has one element per thread of `pool`.
    ///
    /// # Panics
    /// If the shapes contradict each other, or a sequence's block table is too short.
    pub(crate) fn attend(self, pool: &Pool, isa: Isa, scratch: &mut [Scratch], out: &mut [f32]) {
        self.check(out.len());
        assert!(
            scratch.len() >= pool.num_threads(),
            "one scratch per thread"
        );
        let items_of = |seq: usize| {
            let rows = self.batch.query_range(seq).len() * self.group();
            rows.div_ceil(ITEM_ROWS) * self.shape.num_kv_heads
        };
        let num_items = (0..self.batch.num_seqs()).map(items_of).sum();
        let scratch = SharedPtr(scratch.as_mut_ptr());
        let out = SharedPtr(out.as_mut_ptr());
        let attend_item = |worker: usize, index: usize| {
            let mut seq = 0;
            let mut index = index;
            while index >= items_of(seq) {
                index -= items_of(seq);
                seq += 1;
            }
            // Long rows first: a sequence's last rows see the most keys.
            let from_end = index / self.shape.num_kv_heads;
            let tile = items_of(seq) / self.shape.num_kv_heads - 1 - from_end;
            let num_rows = self.batch.query_range(seq).len() * self.group();
            let first = tile * ITEM_ROWS;
            // SAFETY: a worker runs one task at a time, so its scratch is this task's alone.
            let scratch = unsafe { &mut *scratch.get().add(worker) };
            isa.run(Item {
                layer: self,
                seq,
                kv_head: index % self.shape.num_kv_heads,
                rows: first..num_rows.min(first + ITEM_ROWS),
                scratch,
                out: out.get(),
            });
        };
        if self.multiply_adds() < SMALL_STEP {
            (0..num_items).for_each(|index| attend_item(0, index));
        } else {
            pool.run(num_items, &attend_item);
        }
    }

    /// An upper bound of the step's work: every row with its sequence's whole context, scores and
    /// values.
    fn multiply_adds(&self) -> usize {
        let lens =
            |seq: usize| self.batch.query_range(seq).len() * self.batch.context_lens[seq] as usize;
        let pairs: usize = (0..self.batch.num_seqs()).map(lens).sum();
        2 * pairs * self.shape.q_size()
    }

    /// Query heads per KV head.
    fn group(&self) -> usize {
        self.shape.num_q_heads / self.shape.num_kv_heads
    }

    fn check(&self, out_len: usize) {
        let rows = self.batch.num_tokens();
        let cache = self.kv.shape();
        assert!(
            self.qkv.len() >= rows * self.shape.row_size(),
            "{rows} rows of qkv"
        );
        assert!(
            out_len >= rows * self.shape.q_size(),
            "{rows} rows of output"
        );
        assert!(self.layer < cache.num_layers, "layer {}", self.layer);
        assert_eq!(self.shape.num_kv_heads, cache.num_kv_heads, "KV heads");
        assert_eq!(self.shape.head_dim, cache.head_dim, "head_dim");
        assert_eq!(
            self.shape.num_q_heads % self.shape.num_kv_heads,
            0,
            "whole groups"
        );
        assert!(self.window != Some(0), "a row sees itself");
        assert!(
            self.batch.query_start.is_sorted(),
            "sequences' rows follow each other"
        );
        let end = self.batch.query_start.last().map_or(0, |&end| end as usize);
        assert!(end <= rows, "sequences' rows are rows of the step");
        for seq in 0..self.batch.num_seqs() {
            let context_len = self.batch.context_lens[seq] as usize;
            assert!(
                self.batch.query_range(seq).len() <= context_len,
                "queries have positions"
            );
            let slots = self.batch.block_table(seq).len() * cache.block_size;
            assert!(
                context_len <= slots,
                "the block table of sequence {seq} covers its context"
            );
        }
    }
}
