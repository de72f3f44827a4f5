//! Writing blocks as ggml lays them out: the inverse of [`Block::decode`].

use crate::WeightDtype;
use crate::quantized::Block;

impl Block {
    /// The bytes of the block, [`WeightDtype::block_bytes`] of them, at the end of `out`.
    ///
    /// # Panics
    /// If `dtype` is none of `Q8_0`, `Q4K`, `Q5K` and `Q6K`, to which alone floats are quantised.
    pub(crate) fn encode(&self, dtype: WeightDtype, out: &mut Vec<u8>) {
        match dtype {
            WeightDtype::Q8_0 => {
                out.extend(self.d.to_le_bytes());
                out.extend(self.quants[..32].iter().map(|&quant| quant as u8));
            }
            WeightDtype::Q4K => {
                self.write_scales(out);
                self.write_nibbles(out);
            }
            WeightDtype::Q5K => {
                self.write_scales(out);
                let fifth = |j: usize| {
                    (0..8).fold(0, |bits, sub| {
                        bits | (self.quants[sub * 32 + j] as u8 >> 4 & 1) << sub
                    })
                };
                out.extend((0..32).map(fifth));
                self.write_nibbles(out);
            }
            WeightDtype::Q6K => self.write_q6_k(out),
            _ => unreachable!("nothing is quantised to {dtype:?}"),
        }
    }

    /// `d`, `dmin`, and eight scales and mins of six bits in 12 bytes.
    fn write_scales(&self, out: &mut Vec<u8>) {
        out.extend(self.d.to_le_bytes());
        out.extend(self.dmin.to_le_bytes());
        let scale = |sub: usize| self.scales[sub] as u8;
        let first = |sub: usize| scale(sub) | scale(sub + 4) >> 4 << 6;
        let second = |sub: usize| self.mins[sub] | self.mins[sub + 4] >> 4 << 6;
        let third = |sub: usize| scale(sub + 4) & 15 | self.mins[sub + 4] << 4;
        out.extend((0..4).map(first));
        out.extend((0..4).map(second));
        out.extend((0..4).map(third));
    }

    /// The low four bits of all elements: of each 64, element `j` and `j + 32` share a byte.
    fn write_nibbles(&self, out: &mut Vec<u8>) {
        for pair in self.quants.chunks_exact(64) {
            let nibble = |k: usize| pair[k] as u8 & 15;
            out.extend((0..32).map(|j| nibble(j) | nibble(j + 32) << 4));
        }
    }

    fn write_q6_k(&self, out: &mut Vec<u8>) {
        let bits = |k: usize| (self.quants[k] + 32) as u8;
        for half in 0..2 {
            let nibble = |quarter: usize, j: usize| bits(half * 128 + quarter * 32 + j) & 15;
            for pair in 0..2 {
                out.extend((0..32).map(|j| nibble(pair, j) | nibble(pair + 2, j) << 4));
            }
        }
        for half in 0..2 {
            let two = |quarter: usize, j: usize| bits(half * 128 + quarter * 32 + j) >> 4;
            out.extend((0..32).map(|j| (0..4).fold(0, |b, q| b | two(q, j) << (2 * q))));
        }
        out.extend(self.scales.iter().map(|&scale| scale as u8));
        out.extend(self.d.to_le_bytes());
    }
}
