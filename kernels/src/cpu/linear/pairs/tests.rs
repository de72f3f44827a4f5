//! Packing, rounding and the order of sums, on every machine: in plain Rust, bit for bit against a
//! loop over the definition.

use half::bf16;

use super::PairProduct;
use crate::cpu::linear::chunked_rows::ChunkedRows;
use crate::cpu::linear::output::Output;
use crate::cpu::packed::{Bf16Product, PackedLinear, Panels};
use crate::cpu::pairs::Bf16Chunk;
use crate::cpu::pool::Pool;
use crate::cpu::portable::Portable;
use crate::cpu::simd::{Isa, LANES};
use crate::cpu::tiles::TileKernel;
use crate::cpu::tiles::plain::PlainTiles;
use crate::{WeightDtype, WeightFormat, WeightView};

/// Numbers in [-1, 1) that f32 holds and bfloat16 does not.
fn noise(state: &mut u32) -> f32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
}

/// `values` as f32 in little endian: they are rounded to bfloat16 while they are packed.
fn packed(pool: &Pool, values: &[f32], cols: usize, bias: Option<&[f32]>) -> PackedLinear {
    let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let row_bytes = 4 * cols;
    let rows = data.len() / row_bytes;
    let (head, tail) = data.split_at(rows / 3 / LANES * LANES * row_bytes);
    let part = |data| WeightView {
        name: "w",
        data,
        dtype: WeightDtype::F32,
        rows: data.len() / row_bytes,
        cols,
    };
    // A part without rows would be refused.
    let parts = [part(head), part(tail)];
    let parts = &parts[usize::from(head.is_empty())..];
    let formats = vec![WeightFormat::Bf16; parts.len()];
    let (isa, product) = (Isa::Portable, Bf16Product::Pairs);
    PackedLinear::pack(pool, isa, parts, bias, &formats, product).unwrap()
}

/// How products are computed.
#[derive(Clone, Copy, Debug)]
enum Way {
    Pairs,
    Tiles,
}

/// The product of rows `rows` and panels `columns`, the other outputs NaN.
fn multiply(
    way: Way,
    weight: &PackedLinear,
    input: &ChunkedRows<Bf16Chunk>,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> Vec<f32> {
    let [segment] = weight.segments() else {
        panic!("one segment");
    };
    let Panels::Bf16Pairs(panels) = &segment.panels else {
        panic!("pairs");
    };
    let mut out = vec![f32::NAN; input.rows() * weight.out_features()];
    let product = PairProduct {
        panels,
        input,
        rows,
        columns,
        out: Output {
            ptr: out.as_mut_ptr(),
            stride: weight.out_features(),
            columns: weight.out_features(),
            bias: weight.bias(),
        },
    };
    match way {
        Way::Pairs => product.compute(Portable),
        Way::Tiles => TileKernel::run(product, Portable, &mut PlainTiles::new()),
    }
    out
}

/// By the definition. Pairs: one after the other, the second product first. Tiles: 32 inputs at a
/// time, even and odd ones apart.
fn expected(way: Way, input: &[f32], weight: &[f32], bias: Option<f32>) -> f32 {
    let rounded = |x: f32| bf16::from_f32(x).to_f32();
    let mut sum = 0.0f32;
    match way {
        Way::Pairs => {
            for (x, w) in input.chunks(2).zip(weight.chunks(2)) {
                for (x, w) in x.iter().zip(w).rev() {
                    sum = rounded(*x).mul_add(rounded(*w), sum);
                }
            }
        }
        Way::Tiles => {
            for (x, w) in input.chunks(32).zip(weight.chunks(32)) {
                let half = |first: usize| {
                    let pairs = x.iter().zip(w).skip(first).step_by(2);
                    pairs.fold(0.0f32, |sum, (x, w)| rounded(*x).mul_add(rounded(*w), sum))
                };
                sum += half(0) + half(1);
            }
        }
    }
    sum + bias.unwrap_or(0.0)
}

#[test]
fn products_follow_the_definition() {
    let pool = Pool::new(2, false).unwrap();
    let mut state = 1;
    // Outputs and inputs: odd, less than a vector or a chunk, several chunks.
    for (out_features, in_features) in [(1, 1), (7, 9), (33, 255), (50, 257), (100, 768), (16, 2)] {
        let mut floats = |len: usize| -> Vec<f32> { (0..len).map(|_| noise(&mut state)).collect() };
        let weight = floats(out_features * in_features);
        let input = floats(50 * in_features);
        let bias = floats(out_features);
        let bias = (out_features % 2 == 1).then_some(&bias[..]);
        let packed = packed(&pool, &weight, in_features, bias);
        let mut row = vec![f32::NAN; in_features];
        packed.unpack_row(out_features - 1, &mut row);
        let last = &weight[(out_features - 1) * in_features..];
        assert!(
            row.iter()
                .zip(last)
                .all(|(x, w)| *x == bf16::from_f32(*w).to_f32())
        );

        let mut rounded = ChunkedRows::<Bf16Chunk>::new().unwrap();
        // Longer rows were here before: nothing of them is read.
        rounded.reserve(50, in_features + 100).unwrap();
        rounded.fill(&pool, Isa::Portable, &[f32::NAN; 900], 18);
        rounded.fill(&pool, Isa::Portable, &input, in_features);
        let panels = out_features.div_ceil(LANES);
        // Few rows, one tile, several tiles of one pass, and of a pass for each chunk.
        let ways = [Way::Pairs, Way::Tiles];
        for (way, rows) in ways.into_iter().flat_map(|way| {
            let rows = [0..1, 3..6, 20..24, 1..14, 1..18, 2..38, 0..50];
            rows.map(|rows| (way, rows))
        }) {
            for columns in [0..panels, panels / 2..panels] {
                let got = multiply(way, &packed, &rounded, rows.clone(), columns.clone());
                for (index, got) in got.iter().enumerate() {
                    let (r, n) = (index / out_features, index % out_features);
                    if !rows.contains(&r) || !columns.contains(&(n / LANES)) {
                        assert!(got.is_nan(), "row {r} output {n} is not the task's");
                        continue;
                    }
                    let x = &input[r * in_features..][..in_features];
                    let w = &weight[n * in_features..][..in_features];
                    let want = expected(way, x, w, bias.map(|bias| bias[n]));
                    assert_eq!(
                        got.to_bits(),
                        want.to_bits(),
                        "{way:?} {out_features} x {in_features}, rows {rows:?}, row {r} output {n}"
                    );
                }
            }
        }
    }
}

#[test]
fn inputs_are_rounded_to_nearest_even() {
    let pool = Pool::new(1, false).unwrap();
    let weight = packed(&pool, &[1.0, 0.0, 0.0], 3, None);
    let mut rounded = ChunkedRows::<Bf16Chunk>::new().unwrap();
    rounded.reserve(1, 3).unwrap();
    let mut through = |x: f32| {
        rounded.fill(&pool, Isa::Portable, &[x, 0.0, 0.0], 3);
        multiply(Way::Pairs, &weight, &rounded, 0..1, 0..1)[0]
    };
    // Steps of 2^-7 above 1: halfway to the even neighbour, below and above.
    assert_eq!(through(1.0 + 1.0 / 256.0), 1.0);
    assert_eq!(through(1.0 + 3.0 / 256.0), 1.0 + 4.0 / 256.0);
    assert_eq!(through(-1.0 - 1.01 / 256.0), -1.0 - 2.0 / 256.0);
    assert_eq!(through(f32::MAX), f32::INFINITY);
    assert_eq!(through(f32::NEG_INFINITY), f32::NEG_INFINITY);
    // A NaN whose upper half alone would be an infinity.
    assert!(through(f32::from_bits(0x7f80_0001)).is_nan());
}
