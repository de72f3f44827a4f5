//! Element types of matrices, written and read by definition: the oracle of what a file holds.

use half::{bf16, f16};

/// How matrices are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q5_0,
    Q8_0,
}

impl Kind {
    /// Its number in ggml.
    pub(crate) fn type_id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Bf16 => 30,
            Self::Q4_0 => 2,
            Self::Q5_0 => 6,
            Self::Q8_0 => 8,
        }
    }

    /// Whether rows of `cols` elements are whole blocks.
    pub(crate) fn fits(self, cols: usize) -> bool {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => true,
            Self::Q4_0 | Self::Q5_0 | Self::Q8_0 => cols.is_multiple_of(32),
        }
    }

    /// The elements as they are written.
    pub(crate) fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F16 => {
                let halves = values.iter().map(|&x| f16::from_f32(x));
                halves.flat_map(f16::to_le_bytes).collect()
            }
            Self::Bf16 => {
                let halves = values.iter().map(|&x| bf16::from_f32(x));
                halves.flat_map(bf16::to_le_bytes).collect()
            }
            Self::Q4_0 | Self::Q5_0 | Self::Q8_0 => {
                let blocks = values.chunks_exact(32);
                blocks.flat_map(|block| self.encode_block(block)).collect()
            }
        }
    }

    /// What the elements are once they are written and read.
    pub(crate) fn round(self, values: &[f32]) -> Vec<f32> {
        match self {
            Self::F32 => values.to_vec(),
            Self::F16 => values.iter().map(|&x| f16::from_f32(x).to_f32()).collect(),
            Self::Bf16 => values.iter().map(|&x| bf16::from_f32(x).to_f32()).collect(),
            Self::Q4_0 | Self::Q5_0 | Self::Q8_0 => {
                let blocks = values.chunks_exact(32);
                let values = |block| {
                    let (scale, quants) = self.quants(block);
                    quants.map(|quant| scale.to_f32() * quant as f32)
                };
                blocks.flat_map(values).collect()
            }
        }
    }

    /// Scale and integers of a block; what matters here is only that both are known.
    fn quants(self, block: &[f32]) -> (f16, [i32; 32]) {
        let (low, high) = match self {
            Self::Q4_0 => (-8, 7),
            Self::Q5_0 => (-16, 15),
            _ => (-127, 127),
        };
        let largest = block.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let scale = f16::from_f32(largest / high as f32);
        let quant = |x: f32| (x / scale.to_f32()).round().clamp(low as f32, high as f32) as i32;
        let mut quants = [0; 32];
        for (quant_of, &x) in quants.iter_mut().zip(block) {
            *quant_of = if largest > 0.0 { quant(x) } else { 0 };
        }
        (scale, quants)
    }

    fn encode_block(self, block: &[f32]) -> Vec<u8> {
        let (scale, quants) = self.quants(block);
        let mut out = scale.to_le_bytes().to_vec();
        let nibbles = |bias: i32| {
            let nibble = move |quant: i32| ((quant + bias) & 15) as u8;
            (0..16).map(move |j| nibble(quants[j]) | nibble(quants[j + 16]) << 4)
        };
        match self {
            Self::Q4_0 => out.extend(nibbles(8)),
            Self::Q5_0 => {
                let fifths = (0..32).fold(0u32, |bits, j| {
                    bits | ((quants[j] + 16) as u32 >> 4 & 1) << j
                });
                out.extend(fifths.to_le_bytes());
                out.extend(nibbles(16));
            }
            _ => out.extend(quants.iter().map(|&quant| quant as i8 as u8)),
        }
        out
    }
}
