//! MXFP4 (Open Compute Project, "OCP Microscaling Formats (MX) Specification", version 1.0, 2023):
//! blocks of 32 elements E2M1, two in a byte, the first in the low half, and a scale E8M0 for each.

use half::bf16;

/// Elements of a block.
const BLOCK: usize = 32;
/// What the codes of E2M1 without sign stand for.
const MAGNITUDES: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];

/// Bytes of a row.
pub(super) struct RowBytes {
    pub(super) quants: usize,
    pub(super) scales: usize,
}

/// Those of a row of `cols` elements, a whole number of blocks.
pub(super) fn row_bytes(cols: usize) -> RowBytes {
    RowBytes {
        quants: cols / 2,
        scales: cols / BLOCK,
    }
}

/// Whether rows of `cols` elements are whole blocks.
pub(super) fn fits(cols: usize) -> bool {
    cols.is_multiple_of(BLOCK)
}

/// Little-endian bfloat16, which hold every value of the format but the smallest ones exactly.
pub(super) fn to_bf16(quants: &[u8], scales: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 * quants.len());
    for (block, &scale) in quants.chunks_exact(BLOCK / 2).zip(scales) {
        let scale = scale_of(scale);
        for byte in block {
            for code in [byte & 15, byte >> 4] {
                let magnitude = MAGNITUDES[usize::from(code & 7)];
                let value = if code & 8 == 0 { magnitude } else { -magnitude };
                bytes.extend(bf16::from_f32(value * scale).to_le_bytes());
            }
        }
    }
    bytes
}

/// `2^(code - 127)`; 255 is not a number.
fn scale_of(code: u8) -> f32 {
    match code {
        255 => f32::NAN,
        // Below the smallest normal number.
        0 => f32::from_bits(1 << 22),
        code => f32::from_bits(u32::from(code) << 23),
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::to_bf16;

    fn decoded(quants: &[u8], scales: &[u8]) -> Vec<f32> {
        let bytes = to_bf16(quants, scales);
        let elements = bytes.chunks_exact(2);
        elements
            .map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect()
    }

    #[test]
    fn every_code_is_what_the_specification_says() {
        let codes: Vec<u8> = (0..8).map(|i| (2 * i) | ((2 * i + 1) << 4)).collect();
        let quants = [&codes[..], &codes].concat();
        let want = [
            0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0,
        ];
        let got = decoded(&quants, &[127]);
        assert_eq!(got, [want, want].concat());
        // 2^3 and 2^-100.
        assert_eq!(decoded(&quants, &[130])[7], 48.0);
        assert_eq!(decoded(&quants, &[27])[2], 2f32.powi(-100));
        assert_eq!(decoded(&quants, &[0])[4], 2f32.powi(-126));
        assert!(decoded(&quants, &[255])[1].is_nan());
    }

    #[test]
    fn each_block_has_a_scale() {
        let got = decoded(&[0x22; 32], &[127, 128]);
        assert_eq!(got[..32], [1.0; 32]);
        assert_eq!(got[32..], [2.0; 32]);
    }
}
