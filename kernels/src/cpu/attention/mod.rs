//! Attention through the block table, one pass over keys with an online softmax (Milakov and
//! Gimelshein, "Online normalizer calculation for softmax", 2018; tiled as in Dao et al.,
//! "FlashAttention", 2022).
//!
//! Keys are cut at absolute positions into spans. A row has all scores of a span before it weighs
//! the first of its values, so that nothing is rescaled within a span, and its spans are merged in
//! ascending order. So a row's bits depend on its own keys alone: not on the rows beside it, the
//! chunk it came in, the block size, or which thread computed which span.
//!
//! That leaves two freedoms. The spans of a sequence of few rows are computed by different threads
//! ("Flash-Decoding", Dao et al., 2023). And where the block tables of such sequences begin with
//! the same blocks, their rows meet each span of them together, so that a shared prefix is read
//! once per step ("Hydragen", Juravsky et al., 2024; "cascade inference", Ye et al., 2024).

#![expect(
    unsafe_code,
    reason = "tasks use their worker's scratch and write disjoint outputs"
)]

/// Calls `$self.$tile::<S, rows, panels>(..)` with as many rows as `$count` says, at most `$rows`,
/// and as many panels as registers allow and `$left` has; returns the panels.
macro_rules! tile {
    ($self:ident.$tile:ident::<$simd:ident, $rows:ident>(
        $count:expr, $left:expr; $($argument:expr),*
    )) => {
        match ($count, $left) {
            (1, 4..) => $self.$tile::<$simd, 1, 4>($($argument),*),
            (1, _) => $self.$tile::<$simd, 1, 1>($($argument),*),
            (2, 4..) if $simd::TILE_PANELS == 2 => $self.$tile::<$simd, 2, 4>($($argument),*),
            (2, 2..) if $simd::TILE_PANELS == 1 => $self.$tile::<$simd, 2, 2>($($argument),*),
            (2, _) => $self.$tile::<$simd, 2, 1>($($argument),*),
            (3, 4..) if $simd::TILE_PANELS == 2 => $self.$tile::<$simd, 3, 4>($($argument),*),
            (3, _) => $self.$tile::<$simd, 3, 1>($($argument),*),
            (4, 2..) if $simd::TILE_PANELS == 2 => $self.$tile::<$simd, 4, 2>($($argument),*),
            (4, _) => $self.$tile::<$simd, 4, 1>($($argument),*),
            (5, 2..) if $rows > 4 && $simd::TILE_PANELS == 2 => {
                $self.$tile::<$simd, 5, 2>($($argument),*)
            }
            (5, _) if $rows > 4 => $self.$tile::<$simd, 5, 1>($($argument),*),
            (6, 2..) if $rows > 4 && $simd::TILE_PANELS == 2 => {
                $self.$tile::<$simd, 6, 2>($($argument),*)
            }
            (6, _) if $rows > 4 => $self.$tile::<$simd, 6, 1>($($argument),*),
            (count, _) => unreachable!("tiles have 1 to {} rows, not {count}", $rows),
        }
    };
}

mod floats;
mod item;
mod located;
mod pair_panels;
mod pair_product;
mod pairs;
mod plan;
mod scores;
mod scratch;
mod softmax;
mod state;
mod values;

use crate::cpu::attention::floats::FloatItem;
use crate::cpu::attention::item::Item;
use crate::cpu::attention::pairs::PairItem;
use crate::cpu::attention::plan::Plan;
use crate::cpu::attention::scratch::Scratch;
use crate::cpu::attention::state::Partials;
use crate::cpu::kv::{KvElement, Store};
use crate::cpu::pairs::Bf16Chunk;
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::simd::Isa;
use crate::{KernelError, KvPool, QkvShape, StepBatch, StepSizes};

/// Keys per span, counted from position 0: few enough that one long sequence keeps all threads busy
/// and that little of a span is left where a shared prefix ends, enough that merging costs little.
const SPAN_KEYS: usize = 256;
/// Rows (queries times heads of the group) per item: enough to use a tile of keys well, few enough
/// that their state stays near.
const ITEM_ROWS: usize = 96;
/// Multiply-adds of a step below which the caller computes alone: a few microseconds, about what it
/// takes to hear from another thread.
const SMALL_STEP: usize = 1 << 16;

/// The inputs of one layer's attention; shapes as in [`crate::Attention`].
pub(crate) struct Layer<'a, T> {
    pub(crate) qkv: &'a [f32],
    pub(crate) shape: QkvShape,
    pub(crate) kv: &'a Store<T>,
    pub(crate) layer: usize,
    pub(crate) batch: &'a StepBatch,
    pub(crate) pool: KvPool,
    pub(crate) scale: f32,
    pub(crate) soft_cap: Option<f32>,
    pub(crate) sinks: Option<&'a [f32]>,
    pub(crate) window: Option<usize>,
}

/// What attention keeps from step to step. Steps that decode find it large enough; it grows where
/// sequences of some more rows are split.
pub(crate) struct Workspace {
    plan: Plan,
    partials: Partials,
    /// One per thread, for heads of `head_dim`.
    scratch: Vec<Scratch>,
    head_dim: usize,
}

impl Workspace {
    /// An empty one.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new() -> Result<Self, KernelError> {
        Ok(Self {
            plan: Plan::default(),
            partials: Partials::new()?,
            scratch: Vec::new(),
            head_dim: 0,
        })
    }

    /// Makes room for any step that decodes, and for any long chunk. What is not used costs address
    /// space alone.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, threads: usize, sizes: &StepSizes) -> Result<(), KernelError> {
        let head_dim = sizes.qkv.head_dim;
        self.prepare(threads, head_dim)?;
        let spans = sizes.max_context.div_ceil(SPAN_KEYS);
        self.plan.reserve(sizes, spans);
        let rows = sizes.max_seqs * sizes.qkv.num_q_heads;
        self.partials.grow(rows * spans, head_dim)
    }

    /// Makes what `threads` threads need for heads of `head_dim`.
    fn prepare(&mut self, threads: usize, head_dim: usize) -> Result<(), KernelError> {
        if self.head_dim != head_dim || self.scratch.len() != threads {
            let scratch = (0..threads).map(|_| Scratch::new(head_dim));
            self.scratch = scratch.collect::<Result<_, _>>()?;
            self.head_dim = head_dim;
        }
        self.partials.grow(self.plan.num_partials(), head_dim)
    }
}

impl<T: KvElement> Layer<'_, T> {
    /// Attention of all rows into `out` `[batch.num_tokens(), num_q_heads * head_dim]`.
    ///
    /// # Errors
    /// `OutOfMemory`, when the workspace cannot grow.
    ///
    /// # Panics
    /// If the shapes contradict each other, or a sequence's block table is too short.
    pub(crate) fn attend(
        &self,
        pool: &Pool,
        isa: Isa,
        workspace: &mut Workspace,
        out: &mut [f32],
    ) -> Result<(), KernelError> {
        let in_pairs = T::PAIRS && isa.dots_bf16() && self.shape.head_dim <= Bf16Chunk::LEN;
        self.attend_by(pool, workspace, out, |item| {
            if !in_pairs {
                isa.run(FloatItem(item));
            } else if isa.has_tiles() {
                isa.run_tiles(PairItem(item));
            } else {
                isa.run(PairItem(item));
            }
        })
    }

    /// As [`Self::attend`], with every item computed by `compute`.
    fn attend_by(
        &self,
        pool: &Pool,
        workspace: &mut Workspace,
        out: &mut [f32],
        compute: impl Fn(Item<'_, T>) + Sync,
    ) -> Result<(), KernelError> {
        self.check(out.len());
        workspace.plan.make(self);
        workspace.prepare(pool.num_threads(), self.shape.head_dim)?;
        let plan = &workspace.plan;
        let scratch = SharedPtr(workspace.scratch.as_mut_ptr());
        let partials = workspace.partials.shared();
        let out = SharedPtr(out.as_mut_ptr());
        // A head's units follow each other: they read the same keys and values.
        let num_units = plan.num_units();
        let attend_item = |worker: usize, index: usize| {
            // SAFETY: a worker runs one task at a time, so its scratch is this task's alone.
            let scratch = unsafe { &mut *scratch.get().add(worker) };
            compute(Item {
                layer: self,
                plan,
                unit: plan.unit(index % num_units),
                kv_head: index / num_units,
                scratch,
                partials,
                out: out.get(),
            });
        };
        let num_items = num_units * self.shape.num_kv_heads;
        if self.multiply_adds() < SMALL_STEP {
            (0..num_items).for_each(|index| attend_item(0, index));
        } else {
            pool.run(num_items, &attend_item);
        }
        Ok(())
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

    /// Rows of sequence `seq` for one KV head: row `i` is head `i % group` of the group, of query
    /// `i / group`.
    fn num_rows(&self, seq: usize) -> usize {
        self.batch.query_range(seq).len() * self.group()
    }

    /// Positions that row `row` of sequence `seq` sees.
    fn visible(&self, seq: usize, row: usize) -> std::ops::Range<usize> {
        let query_len = self.batch.query_range(seq).len();
        let position = self.batch.context_lens[seq] as usize - query_len + row / self.group();
        let window = self.window.unwrap_or(usize::MAX);
        (position + 1).saturating_sub(window)..position + 1
    }

    /// The blocks of sequence `seq`, in order.
    fn block_table(&self, seq: usize) -> &[u32] {
        self.batch.block_table_in(self.pool, seq)
    }

    /// Blocks of sequence `seq` that hold `positions`, as far as it has them.
    fn blocks(&self, seq: usize, positions: std::ops::Range<usize>) -> &[u32] {
        let block_size = self.kv.shape().block_size;
        let table = self.block_table(seq);
        let end = positions.end.div_ceil(block_size).min(table.len());
        &table[(positions.start / block_size).min(end)..end]
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
            self.soft_cap.is_none_or(|cap| cap > 0.0),
            "a cap is positive"
        );
        assert!(
            self.sinks
                .is_none_or(|sinks| sinks.len() == self.shape.num_q_heads),
            "a sink for each query head"
        );
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
            let table = self.block_table(seq);
            assert!(
                context_len <= table.len() * cache.block_size,
                "the block table of sequence {seq} covers its context"
            );
        }
    }
}
