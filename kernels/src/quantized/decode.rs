//! Reading blocks as ggml lays them out (`ggml-common.h`, `ggml-quants.c` of llama.cpp describe the
//! formats).

use half::f16;

use crate::WeightDtype;
use crate::quantized::{Block, MAX_BLOCK};

impl Block {
    /// Takes a block of [`WeightDtype::block_bytes`] bytes apart.
    ///
    /// # Panics
    /// If there are fewer bytes, or `dtype` is no format of blocks.
    pub(crate) fn decode(dtype: WeightDtype, bytes: &[u8]) -> Self {
        match dtype {
            WeightDtype::Q4_0 => q4_0(bytes),
            WeightDtype::Q5_0 => q5_0(bytes),
            WeightDtype::Q8_0 => q8_0(bytes),
            WeightDtype::Q4K => q4_k(bytes),
            WeightDtype::Q5K => q5_k(bytes),
            WeightDtype::Q6K => q6_k(bytes),
            WeightDtype::F32 | WeightDtype::F16 | WeightDtype::Bf16 => {
                unreachable!("{dtype:?} has no blocks")
            }
        }
    }
}

fn half_at(bytes: &[u8], offset: usize) -> f16 {
    f16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

/// Scale; 16 bytes with elements `j` and `j + 16` in one. An element is its nibble less 8.
fn q4_0(bytes: &[u8]) -> Block {
    let mut block = Block::ZERO;
    block.d = half_at(bytes, 0);
    for (j, byte) in bytes[2..18].iter().enumerate() {
        block.quants[j] = (byte & 15) as i8 - 8;
        block.quants[j + 16] = (byte >> 4) as i8 - 8;
    }
    block
}

/// Scale; the fifth bits of all 32 elements; then as [`q4_0`]. An element is its five bits less 16.
fn q5_0(bytes: &[u8]) -> Block {
    let mut block = Block::ZERO;
    block.d = half_at(bytes, 0);
    let fifth = u32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
    let fifth = |k: usize| ((fifth >> k) as u8 & 1) << 4;
    for (j, byte) in bytes[6..22].iter().enumerate() {
        block.quants[j] = (byte & 15 | fifth(j)) as i8 - 16;
        block.quants[j + 16] = (byte >> 4 | fifth(j + 16)) as i8 - 16;
    }
    block
}

/// Scale; 32 signed bytes.
fn q8_0(bytes: &[u8]) -> Block {
    let mut block = Block::ZERO;
    block.d = half_at(bytes, 0);
    for (quant, &byte) in block.quants.iter_mut().zip(&bytes[2..34]) {
        *quant = byte as i8;
    }
    block
}

/// Scale, scale of the mins, eight scales and mins of six bits each, 128 bytes of nibbles: of each
/// 32 bytes the low nibbles are a sub-block and the high ones the next.
fn q4_k(bytes: &[u8]) -> Block {
    let mut block = Block::ZERO;
    read_scales(bytes, &mut block);
    for (pair, bytes) in bytes[16..144].chunks_exact(32).enumerate() {
        for (j, byte) in bytes.iter().enumerate() {
            block.quants[pair * 64 + j] = (byte & 15) as i8;
            block.quants[pair * 64 + 32 + j] = (byte >> 4) as i8;
        }
    }
    block
}

/// As [`q4_k`], with 32 bytes of fifth bits before the nibbles: bit `s` of byte `j` belongs to
/// element `j` of sub-block `s`.
fn q5_k(bytes: &[u8]) -> Block {
    let mut block = Block::ZERO;
    read_scales(bytes, &mut block);
    let fifth = &bytes[16..48];
    for (pair, bytes) in bytes[48..176].chunks_exact(32).enumerate() {
        for (j, byte) in bytes.iter().enumerate() {
            let bit = |sub: usize| (fifth[j] >> sub & 1) << 4;
            block.quants[pair * 64 + j] = (byte & 15 | bit(2 * pair)) as i8;
            block.quants[pair * 64 + 32 + j] = (byte >> 4 | bit(2 * pair + 1)) as i8;
        }
    }
    block
}

/// The low four bits of 256 elements, their high two bits, 16 signed scales, the scale of the
/// scales. An element is its six bits less 32.
fn q6_k(bytes: &[u8]) -> Block {
    let mut block = Block::ZERO;
    block.d = half_at(bytes, 208);
    for (scale, &byte) in block.scales.iter_mut().zip(&bytes[192..208]) {
        *scale = byte as i8;
    }
    let (low, high) = (&bytes[..128], &bytes[128..192]);
    for k in 0..MAX_BLOCK {
        // Halves of 128; of each, quarters of 32 take two bits of the same byte in turn, and the
        // first and third quarter share bytes of nibbles, as the second and fourth do.
        let (half, quarter, j) = (k / 128, k % 128 / 32, k % 32);
        let nibbles = low[half * 64 + quarter % 2 * 32 + j];
        let nibble = nibbles >> (quarter / 2 * 4) & 15;
        let two = high[half * 32 + j] >> (2 * quarter) & 3;
        block.quants[k] = (nibble | two << 4) as i8 - 32;
    }
    block
}

/// `d`, `dmin`, and the eight scales and mins that 12 bytes hold: the first four of each are the low
/// six bits of a byte, the others four bits of a later byte and the two bits left of an earlier one.
fn read_scales(bytes: &[u8], block: &mut Block) {
    block.d = half_at(bytes, 0);
    block.dmin = half_at(bytes, 2);
    let packed = &bytes[4..16];
    for sub in 0..4 {
        block.scales[sub] = (packed[sub] & 63) as i8;
        block.mins[sub] = packed[sub + 4] & 63;
        let both = packed[sub + 8];
        block.scales[sub + 4] = (both & 15 | packed[sub] >> 6 << 4) as i8;
        block.mins[sub + 4] = both >> 4 | packed[sub + 4] >> 6 << 4;
    }
}
