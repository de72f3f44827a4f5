//! Weights of a matrix product, packed at load.

use half::{bf16, f16};

use crate::cpu::memory::AlignedSlice;
use crate::cpu::pool::Pool;
use crate::cpu::simd::LANES;
use crate::cpu::widen::Widen;
use crate::weights::stacked_shape;
use crate::{KernelError, WeightDtype, WeightFormat, WeightView};

/// Columns of K decoded at a time while packing.
const PACK_COLS: usize = 256;

/// A matrix `[out_features, in_features]` as panels `[out_features / 16][in_features][16]`, the
/// last one filled up with zeros: one vector holds the weights of 16 outputs for one input.
pub struct PackedLinear {
    panels: Panels,
    /// `[out_features]`
    bias: Option<AlignedSlice<f32>>,
    out_features: usize,
    in_features: usize,
}

/// The panels in their element type.
pub(crate) enum Panels {
    F32(AlignedSlice<f32>),
    Bf16(AlignedSlice<bf16>),
    F16(AlignedSlice<f16>),
}

/// An element type of weights.
pub(crate) trait Element: Widen {
    /// Rounded to nearest even.
    fn from_f32(value: f32) -> Self;
    /// Exact.
    fn to_f32(self) -> f32;
}

impl PackedLinear {
    /// Stacks `parts` on the output axis and packs them in parallel.
    ///
    /// # Errors
    /// `Shape` when they do not fit together, `OutOfMemory`.
    pub(crate) fn pack(
        pool: &Pool,
        parts: &[WeightView<'_>],
        bias: Option<&[f32]>,
        format: WeightFormat,
    ) -> Result<Self, KernelError> {
        let (out_features, in_features) = stacked_shape("pack_linear", parts, bias, format)?;
        let panels = match common_dtype(parts, format) {
            WeightDtype::Bf16 => Panels::Bf16(pack_panels(pool, parts, format)?),
            WeightDtype::F16 => Panels::F16(pack_panels(pool, parts, format)?),
            // Blocks are kept as the floats that they stand for.
            _ => Panels::F32(pack_panels(pool, parts, format)?),
        };
        let bias = match bias {
            Some(values) => {
                let mut bias = AlignedSlice::zeroed(out_features, "bias")?;
                bias.copy_from_slice(values);
                Some(bias)
            }
            None => None,
        };
        Ok(Self {
            panels,
            bias,
            out_features,
            in_features,
        })
    }

    /// Rows of the unpacked matrix.
    pub(crate) fn out_features(&self) -> usize {
        self.out_features
    }

    /// Columns of the unpacked matrix.
    pub(crate) fn in_features(&self) -> usize {
        self.in_features
    }

    /// `[out_features]`
    pub(crate) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// The panels.
    pub(crate) fn panels(&self) -> &Panels {
        &self.panels
    }

    /// Row `row` of the unpacked matrix into `out` `[in_features]`.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn unpack_row(&self, row: usize, out: &mut [f32]) {
        assert!(
            row < self.out_features,
            "row {row} of {}",
            self.out_features
        );
        match &self.panels {
            Panels::F32(panels) => unpack_row(panels, row, out),
            Panels::Bf16(panels) => unpack_row(panels, row, out),
            Panels::F16(panels) => unpack_row(panels, row, out),
        }
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

/// The element type that keeps what `format` asks for: that of all parts, or f32 where they differ.
fn common_dtype(parts: &[WeightView<'_>], format: WeightFormat) -> WeightDtype {
    let first = format.of(parts[0].dtype);
    let agree = parts.iter().all(|part| format.of(part.dtype) == first);
    if agree { first } else { WeightDtype::F32 }
}

fn pack_panels<T: Element>(
    pool: &Pool,
    parts: &[WeightView<'_>],
    format: WeightFormat,
) -> Result<AlignedSlice<T>, KernelError> {
    let out_features: usize = parts.iter().map(|part| part.rows).sum();
    let in_features = parts[0].cols;
    let num_panels = out_features.div_ceil(LANES);
    let panel_len = in_features * LANES;
    let mut panels = AlignedSlice::<T>::zeroed(num_panels * panel_len, "packed weights")?;
    pool.for_chunks(&mut panels, panel_len, |index, panel| {
        for lane in 0..LANES.min(out_features - index * LANES) {
            pack_lane(parts, format, index * LANES + lane, lane, panel);
        }
    });
    Ok(panels)
}

/// Writes row `row` of the stacked parts as lane `lane` of `panel` `[in_features][16]`.
fn pack_lane<T: Element>(
    parts: &[WeightView<'_>],
    format: WeightFormat,
    row: usize,
    lane: usize,
    panel: &mut [T],
) {
    let mut row = row;
    let mut parts = parts.iter();
    let mut part = parts.next().expect("the row lies in the parts");
    while row >= part.rows {
        row -= part.rows;
        part = parts.next().expect("the row lies in the parts");
    }
    let mut decoded = [0.0; PACK_COLS];
    for (chunk, out) in panel.chunks_mut(PACK_COLS * LANES).enumerate() {
        let decoded = &mut decoded[..out.len() / LANES];
        part.read_as(row, chunk * PACK_COLS, format, decoded);
        for (lanes, &value) in out.chunks_exact_mut(LANES).zip(decoded.iter()) {
            lanes[T::position(lane)] = T::from_f32(value);
        }
    }
}

fn unpack_row<T: Element>(panels: &[T], row: usize, out: &mut [f32]) {
    let panel_len = out.len() * LANES;
    let panel = &panels[row / LANES * panel_len..][..panel_len];
    let position = T::position(row % LANES);
    for (value, lanes) in out.iter_mut().zip(panel.chunks_exact(LANES)) {
        *value = lanes[position].to_f32();
    }
}
