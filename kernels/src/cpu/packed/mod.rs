//! Weights of a matrix product, packed at load.

mod blocks;
mod floats;
mod group;
mod integers;
mod layout;
mod pair_chunk;
mod pairs;
mod panel;
mod quantize;
mod stored;
#[cfg(test)]
mod tests;

use half::{bf16, f16};

use crate::cpu::memory::AlignedSlice;
use crate::cpu::pool::Pool;
use crate::cpu::simd::{Isa, LANES};
use crate::weights::stacked_shape;
use crate::{KernelError, WeightDtype, WeightFormat, WeightView};

pub(crate) use floats::Element;
pub(crate) use group::PairSink;
pub(crate) use integers::{Chunk, IntegerPanels};
pub(crate) use layout::{Format, GROUP, Layout, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0};
pub(crate) use pair_chunk::PairChunk;
pub(crate) use pairs::PairPanels;

/// A matrix `[out_features, in_features]` as panels of 16 output features.
pub struct PackedLinear {
    segments: Vec<Segment>,
    /// `[out_features]`
    bias: Option<AlignedSlice<f32>>,
    out_features: usize,
    in_features: usize,
}

/// Consecutive output features in one element type.
pub(crate) struct Segment {
    /// The first of them.
    pub(crate) first: usize,
    /// How many.
    pub(crate) out_features: usize,
    pub(crate) panels: Panels,
}

/// The panels in their element type.
pub(crate) enum Panels {
    F32(AlignedSlice<f32>),
    Bf16(AlignedSlice<bf16>),
    Bf16Pairs(PairPanels),
    F16(AlignedSlice<f16>),
    Integers(IntegerPanels),
}

/// What weights in bfloat16 are packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bf16Product {
    /// Products that widen them and take inputs in f32.
    Widened,
    /// Products with inputs in bfloat16, a pair at a time.
    Pairs,
}

/// Matrices stacked on the output axis.
#[derive(Clone, Copy)]
struct Stack<'s, 'a> {
    parts: &'s [WeightView<'a>],
    /// What they are kept as.
    dtype: WeightDtype,
}

impl PackedLinear {
    /// Stacks `parts` on the output axis and packs them in parallel, each as its format says.
    ///
    /// # Errors
    /// `Shape` when they do not fit together, `OutOfMemory`.
    pub(crate) fn pack(
        pool: &Pool,
        isa: Isa,
        parts: &[WeightView<'_>],
        bias: Option<&[f32]>,
        formats: &[WeightFormat],
        bf16_product: Bf16Product,
    ) -> Result<Self, KernelError> {
        let (out_features, in_features) = stacked_shape("pack_linear", parts, bias, formats)?;
        let kept = parts.iter().zip(formats);
        let dtypes: Vec<WeightDtype> = kept.map(|(part, format)| format.of(part.dtype)).collect();
        let mut segments = Vec::new();
        let (mut first, mut rest) = (0, 0..parts.len());
        while let Some(start) = rest.next() {
            let dtype = dtypes[start];
            // A part begins with a panel, so that products can go part by part.
            let joins = |&i: &usize| dtypes[i] == dtype && parts[i - 1].rows.is_multiple_of(LANES);
            rest.start += rest.clone().take_while(joins).count();
            let parts = &parts[start..rest.start];
            let stack = Stack { parts, dtype };
            let panels = match dtype {
                WeightDtype::F32 => Panels::F32(floats::pack(pool, stack)?),
                WeightDtype::Bf16 => match bf16_product {
                    Bf16Product::Widened => Panels::Bf16(floats::pack(pool, stack)?),
                    Bf16Product::Pairs => Panels::Bf16Pairs(PairPanels::pack(pool, stack)?),
                },
                WeightDtype::F16 => Panels::F16(floats::pack(pool, stack)?),
                _ => Panels::Integers(IntegerPanels::pack(pool, isa, stack)?),
            };
            segments.push(Segment {
                first,
                out_features: stack.num_rows(),
                panels,
            });
            first += stack.num_rows();
        }
        Ok(Self {
            segments,
            bias: packed_bias(bias)?,
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

    /// Where output feature `feature` begins a panel: its segment, and the panel in that.
    pub(crate) fn panel_of(&self, feature: usize) -> Option<(&Segment, usize)> {
        let holds = |segment: &&Segment| {
            (segment.first..segment.first + segment.out_features).contains(&feature)
        };
        let segment = self.segments.iter().find(holds)?;
        let offset = feature - segment.first;
        offset
            .is_multiple_of(LANES)
            .then_some((segment, offset / LANES))
    }

    /// In the order of their output features.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether products take quantised inputs.
    pub(crate) fn has_integers(&self) -> bool {
        let integers = |segment: &Segment| matches!(segment.panels, Panels::Integers(_));
        self.segments.iter().any(integers)
    }

    /// Whether products take inputs as they are.
    pub(crate) fn has_floats(&self) -> bool {
        let floats = |segment: &Segment| {
            matches!(
                segment.panels,
                Panels::F32(_) | Panels::Bf16(_) | Panels::F16(_)
            )
        };
        self.segments.iter().any(floats)
    }

    /// Whether products take inputs rounded to bfloat16.
    pub(crate) fn has_pairs(&self) -> bool {
        let pairs = |segment: &Segment| matches!(segment.panels, Panels::Bf16Pairs(_));
        self.segments.iter().any(pairs)
    }

    /// Row `row` of the unpacked matrix into `out` `[in_features]`.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn unpack_row(&self, row: usize, out: &mut [f32]) {
        let holds = |segment: &&Segment| row < segment.first + segment.out_features;
        let segment = self.segments.iter().find(holds);
        let segment = segment.unwrap_or_else(|| panic!("row {row} of {}", self.out_features));
        let row = row - segment.first;
        match &segment.panels {
            Panels::F32(panels) => floats::unpack_row(panels, row, out),
            Panels::Bf16(panels) => floats::unpack_row(panels, row, out),
            Panels::Bf16Pairs(panels) => panels.unpack_row(row, out),
            Panels::F16(panels) => floats::unpack_row(panels, row, out),
            Panels::Integers(panels) => panels.unpack_row(row, out),
        }
    }
}

impl Bf16Product {
    /// The faster one.
    pub(crate) fn of(isa: Isa) -> Self {
        match isa.dots_bf16() {
            true => Self::Pairs,
            false => Self::Widened,
        }
    }
}

impl<'s, 'a> Stack<'s, 'a> {
    fn num_rows(self) -> usize {
        self.parts.iter().map(|part| part.rows).sum()
    }

    fn in_features(self) -> usize {
        self.parts[0].cols
    }

    /// The matrix that row `row` lies in, and which of its rows that is.
    ///
    /// # Panics
    /// If there is no such row.
    fn find(self, row: usize) -> (&'s WeightView<'a>, usize) {
        let mut row = row;
        for part in self.parts {
            if row < part.rows {
                return (part, row);
            }
            row -= part.rows;
        }
        panic!("the row lies in the parts");
    }
}

/// A copy of a bias.
///
/// # Errors
/// `OutOfMemory`.
fn packed_bias(bias: Option<&[f32]>) -> Result<Option<AlignedSlice<f32>>, KernelError> {
    let Some(values) = bias else {
        return Ok(None);
    };
    let mut bias = AlignedSlice::zeroed(values.len(), "bias")?;
    bias.copy_from_slice(values);
    Ok(Some(bias))
}
