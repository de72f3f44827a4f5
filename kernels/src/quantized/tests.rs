use half::f16;

use crate::WeightDtype;
use crate::quantized::{Block, MAX_BLOCK};

const QUANTISED: [WeightDtype; 4] = [
    WeightDtype::Q8_0,
    WeightDtype::Q4K,
    WeightDtype::Q5K,
    WeightDtype::Q6K,
];

/// Numbers that look random, roughly normal.
fn values(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..len).map(|_| (0..6).map(|_| uniform()).sum()).collect()
}

fn error_of(dtype: WeightDtype, values: &[f32]) -> f32 {
    let block = Block::quantize(dtype, values);
    let mut kept = vec![0.0; values.len()];
    block.values(dtype, &mut kept);
    let squares = |items: &mut dyn Iterator<Item = f32>| items.map(|x| x * x).sum::<f32>();
    let error = squares(&mut values.iter().zip(&kept).map(|(x, y)| x - y));
    (error / squares(&mut values.iter().copied())).sqrt()
}

#[test]
fn quantising_keeps_what_its_bits_allow() {
    // Relative root mean square errors; a uniform quantiser of b bits over six standard deviations
    // has 6 / 2^b / sqrt(12).
    for (dtype, most) in QUANTISED.into_iter().zip([0.009, 0.085, 0.042, 0.023]) {
        for seed in 1..20 {
            let error = error_of(dtype, &values(dtype.block_len(), seed));
            assert!(error < most, "{dtype:?} seed {seed}: {error}");
        }
    }
}

#[test]
fn values_on_the_grid_are_kept_exactly() {
    // 0.25 * {0..15} - 0.5, and the same of other formats' levels: powers of two survive f16.
    let grid = |levels: i32, scale: f32, min: f32| -> Vec<f32> {
        (0..MAX_BLOCK as i32)
            .map(|k| (k * 7 % levels) as f32 * scale - min)
            .collect()
    };
    let mut kept = [0.0; MAX_BLOCK];
    for (dtype, values) in [
        (
            WeightDtype::Q8_0,
            (0..32)
                .map(|k| (k * 11 % 255 - 127) as f32)
                .collect::<Vec<f32>>(),
        ),
        (WeightDtype::Q4K, grid(16, 63.0, 63.0)),
        (WeightDtype::Q5K, grid(32, 63.0, 126.0)),
    ] {
        let mut values = values;
        if dtype == WeightDtype::Q8_0 {
            values[0] = -127.0;
        }
        let block = Block::quantize(dtype, &values);
        block.values(dtype, &mut kept[..values.len()]);
        assert_eq!(&kept[..values.len()], &values, "{dtype:?}");
    }
}

#[test]
fn zeros_and_constants_survive() {
    let mut kept = [1.0; MAX_BLOCK];
    for dtype in QUANTISED {
        let len = dtype.block_len();
        Block::quantize(dtype, &vec![0.0; len]).values(dtype, &mut kept[..len]);
        assert!(kept[..len].iter().all(|&x| x == 0.0), "{dtype:?}");
        for constant in [0.5, -0.5] {
            Block::quantize(dtype, &vec![constant; len]).values(dtype, &mut kept[..len]);
            let close = |x: &f32| (x - constant).abs() < 0.02;
            assert!(
                kept[..len].iter().all(close),
                "{dtype:?} {constant}: {}",
                kept[0]
            );
        }
        let mut wrong = vec![0.5; len];
        wrong[3] = f32::INFINITY;
        Block::quantize(dtype, &wrong).values(dtype, &mut kept[..len]);
        assert!(kept[..len].iter().any(|x| x.is_nan()), "{dtype:?}");
    }
}

#[test]
fn blocks_are_read_as_ggml_writes_them() {
    // By hand: d = 0.5 (0x3800), the nibbles of byte j are j and 15 - j.
    let mut bytes = vec![0x00, 0x38];
    bytes.extend((0..16u8).map(|j| j | (15 - j) << 4));
    let mut kept = [0.0; MAX_BLOCK];
    Block::decode(WeightDtype::Q4_0, &bytes).values(WeightDtype::Q4_0, &mut kept[..32]);
    assert_eq!(
        [kept[0], kept[15], kept[16], kept[31]],
        [-4.0, 3.5, 3.5, -4.0]
    );

    // The fifth bit of element 0 and of element 31.
    let mut bytes = vec![0x00, 0x38, 0x01, 0, 0, 0x80];
    bytes.extend((0..16u8).map(|j| j | (15 - j) << 4));
    Block::decode(WeightDtype::Q5_0, &bytes).values(WeightDtype::Q5_0, &mut kept[..32]);
    assert_eq!(
        [kept[0], kept[1], kept[30], kept[31]],
        [0.0, -7.5, -7.5, 0.0]
    );

    // d = 0.5, dmin = 0.25; scale and min of sub-block s: 40 + s and 50 + s. For s >= 4 the high
    // two bits (2 and 3) lie in bytes s - 4 and s.
    let mut bytes = vec![0x00, 0x38, 0x00, 0x34];
    bytes.extend((0..4u8).map(|s| (40 + s) | 2 << 6));
    bytes.extend((0..4u8).map(|s| (50 + s) | 3 << 6));
    bytes.extend((4..8u8).map(|s| (40 + s) & 15 | ((50 + s) & 15) << 4));
    bytes.extend([0x53; 128]);
    Block::decode(WeightDtype::Q4K, &bytes).values(WeightDtype::Q4K, &mut kept);
    for (sub, kept) in kept.chunks_exact(32).enumerate() {
        let quant = if sub % 2 == 0 { 3.0 } else { 5.0 };
        let value = 0.5 * (40 + sub) as f32 * quant - 0.25 * (50 + sub) as f32;
        assert!(
            kept.iter().all(|&x| x == value),
            "{sub}: {} {value}",
            kept[0]
        );
    }
    // The same with a fifth bit for the odd sub-blocks.
    bytes.splice(16..16, [0xaa; 32]);
    Block::decode(WeightDtype::Q5K, &bytes).values(WeightDtype::Q5K, &mut kept);
    let value = |sub: usize, quant: f32| 0.5 * (40 + sub) as f32 * quant - 0.25 * (50 + sub) as f32;
    assert_eq!(
        [kept[0], kept[32], kept[255]],
        [value(0, 3.0), value(1, 21.0), value(7, 21.0)]
    );

    // Nibbles 3 (low) and 5 (high); high bits 0, 1, 2, 3 of the quarters; scale of 16 elements i.
    let mut bytes = vec![0x53; 128];
    bytes.extend([0b11_10_01_00; 64]);
    bytes.extend((0..16).map(|i| (i as i8 - 8) as u8));
    bytes.extend(f16::from_f32(0.5).to_le_bytes());
    Block::decode(WeightDtype::Q6K, &bytes).values(WeightDtype::Q6K, &mut kept);
    for (k, &value) in kept.iter().enumerate() {
        let quarter = k % 128 / 32;
        let nibble = if quarter < 2 { 3 } else { 5 };
        let quant = nibble + 16 * quarter as i32 - 32;
        assert_eq!(
            value,
            0.5 * (k as i32 / 16 - 8) as f32 * quant as f32,
            "{k}"
        );
    }
}

#[test]
fn encoded_blocks_are_read_again() {
    for dtype in QUANTISED {
        for seed in 1..20 {
            let block = Block::quantize(dtype, &values(dtype.block_len(), seed));
            let mut bytes = Vec::new();
            block.encode(dtype, &mut bytes);
            assert_eq!(bytes.len(), dtype.block_bytes(), "{dtype:?}");
            assert_eq!(Block::decode(dtype, &bytes), block, "{dtype:?} seed {seed}");
        }
    }
}
