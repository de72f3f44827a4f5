//! Inputs of integer products on tiles.

#![expect(unsafe_code, reason = "makes chunks of zero bytes")]

use half::bf16;

use crate::cpu::linear::chunked_rows::RowChunk;
use crate::cpu::linear::integer_chunk::{LARGEST_ON_TILES, QuantizedGroup};
use crate::cpu::memory::Zeroable;
use crate::cpu::packed::{Chunk, GROUP};
use crate::cpu::simd::{Isa, Kernel, SHRUNK, Simd};

/// As [`IntegerChunk`](super::integer_chunk::IntegerChunk), with its integers in bfloat16, divided by
/// [`SHRUNK`] because weights are multiplied by it.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct WholeChunk {
    pub(super) values: [bf16; Chunk::LEN],
    /// One for each group.
    pub(super) scales: [f32; Chunk::GROUPS],
    /// Scaled sums of groups, negated.
    pub(super) minus_sums: [f32; Chunk::GROUPS],
}

// SAFETY: zero bytes are zeros in all of its arrays, and they need no destructor.
unsafe impl Zeroable for WholeChunk {}

impl RowChunk for WholeChunk {
    fn fill(&mut self, isa: Isa, input: &[f32]) {
        isa.run(FillWhole { input, chunk: self });
    }
}

struct FillWhole<'a> {
    input: &'a [f32],
    chunk: &'a mut WholeChunk,
}

impl Kernel for FillWhole<'_> {
    const DOTS_BF16: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let chunk = self.chunk;
        for (group, input) in self.input.as_chunks::<GROUP>().0.iter().enumerate() {
            let quantized = QuantizedGroup::of(simd, input, LARGEST_ON_TILES);
            let values = &mut chunk.values.as_chunks_mut().0[group];
            quantized.store_bf16(simd, 1.0 / SHRUNK, values);
            let sum = quantized.sum(simd);
            (chunk.scales[group], chunk.minus_sums[group]) = quantized.scales(sum);
        }
    }
}
