//! Weights in blocks of integers with scales, as GGUF files hold them.

mod decode;
mod encode;
mod quantize;
#[cfg(test)]
mod tests;

use half::f16;

use crate::WeightDtype;
pub(crate) use quantize::{CANDIDATES, ROUND};

/// Elements of the longest block.
pub(crate) const MAX_BLOCK: usize = 256;

/// One block taken apart: element `k` is `d * scale * quant(k) - dmin * min`, where `scale` and
/// `min` are those of its sub-block. Formats without one of the parts have 1 for a scale and 0 for a
/// min.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Block {
    /// Scale of the scales.
    pub(crate) d: f16,
    /// Scale of the mins.
    pub(crate) dmin: f16,
    /// One per sub-block.
    pub(crate) scales: [i8; 16],
    /// One per sub-block.
    pub(crate) mins: [u8; 8],
    /// One per element; the first [`WeightDtype::block_len`] count.
    pub(crate) quants: [i8; MAX_BLOCK],
}

impl Block {
    /// Nothing but zeros, of scale 1.
    pub(crate) const ZERO: Self = Self {
        d: f16::ZERO,
        dmin: f16::ZERO,
        scales: [1; 16],
        mins: [0; 8],
        quants: [0; MAX_BLOCK],
    };

    /// The elements as floats, `out.len()` of them.
    ///
    /// # Panics
    /// If `dtype` is no format of blocks.
    pub(crate) fn values(&self, dtype: WeightDtype, out: &mut [f32]) {
        let len = sub_block_len(dtype);
        let (d, dmin) = (self.d.to_f32(), self.dmin.to_f32());
        for (sub, (out, quants)) in out.chunks_mut(len).zip(self.quants.chunks(len)).enumerate() {
            let scale = d * f32::from(self.scales[sub]);
            let min = dmin * f32::from(self.mins.get(sub).copied().unwrap_or(0));
            for (value, &quant) in out.iter_mut().zip(quants) {
                *value = scale * f32::from(quant) - min;
            }
        }
    }
}

/// Elements that share a scale.
///
/// # Panics
/// If `dtype` is no format of blocks.
pub(crate) fn sub_block_len(dtype: WeightDtype) -> usize {
    match dtype {
        WeightDtype::Q6K => 16,
        WeightDtype::Q4_0
        | WeightDtype::Q5_0
        | WeightDtype::Q8_0
        | WeightDtype::Q4K
        | WeightDtype::Q5K => 32,
        WeightDtype::F32 | WeightDtype::F16 | WeightDtype::Bf16 => {
            unreachable!("{dtype:?} has no blocks")
        }
    }
}
