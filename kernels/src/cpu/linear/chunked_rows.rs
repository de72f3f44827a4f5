//! Inputs of products, in the order in which these take them.

#![expect(unsafe_code, reason = "tasks write disjoint rows through pointers")]

use crate::KernelError;
use crate::cpu::memory::{AlignedSlice, Zeroable};
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::simd::Isa;

/// Elements per task: below, another thread is not worth waking.
const TASK_ELEMENTS: usize = 16 * 1024;

/// Inputs of a chunk; a row's last one may have fewer.
pub(super) const CHUNK_LEN: usize = 256;

/// Up to [`CHUNK_LEN`] inputs of a row, as a product takes them.
pub(crate) trait RowChunk: Zeroable {
    /// Takes `input`.
    fn fill(&mut self, isa: Isa, input: &[f32]);
}

/// Rows of activations: first the first 256 of every row, then the next of every row. So the rows of
/// a tile do not fall into the same few sets of the caches, whatever a row's length.
pub(crate) struct ChunkedRows<C> {
    /// `[depth / 256 rounded up][rows]`
    chunks: AlignedSlice<C>,
    rows: usize,
}

impl<C: RowChunk> ChunkedRows<C> {
    /// No rows, and no room for any.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new() -> Result<Self, KernelError> {
        let chunks = AlignedSlice::zeroed(0, "inputs of a product")?;
        Ok(Self { chunks, rows: 0 })
    }

    /// Makes room for `rows` of `depth`; nothing is kept.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, rows: usize, depth: usize) -> Result<(), KernelError> {
        let len = rows.saturating_mul(depth.div_ceil(CHUNK_LEN));
        if self.chunks.len() < len {
            self.chunks = AlignedSlice::zeroed(len, "inputs of a product")?;
        }
        Ok(())
    }

    /// Takes the rows of `input` `[_, depth]`.
    ///
    /// # Panics
    /// If there is no room.
    pub(crate) fn fill(&mut self, pool: &Pool, isa: Isa, input: &[f32], depth: usize) {
        let rows_per_task = (TASK_ELEMENTS / depth).max(1);
        let writer = self.writer(input.len() / depth, depth);
        let tasks = input.len().div_ceil(rows_per_task * depth);
        pool.run(tasks, &|_, task| {
            let first = task * rows_per_task;
            let last = writer.rows.min(first + rows_per_task);
            // SAFETY: only this task touches these rows.
            unsafe { writer.write(isa, first, &input[first * depth..last * depth]) };
        });
    }

    /// Begins anew, with `rows` of `depth` whose values come later.
    ///
    /// # Panics
    /// If there is no room.
    pub(crate) fn writer(&mut self, rows: usize, depth: usize) -> RowWriter<C> {
        let len = rows * depth.div_ceil(CHUNK_LEN);
        assert!(self.chunks.len() >= len, "room was made");
        self.rows = rows;
        RowWriter {
            chunks: SharedPtr(self.chunks.as_mut_ptr()),
            rows,
            depth,
        }
    }

    /// Rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// `[chunks][rows]`
    pub(super) fn all(&self) -> &[C] {
        &self.chunks
    }

    /// Chunk `index` of `R` rows from row `row` on.
    ///
    /// # Panics
    /// If there are not so many.
    #[inline(always)]
    pub(super) fn chunk<const R: usize>(&self, index: usize, row: usize) -> &[C; R] {
        let chunks = &self.chunks[index * self.rows + row..];
        chunks.first_chunk().expect("the rows of a task exist")
    }
}

/// Takes the values of rows from tasks.
#[derive(Clone, Copy)]
pub(crate) struct RowWriter<C> {
    chunks: SharedPtr<C>,
    rows: usize,
    depth: usize,
}

impl<C: RowChunk> RowWriter<C> {
    /// `input` `[_, depth]` are the rows from row `first` on.
    ///
    /// # Safety
    /// The rows that this was made of are still there, and nobody else touches these.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) unsafe fn write(&self, isa: Isa, first: usize, input: &[f32]) {
        // SAFETY: the caller's promise.
        unsafe { self.write_by(first, input, |chunk, input| chunk.fill(isa, input)) };
    }

    /// As [`Self::write`], where `take` fills a chunk.
    ///
    /// # Safety
    /// As there.
    pub(super) unsafe fn write_by(
        &self,
        first: usize,
        input: &[f32],
        take: impl Fn(&mut C, &[f32]),
    ) {
        for (row, input) in (first..).zip(input.chunks_exact(self.depth)) {
            assert!(row < self.rows, "{} rows", self.rows);
            for (index, input) in input.chunks(CHUNK_LEN).enumerate() {
                // SAFETY: there is room for all chunks of `rows` rows; the caller's promise.
                let chunk = unsafe { &mut *self.chunks.get().add(index * self.rows + row) };
                take(chunk, input);
            }
        }
    }
}
