//! Inputs of products with floats.

#![expect(
    unsafe_code,
    reason = "hands out pointers to rows, and makes rows of zero bytes"
)]

use std::ops::Range;

use crate::cpu::linear::chunked_rows::{CHUNK_LEN, ChunkedRows, RowChunk};
use crate::cpu::memory::Zeroable;
use crate::cpu::simd::Isa;
use crate::cpu::tile::Rows;

/// Bytes from one row to the next that send the same column of all rows to the same set of an L1
/// cache (64 sets of 64 bytes, as x86-64 processors have them).
const CACHE_PAGE: usize = 4096;

/// Rows of activations, `[rows, depth]`.
#[derive(Clone, Copy)]
pub(crate) struct FloatRows<'a> {
    values: &'a [f32],
    depth: usize,
    /// Elements from one row to the next.
    row_stride: usize,
    /// Elements from a row's chunk to its next one.
    chunk_stride: usize,
}

/// Up to 256 inputs of a row.
pub(crate) type FloatChunk = [f32; CHUNK_LEN];

// SAFETY: zero bytes are zeros, and they need no destructor.
unsafe impl Zeroable for FloatChunk {}

impl RowChunk for FloatChunk {
    fn fill(&mut self, _isa: Isa, input: &[f32]) {
        self[..input.len()].copy_from_slice(input);
    }
}

impl<'a> FloatRows<'a> {
    /// Whether `rows` rows of `depth` want to be chunked: a tile reads a column of several rows,
    /// which would push each other, and the weights, out of the cache.
    pub(crate) fn wants_chunks(rows: usize, depth: usize) -> bool {
        rows > 2 && (depth * size_of::<f32>()).is_multiple_of(CACHE_PAGE)
    }

    /// The rows as they lie in `values` `[_, depth]`.
    pub(super) fn new(values: &'a [f32], depth: usize) -> Self {
        Self {
            values,
            depth,
            row_stride: depth,
            chunk_stride: CHUNK_LEN,
        }
    }

    /// The rows of `chunks`.
    pub(super) fn chunked(chunks: &'a ChunkedRows<FloatChunk>, depth: usize) -> Self {
        Self {
            values: chunks.all().as_flattened(),
            depth,
            row_stride: CHUNK_LEN,
            chunk_stride: CHUNK_LEN * chunks.rows(),
        }
    }

    /// Inputs of a row.
    #[inline(always)]
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Chunks of a row.
    #[inline(always)]
    pub(super) fn num_chunks(&self) -> usize {
        self.depth.div_ceil(CHUNK_LEN)
    }

    /// The inputs of chunk `chunk`.
    #[inline(always)]
    pub(super) fn inputs(&self, chunk: usize) -> Range<usize> {
        let start = chunk * CHUNK_LEN;
        start..self.depth.min(start + CHUNK_LEN)
    }

    /// Chunk `chunk` of the rows from row `row` on.
    ///
    /// # Safety
    /// They exist.
    #[inline(always)]
    pub(super) unsafe fn rows(&self, row: usize, chunk: usize) -> Rows {
        let first = row * self.row_stride + chunk * self.chunk_stride;
        debug_assert!(first < self.values.len());
        Rows {
            // SAFETY: the caller's promise.
            ptr: unsafe { self.values.as_ptr().add(first) },
            stride: self.row_stride,
        }
    }
}
