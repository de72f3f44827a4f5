//! On every machine: tiles in plain Rust give the bits of products without tiles.

#![expect(unsafe_code, reason = "rows are written through pointers")]

use std::ops::Range;

use super::TiledIntegerProduct;
use crate::cpu::linear::chunked_rows::ChunkedRows;
use crate::cpu::linear::integer_chunk::{IntegerChunk, LARGEST_ON_TILES};
use crate::cpu::linear::integers::IntegerProduct;
use crate::cpu::linear::output::Output;
use crate::cpu::packed::{Bf16Product, GROUP, IntegerPanels, PackedLinear, Panels};
use crate::cpu::pool::Pool;
use crate::cpu::portable::Portable;
use crate::cpu::simd::{Isa, Kernel, LANES};
use crate::cpu::tiles::TileKernel;
use crate::cpu::tiles::plain::PlainTiles;
use crate::{WeightDtype, WeightFormat, WeightView};

/// Numbers in [-1, 1).
fn noise(state: &mut u32) -> f32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
}

/// `values` `[_, cols]` in `format`.
fn packed(pool: &Pool, values: &[f32], cols: usize, format: WeightFormat) -> PackedLinear {
    let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let part = WeightView {
        name: "w",
        data: &data,
        dtype: WeightDtype::F32,
        rows: values.len() / cols,
        cols,
    };
    let (isa, product) = (Isa::Portable, Bf16Product::Widened);
    PackedLinear::pack(pool, isa, &[part], None, &[format], product).unwrap()
}

/// What `product` writes into the outputs that it is given, the others NaN.
fn outputs(
    weight: &PackedLinear,
    num_rows: usize,
    product: impl FnOnce(&IntegerPanels, Range<usize>, Output<'_>),
) -> Vec<f32> {
    let [segment] = weight.segments() else {
        panic!("one segment");
    };
    let Panels::Integers(panels) = &segment.panels else {
        panic!("integers");
    };
    let columns = weight.out_features();
    let mut out = vec![f32::NAN; num_rows * columns];
    let output = Output {
        ptr: out.as_mut_ptr(),
        stride: columns,
        columns,
        bias: None,
    };
    product(panels, 0..columns.div_ceil(LANES), output);
    out
}

#[test]
fn bits_are_those_without_tiles() {
    let pool = Pool::new(1, false).unwrap();
    let mut state = 1;
    for format in [
        WeightFormat::Q8_0,
        WeightFormat::Q4K,
        WeightFormat::Q5K,
        WeightFormat::Q6K,
    ] {
        for (num_outputs, depth) in [(1, 256), (33, 768), (17, 256 + GROUP)] {
            if depth % 256 != 0 && format != WeightFormat::Q8_0 {
                continue;
            }
            let mut floats =
                |len: usize| -> Vec<f32> { (0..len).map(|_| noise(&mut state)).collect() };
            let weight = packed(&pool, &floats(num_outputs * depth), depth, format);
            let input = floats(50 * depth);
            let mut integers = ChunkedRows::<IntegerChunk>::new().unwrap();
            integers.reserve(50, depth).unwrap();
            let take = |chunk: &mut IntegerChunk, input: &[f32]| {
                chunk.quantize(Portable, input, LARGEST_ON_TILES);
            };
            // SAFETY: nobody else is there.
            unsafe { integers.writer(50, depth).write_by(0, &input, take) };
            let mut whole = ChunkedRows::new().unwrap();
            whole.reserve(50, depth).unwrap();
            whole.fill(&pool, Isa::Portable, &input, depth);
            for rows in [0..1, 3..9, 1..17, 2..19, 0..50] {
                let want = outputs(&weight, 50, |panels, columns, out| {
                    let (input, rows) = (&integers, rows.clone());
                    Kernel::run(
                        IntegerProduct {
                            panels,
                            input,
                            rows,
                            columns,
                            out,
                        },
                        Portable,
                    );
                });
                let got = outputs(&weight, 50, |panels, columns, out| {
                    let (input, rows) = (&whole, rows.clone());
                    TileKernel::run(
                        TiledIntegerProduct {
                            panels,
                            input,
                            rows,
                            columns,
                            out,
                        },
                        Portable,
                        &mut PlainTiles::new(),
                    );
                });
                let bits =
                    |floats: &[f32]| -> Vec<u32> { floats.iter().map(|x| x.to_bits()).collect() };
                assert!(want.iter().any(|x| !x.is_nan()));
                assert_eq!(
                    bits(&got),
                    bits(&want),
                    "{format:?}, {depth} inputs, rows {rows:?}"
                );
            }
        }
    }
}
