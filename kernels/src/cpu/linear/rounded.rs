//! Inputs of products with pairs of bfloat16.

#![expect(unsafe_code, reason = "tasks write disjoint rows through pointers")]

use half::bf16;

use crate::KernelError;
use crate::cpu::memory::{AlignedSlice, Zeroable};
use crate::cpu::pool::{Pool, SharedPtr};
use crate::cpu::simd::{Isa, Kernel, Simd};

/// Elements per task: below, another thread is not worth waking.
const TASK_ELEMENTS: usize = 16 * 1024;

/// Rows of activations, rounded to bfloat16: first the first 256 of every row, then the next of
/// every row, so that the rows of a tile do not fall into the same few sets of the caches.
pub(crate) struct RoundedRows {
    /// `[depth / 256 rounded up][rows]`
    chunks: AlignedSlice<RowChunk>,
    rows: usize,
}

/// Up to 256 inputs of a row; after an odd number of them, a zero.
#[derive(Clone, Copy)]
pub(super) struct RowChunk([bf16; RowChunk::LEN]);

// SAFETY: zero bytes are zeros, and they need no destructor.
unsafe impl Zeroable for RowChunk {}

impl RoundedRows {
    /// No rows, and no room for any.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new() -> Result<Self, KernelError> {
        let chunks = AlignedSlice::zeroed(0, "rounded activations")?;
        Ok(Self { chunks, rows: 0 })
    }

    /// Makes room for `rows` of `depth`; nothing is kept.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, rows: usize, depth: usize) -> Result<(), KernelError> {
        let len = rows.saturating_mul(depth.div_ceil(RowChunk::LEN));
        if self.chunks.len() < len {
            self.chunks = AlignedSlice::zeroed(len, "rounded activations")?;
        }
        Ok(())
    }

    /// Takes the rows of `input` `[_, depth]`, rounded to nearest even. What is not finite stays so,
    /// and what is beyond the largest bfloat16, 3.39e38, becomes infinite.
    ///
    /// # Panics
    /// If there is no room.
    pub(crate) fn round(&mut self, pool: &Pool, isa: Isa, input: &[f32], depth: usize) {
        self.rows = input.len() / depth;
        let num_chunks = depth.div_ceil(RowChunk::LEN);
        assert!(self.chunks.len() >= self.rows * num_chunks, "room was made");
        let rows_per_task = (TASK_ELEMENTS / depth).max(1);
        let (rows, chunks) = (self.rows, SharedPtr(self.chunks.as_mut_ptr()));
        pool.run(rows.div_ceil(rows_per_task), &|_, task| {
            for row in task * rows_per_task..rows.min((task + 1) * rows_per_task) {
                let input = input[row * depth..][..depth].chunks(RowChunk::LEN);
                for (index, input) in input.enumerate() {
                    // SAFETY: the chunk exists, and only this task touches this row.
                    let chunk = unsafe { &mut *chunks.get().add(index * rows + row) };
                    isa.run(RoundChunk { input, chunk });
                }
            }
        });
    }

    /// Rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Chunk `index` of `R` rows from row `row` on.
    ///
    /// # Panics
    /// If the chunks of all rows end before.
    #[inline(always)]
    pub(super) fn chunk<const R: usize>(&self, index: usize, row: usize) -> &[RowChunk; R] {
        let chunks = &self.chunks[index * self.rows + row..];
        chunks.first_chunk().expect("the rows of a task exist")
    }
}

impl RowChunk {
    pub(super) const LEN: usize = 256;
    pub(super) const PAIRS: usize = Self::LEN / 2;

    /// Inputs `2 * pair` and `2 * pair + 1`, as [`Simd::splat_pair`] takes them.
    #[inline(always)]
    pub(super) fn pair(&self, pair: usize) -> i32 {
        debug_assert!(pair < Self::PAIRS);
        // SAFETY: callers count pairs of a chunk.
        unsafe { self.0.as_ptr().cast::<i32>().add(pair).read_unaligned() }
    }
}

/// `input` in bfloat16.
struct RoundChunk<'a> {
    input: &'a [f32],
    chunk: &'a mut RowChunk,
}

impl Kernel for RoundChunk<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let (rounded, rest) = self.chunk.0.split_at_mut(self.input.len());
        for (rounded, &value) in rounded.iter_mut().zip(self.input) {
            *rounded = to_bf16(value);
        }
        if let Some(after) = rest.first_mut() {
            *after = bf16::ZERO;
        }
    }
}

/// As [`bf16::from_f32`], but without branches: the compiler makes vectors of it.
#[inline(always)]
fn to_bf16(value: f32) -> bf16 {
    let bits = value.to_bits();
    let half = 0x7fff + (bits >> 16 & 1);
    let rounded = (bits.wrapping_add(half) >> 16) as u16;
    // Of a NaN whose upper half would be an infinity, too.
    let quiet = (bits >> 16) as u16 | 0x40;
    bf16::from_bits(if value.is_nan() { quiet } else { rounded })
}
