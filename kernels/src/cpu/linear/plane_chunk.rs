//! Inputs of integer products on tiles.

#![expect(unsafe_code, reason = "makes chunks of zero bytes")]

use crate::cpu::linear::chunked_rows::RowChunk;
use crate::cpu::linear::integer_chunk::QuantizedGroup;
use crate::cpu::memory::Zeroable;
use crate::cpu::packed::{Chunk, GROUP};
use crate::cpu::simd::{Isa, Kernel, Simd};

/// Inputs whose bytes are arranged together.
const BLOCK: usize = 16;

/// As [`IntegerChunk`](super::integer_chunk::IntegerChunk), but an integer is `256 * high + low`: tiles multiply bytes. Of 16 inputs,
/// bytes of `n` and `n + 8` follow each other, as [`crate::cpu::packed::Quads`] wants them.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct PlaneChunk {
    /// Bytes of i8, two in each.
    pub(super) high: [u16; Chunk::LEN / 2],
    /// Bytes of u8, two in each.
    pub(super) low: [u16; Chunk::LEN / 2],
    /// One for each group.
    pub(super) scales: [f32; Chunk::GROUPS],
    /// Scaled sums of groups, negated.
    pub(super) minus_sums: [f32; Chunk::GROUPS],
}

// SAFETY: zero bytes are zeros in all of its arrays, and they need no destructor.
unsafe impl Zeroable for PlaneChunk {}

impl RowChunk for PlaneChunk {
    fn fill(&mut self, isa: Isa, input: &[f32]) {
        isa.run(FillPlanes { input, chunk: self });
    }
}

struct FillPlanes<'a> {
    input: &'a [f32],
    chunk: &'a mut PlaneChunk,
}

impl Kernel for FillPlanes<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let planes = self.chunk;
        let highs = planes.high.as_chunks_mut::<{ BLOCK / 2 }>().0.iter_mut();
        let lows = planes.low.as_chunks_mut::<{ BLOCK / 2 }>().0.iter_mut();
        let mut bytes = highs.zip(lows);
        for (group, input) in self.input.as_chunks::<GROUP>().0.iter().enumerate() {
            let quantized = QuantizedGroup::of(simd, input);
            let mut values = [0; GROUP];
            quantized.store(simd, &mut values);
            for (block, (high, low)) in values.as_chunks::<BLOCK>().0.iter().zip(&mut bytes) {
                for i in 0..BLOCK / 2 {
                    let (first, second) = (block[i] as u16, block[i + BLOCK / 2] as u16);
                    low[i] = first & 0xff | second << 8;
                    high[i] = first >> 8 | second & 0xff00;
                }
            }
            let sum = quantized.sum(simd);
            (planes.scales[group], planes.minus_sums[group]) = quantized.scales(sum);
        }
    }
}
