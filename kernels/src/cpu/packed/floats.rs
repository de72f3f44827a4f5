//! Panels of floats: `[out_features / 16][in_features][16]`, the last one filled up with zeros. One
//! vector holds the weights of 16 outputs for one input.

use half::{bf16, f16};

use crate::KernelError;
use crate::cpu::memory::AlignedSlice;
use crate::cpu::packed::Stack;
use crate::cpu::pool::Pool;
use crate::cpu::simd::LANES;
use crate::cpu::widen::Widen;

/// Columns of K decoded at a time while packing.
const PACK_COLS: usize = 256;

/// An element type of weights.
pub(crate) trait Element: Widen {
    /// Rounded to nearest even.
    fn from_f32(value: f32) -> Self;
    /// Exact.
    fn to_f32(self) -> f32;
}

/// Packs the rows of `stack`.
///
/// # Errors
/// `OutOfMemory`.
pub(super) fn pack<T: Element>(
    pool: &Pool,
    stack: Stack<'_, '_>,
) -> Result<AlignedSlice<T>, KernelError> {
    let out_features = stack.num_rows();
    let num_panels = out_features.div_ceil(LANES);
    let panel_len = stack.in_features() * LANES;
    let mut panels = AlignedSlice::<T>::zeroed(num_panels * panel_len, "packed weights")?;
    pool.for_chunks(&mut panels, panel_len, |index, panel| {
        for lane in 0..LANES.min(out_features - index * LANES) {
            pack_lane(stack, index * LANES + lane, lane, panel);
        }
    });
    Ok(panels)
}

/// Writes row `row` of the stack as lane `lane` of `panel` `[in_features][16]`.
fn pack_lane<T: Element>(stack: Stack<'_, '_>, row: usize, lane: usize, panel: &mut [T]) {
    let (part, row) = stack.find(row);
    let mut decoded = [0.0; PACK_COLS];
    for (chunk, out) in panel.chunks_mut(PACK_COLS * LANES).enumerate() {
        let decoded = &mut decoded[..out.len() / LANES];
        part.read_as(row, chunk * PACK_COLS, stack.dtype, decoded);
        for (lanes, &value) in out.chunks_exact_mut(LANES).zip(decoded.iter()) {
            lanes[T::position(lane)] = T::from_f32(value);
        }
    }
}

/// Row `row` of the matrix into `out` `[in_features]`.
pub(super) fn unpack_row<T: Element>(panels: &[T], row: usize, out: &mut [f32]) {
    let panel_len = out.len() * LANES;
    let panel = &panels[row / LANES * panel_len..][..panel_len];
    let position = T::position(row % LANES);
    for (value, lanes) in out.iter_mut().zip(panel.chunks_exact(LANES)) {
        *value = lanes[position].to_f32();
    }
}

impl Element for f32 {
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
}

impl Element for bf16 {
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        Self::from_f32(value)
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self.to_f32()
    }
}

impl Element for f16 {
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        Self::from_f32(value)
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self.to_f32()
    }
}
