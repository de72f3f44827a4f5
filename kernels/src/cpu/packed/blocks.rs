//! Blocks of 16 output features side by side: what a panel is written from.

use half::f16;

use crate::cpu::simd::LANES;
use crate::quantized::{Block, MAX_BLOCK};

/// 16 blocks taken apart, one in each lane.
pub(super) struct Blocks {
    /// Scale of the scales.
    pub(super) d: [f16; LANES],
    /// Scale of the mins.
    pub(super) dmin: [f16; LANES],
    /// Per sub-block.
    pub(super) scales: [[i8; LANES]; 16],
    /// Per sub-block.
    pub(super) mins: [[u8; LANES]; 8],
    /// Per element.
    pub(super) quants: [[i16; LANES]; MAX_BLOCK],
}

impl Blocks {
    /// Nothing but zeros.
    pub(super) fn new() -> Self {
        Self {
            d: [f16::ZERO; LANES],
            dmin: [f16::ZERO; LANES],
            scales: [[0; LANES]; 16],
            mins: [[0; LANES]; 8],
            quants: [[0; LANES]; MAX_BLOCK],
        }
    }

    /// Puts a block of `len` elements into `lane`.
    pub(super) fn set(&mut self, lane: usize, block: &Block, len: usize) {
        self.d[lane] = block.d;
        self.dmin[lane] = block.dmin;
        for (scales, &scale) in self.scales.iter_mut().zip(&block.scales) {
            scales[lane] = scale;
        }
        for (mins, &min) in self.mins.iter_mut().zip(&block.mins) {
            mins[lane] = min;
        }
        for (quants, &quant) in self.quants.iter_mut().zip(&block.quants[..len]) {
            quants[lane] = i16::from(quant);
        }
    }
}
