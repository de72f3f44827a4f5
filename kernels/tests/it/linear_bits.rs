//! Row-wise operations give a row the same bits alone and in any batch.

use kernels::{
    Activation, Backend, GatedLinear, Linear, RmsNorm, WeightDtype, WeightFormat, WeightView,
};

use crate::activations::gated_units;
use crate::fixture::{Rng, assert_same_bits, blocks, download, encode, poisoned, upload};
use crate::quantized::BLOCK_DTYPES;

/// (out_features, in_features): more than one pass over the depth, partial panels, many panels, rows
/// that lie whole pages apart.
const SHAPES: [(usize, usize); 5] = [(50, 700), (33, 256), (1600, 65), (16, 1537), (40, 2048)];
const DTYPES: [WeightDtype; 3] = [WeightDtype::F32, WeightDtype::Bf16, WeightDtype::F16];
/// The same for weights in blocks.
const BLOCK_SHAPES: [(usize, usize); 3] = [(50, 768), (33, 256), (900, 512)];

/// Every shape with every dtype that it can have.
fn cases() -> impl Iterator<Item = ((usize, usize), WeightDtype)> {
    let floats = SHAPES.into_iter().flat_map(|s| DTYPES.map(|d| (s, d)));
    let integers = BLOCK_SHAPES.into_iter();
    floats.chain(integers.flat_map(|s| BLOCK_DTYPES.map(|d| (s, d))))
}

/// `input` `[_, in_features]` times random weights made from `seed`.
fn product<B: Backend>(
    backend: &mut B,
    seed: u64,
    (out_features, in_features): (usize, usize),
    dtype: WeightDtype,
    input: &[f32],
) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let len = out_features * in_features;
    let data = match dtype.block_len() {
        1 => encode(&rng.floats(len), dtype).0,
        block => blocks(&mut rng, dtype, len / block),
    };
    let bias = rng.floats(out_features);
    let view = WeightView {
        name: "w",
        data: &data,
        dtype,
        rows: out_features,
        cols: in_features,
    };
    let packed = backend
        .pack_linear(&[view], Some(&bias), &[WeightFormat::Checkpoint])
        .unwrap();
    let rows = input.len() / in_features;
    let input = upload(backend, input, in_features);
    let mut out = poisoned(backend, rows, out_features);
    let op = Linear {
        input: &input,
        weight: &packed,
        rows,
        out: &mut out,
    };
    backend.linear(op).unwrap();
    download(backend, &out, rows)
}

pub(crate) fn a_row_alone_is_the_row_in_a_batch<B: Backend>(make: &dyn Fn(usize) -> B) {
    let mut backend = make(2);
    let mut rng = Rng::new(51);
    for (shape, dtype) in cases() {
        let input = rng.floats(128 * shape.1);
        let all = product(&mut backend, 52, shape, dtype, &input);
        for rows in [1, 2, 3, 4, 5, 6, 7, 12, 17, 97] {
            let first = rng.below(128 - rows + 1);
            let some = &input[first * shape.1..(first + rows) * shape.1];
            let got = product(&mut backend, 52, shape, dtype, some);
            let want = &all[first * shape.0..(first + rows) * shape.0];
            assert_same_bits(&format!("{shape:?} {dtype:?}, {rows} rows"), &got, want);
        }
    }
}

pub(crate) fn threads_change_nothing<B: Backend>(make: &dyn Fn(usize) -> B) {
    let mut rng = Rng::new(53);
    for (shape, dtype) in cases() {
        for rows in [1, 5, 100] {
            let input = rng.floats(rows * shape.1);
            let want = product(&mut make(1), 54, shape, dtype, &input);
            for threads in [2, 3] {
                let got = product(&mut make(threads), 54, shape, dtype, &input);
                assert_same_bits(&format!("{shape:?} {dtype:?}, {threads}"), &got, &want);
            }
        }
    }
}

pub(crate) fn row_wise_operations_ignore_other_rows<B: Backend>(make: &dyn Fn(usize) -> B) {
    let mut backend = make(3);
    let mut rng = Rng::new(55);
    for cols in [20, 64, 577] {
        let (rows, eps) = (100, 1e-6);
        let input = rng.floats(rows * 2 * cols);
        let weight = backend.vector(&rng.floats(2 * cols)).unwrap();
        let units = gated_units(&mut backend, cols);
        let mut run = |input: &[f32]| {
            let rows = input.len() / (2 * cols);
            let buffer = upload(&mut backend, input, 2 * cols);
            let mut normed = poisoned(&mut backend, rows, 2 * cols);
            let op = RmsNorm {
                input: &buffer,
                weight: &weight,
                eps,
                rows,
                out: &mut normed,
            };
            backend.rms_norm(op).unwrap();
            let mut out = poisoned(&mut backend, rows, cols);
            let mut gate_up = poisoned(&mut backend, rows, 2 * cols);
            let op = GatedLinear {
                input: &normed,
                weight: &units,
                rows,
                gate_up: &mut gate_up,
                activation: Activation::Silu,
                out: &mut out,
            };
            backend.gated_linear(op).unwrap();
            download(&mut backend, &out, rows)
        };
        let all = run(&input);
        for row in [0, 1, 50, 99] {
            let got = run(&input[row * 2 * cols..(row + 1) * 2 * cols]);
            assert_same_bits(&format!("{cols}"), &got, &all[row * cols..(row + 1) * cols]);
        }
    }
}

/// Gated units of weights in bfloat16, of rows that are few, some and many for every backend: kernels
/// that make both at once and those that make one after the other agree.
pub(crate) fn units_alone_are_those_in_a_batch<B: Backend>(make: &dyn Fn(usize) -> B) {
    let mut backend = make(2);
    let mut rng = Rng::new(57);
    for (cols, in_features) in [(72, 136), (270, 600), (33, 1032)] {
        let rows = 170;
        let halves = [0, 1].map(|_| {
            let weight = rng.floats(cols * in_features);
            encode(&weight, WeightDtype::Bf16).0
        });
        let views = halves.each_ref().map(|data| WeightView {
            name: "w",
            data,
            dtype: WeightDtype::Bf16,
            rows: cols,
            cols: in_features,
        });
        let bias = rng.floats(2 * cols);
        let weight = backend
            .pack_linear(&views, Some(&bias), &[WeightFormat::Checkpoint; 2])
            .unwrap();
        let input = rng.floats(rows * in_features);
        let mut run = |input: &[f32]| {
            let rows = input.len() / in_features;
            let input = upload(&mut backend, input, in_features);
            let mut gate_up = poisoned(&mut backend, rows, 2 * cols);
            let mut out = poisoned(&mut backend, rows, cols);
            let op = GatedLinear {
                input: &input,
                weight: &weight,
                rows,
                gate_up: &mut gate_up,
                activation: Activation::Silu,
                out: &mut out,
            };
            backend.gated_linear(op).unwrap();
            let mut both = download(&mut backend, &out, rows);
            both.extend(download(&mut backend, &gate_up, rows));
            both
        };
        let all = run(&input);
        for count in [1, 5, 16, 17, 40, 70, 129] {
            let first = rng.below(rows - count + 1);
            let got = run(&input[first * in_features..][..count * in_features]);
            let (units, halves) = got.split_at(count * cols);
            let case = format!("{cols} of {in_features}, {count} rows");
            assert_same_bits(&case, units, &all[first * cols..][..units.len()]);
            let want = &all[(rows + 2 * first) * cols..][..halves.len()];
            assert_same_bits(&case, halves, want);
        }
    }
}
