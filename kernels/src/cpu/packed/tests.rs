use crate::cpu::packed::Stack;
use crate::cpu::packed::integers::IntegerPanels;
use crate::cpu::packed::layout::Layout;
use crate::cpu::pool::Pool;
use crate::cpu::simd::{Isa, LANES};
use crate::quantized::Block;
use crate::{WeightDtype, WeightView};

const QUANTISED: [WeightDtype; 4] = [
    WeightDtype::Q8_0,
    WeightDtype::Q4K,
    WeightDtype::Q5K,
    WeightDtype::Q6K,
];

/// Rows of every kind that a quantiser may stumble over.
fn values(rows: usize, cols: usize) -> Vec<f32> {
    let mut state = 7u32;
    let mut uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut values = Vec::new();
    for row in 0..rows {
        for col in 0..cols {
            let x = uniform();
            values.push(match (row % 11, col / 32 % 4) {
                (1, 0) => 0.0,
                (1, 1) => -0.25,
                (2, _) => x.abs() + 0.1,
                (3, _) => -x.abs() - 0.1,
                (4, 1) => x * 1e-42,
                (4, _) => x * 1e-20,
                (5, 2) => x * 1e30,
                (6, 3) if col % 32 == 5 => f32::INFINITY,
                (7, 0) => f32::from(col as u16 % 16) * 0.5 - 2.0,
                (8, 2) => x * x * x * 1e4,
                (9, 1) => -0.0,
                _ => x,
            });
        }
    }
    values
}

#[test]
fn panels_hold_the_blocks_that_each_row_makes_alone() {
    // More than a panel, and one that is not full; blocks of 32 that fill no 256.
    let rows = LANES + 5;
    let pool = Pool::new(2, false).unwrap();
    for dtype in QUANTISED {
        let cols = if dtype == WeightDtype::Q8_0 { 288 } else { 512 };
        let floats = values(rows, cols);
        let data: Vec<u8> = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
        let (head, tail) = data.split_at(3 * cols * 4);
        let view = |data, rows| WeightView {
            name: "w",
            data,
            dtype: WeightDtype::F32,
            rows,
            cols,
        };
        let parts = [view(head, 3), view(tail, rows - 3)];
        let stack = Stack {
            parts: &parts,
            dtype,
        };
        let layout = Layout::of(dtype);
        let (len, panel_bytes) = (dtype.block_len(), layout.panel_bytes(cols));
        for isa in Isa::available() {
            let packed = IntegerPanels::pack(&pool, isa, stack).unwrap();
            assert_eq!(packed.bytes().len(), 2 * panel_bytes);
            for (index, values) in floats.chunks_exact(len).enumerate() {
                let (row, block) = (index / (cols / len), index % (cols / len));
                let panel = &packed.bytes()[row / LANES * panel_bytes..][..panel_bytes];
                let bytes = &panel[block * layout.block_bytes()..][..layout.block_bytes()];
                let (mut got, mut want) = (Vec::new(), Vec::new());
                layout.read(row % LANES, bytes).encode(dtype, &mut got);
                Block::quantize(dtype, values).encode(dtype, &mut want);
                let isa = isa.name();
                assert_eq!(got, want, "{dtype:?} {isa} row {row} block {block}");
            }
            // Of rows that are not there, not a bit is set.
            let blocks = packed.bytes()[panel_bytes..].chunks_exact(layout.block_bytes());
            for bytes in blocks {
                let halves = bytes[..layout.header].chunks_exact(2).enumerate();
                let missing = halves.filter(|(lane, _)| lane % LANES >= rows % LANES);
                for (lane, half) in missing {
                    assert_eq!(half, [0, 0], "{dtype:?} lane {lane}");
                }
            }
        }
    }
}
