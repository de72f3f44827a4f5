//! Panels of pairs of bfloat16: `[out_features / 16][in_features / 2][16][2]`, filled up with zeros,
//! inputs to a multiple of 32. One vector holds the weights of 16 outputs for two inputs, and 16
//! vectors are a tile.

use half::bf16;

use crate::KernelError;
use crate::cpu::memory::AlignedSlice;
use crate::cpu::packed::Stack;
use crate::cpu::pairs::{STEP_PAIRS, VECTOR};
use crate::cpu::pool::Pool;
use crate::cpu::simd::LANES;

/// Inputs decoded at a time while packing; even.
const PACK_COLS: usize = 256;

/// Weights in bfloat16 for [`crate::cpu::simd::Simd::dot_bf16`].
pub(crate) struct PairPanels {
    data: AlignedSlice<bf16>,
    in_features: usize,
}

impl PairPanels {
    /// Packs the rows of `stack`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn pack(pool: &Pool, stack: Stack<'_, '_>) -> Result<Self, KernelError> {
        let (out_features, in_features) = (stack.num_rows(), stack.in_features());
        let panel_len = panel_len(in_features);
        let len = out_features.div_ceil(LANES).saturating_mul(panel_len);
        let mut data = AlignedSlice::<bf16>::zeroed(len, "packed weights")?;
        pool.for_chunks(&mut data, panel_len, |index, panel| {
            for lane in 0..LANES.min(out_features - index * LANES) {
                pack_lane(stack, index * LANES + lane, lane, panel);
            }
        });
        Ok(Self { data, in_features })
    }

    /// Row `row` of the matrix into `out` `[in_features]`.
    pub(super) fn unpack_row(&self, row: usize, out: &mut [f32]) {
        let panel_len = panel_len(self.in_features);
        let panel = &self.data[row / LANES * panel_len..][..panel_len];
        let lane = row % LANES;
        for (values, vector) in out.chunks_mut(2).zip(panel.chunks_exact(VECTOR)) {
            for (value, weight) in values.iter_mut().zip(&vector[2 * lane..]) {
                *value = weight.to_f32();
            }
        }
    }

    /// Pairs of inputs: vectors of a panel.
    #[inline(always)]
    pub(crate) fn num_pairs(&self) -> usize {
        self.in_features.div_ceil(2)
    }

    /// Tiles of a panel.
    #[inline(always)]
    pub(crate) fn num_steps(&self) -> usize {
        self.num_pairs().div_ceil(STEP_PAIRS)
    }

    /// Panel `panel` from pair `pair` on.
    ///
    /// # Panics
    /// If there is no such pair.
    #[inline(always)]
    pub(crate) fn from(&self, panel: usize, pair: usize) -> &[bf16] {
        &self.data[panel * panel_len(self.in_features)..][pair * VECTOR..]
    }
}

const fn panel_len(in_features: usize) -> usize {
    in_features.div_ceil(2 * STEP_PAIRS) * STEP_PAIRS * VECTOR
}

/// Writes row `row` of the stack as lane `lane` of `panel` `[in_features / 2][16][2]`.
fn pack_lane(stack: Stack<'_, '_>, row: usize, lane: usize, panel: &mut [bf16]) {
    let (part, row) = stack.find(row);
    let mut decoded = [0.0; PACK_COLS];
    for (chunk, out) in panel.chunks_mut(PACK_COLS / 2 * VECTOR).enumerate() {
        let first = chunk * PACK_COLS;
        let decoded = &mut decoded[..PACK_COLS.min(stack.in_features() - first)];
        part.read_as(row, first, stack.dtype, decoded);
        for (vector, values) in out.chunks_exact_mut(VECTOR).zip(decoded.chunks(2)) {
            for (weight, &value) in vector[2 * lane..].iter_mut().zip(values) {
                *weight = bf16::from_f32(value);
            }
        }
    }
}
