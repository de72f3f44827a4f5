//! Products and embeddings of weights in blocks of integers.

use kernels::{Backend, Embed, KernelError, Linear, WeightDtype, WeightFormat, WeightView};

use crate::fixture::{Rng, assert_close, blocks, download, encode, poisoned, upload};

/// Every dtype with blocks.
pub(crate) const BLOCK_DTYPES: [WeightDtype; 6] = [
    WeightDtype::Q4_0,
    WeightDtype::Q5_0,
    WeightDtype::Q8_0,
    WeightDtype::Q4K,
    WeightDtype::Q5K,
    WeightDtype::Q6K,
];

/// (rows, out_features, blocks of inputs)
const SHAPES: [(usize, usize, usize); 9] = [
    (1, 16, 1),
    (1, 130, 9),
    (2, 33, 3),
    (3, 7, 8),
    (5, 100, 2),
    (8, 31, 11),
    (17, 47, 5),
    (97, 40, 4),
    (128, 20, 18),
];

/// Inputs are rounded to multiples of 2^-15 of the largest, or of 2^-8 where products go to tiles of
/// bfloat16: an error of half of that / sqrt(3) beside a root mean square of 1 / sqrt(3), and five times
/// that is not seen in so many sums.
fn tolerance<B: Backend>(backend: &B) -> f64 {
    match backend.description().contains("amx") {
        true => 5.0 / 512.0,
        false => 5.0 / 65_536.0,
    }
}

/// The weights' values, `[rows, cols]`.
fn values(view: &WeightView<'_>) -> Vec<f32> {
    let mut values = vec![0.0; view.rows * view.cols];
    for (row, out) in values.chunks_exact_mut(view.cols).enumerate() {
        view.read(row, 0, out);
    }
    values
}

/// Packs `parts`, multiplies, and returns the result with what it should be in f64.
fn multiply<B: Backend>(
    backend: &mut B,
    parts: &[WeightView<'_>],
    input: &[f32],
    bias: Option<&[f32]>,
) -> (Vec<f32>, Vec<f64>) {
    let packed = backend
        .pack_linear(parts, bias, &vec![WeightFormat::Checkpoint; parts.len()])
        .unwrap();
    let cols = parts[0].cols;
    let rows = input.len() / cols;
    let weight: Vec<f32> = parts.iter().flat_map(values).collect();
    let width = weight.len() / cols;
    let buffer = upload(backend, input, cols);
    let mut out = poisoned(backend, rows, width);
    let op = Linear {
        input: &buffer,
        weight: &packed,
        rows,
        out: &mut out,
    };
    backend.linear(op).unwrap();
    let mut want = Vec::new();
    for x in input.chunks_exact(cols) {
        for (n, w) in weight.chunks_exact(cols).enumerate() {
            let products = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w));
            want.push(products.sum::<f64>() + bias.map_or(0.0, |bias| f64::from(bias[n])));
        }
    }
    (download(backend, &out, rows), want)
}

pub(crate) fn integer_products_match_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(71);
    for dtype in BLOCK_DTYPES {
        for (rows, out_features, num_blocks) in SHAPES {
            let cols = num_blocks * dtype.block_len();
            let data = blocks(&mut rng, dtype, out_features * num_blocks);
            let view = WeightView {
                name: "w",
                data: &data,
                dtype,
                rows: out_features,
                cols,
            };
            let input = rng.floats(rows * cols);
            let bias = rng.floats(out_features);
            let bias = (rows % 2 == 1).then_some(&bias[..]);
            let (got, want) = multiply(&mut backend, &[view], &input, bias);
            let what = format!("{dtype:?} {rows} x {out_features} x {cols}");
            assert_close(&what, &got, &want, tolerance(&backend));
        }
    }
}

/// Inputs that are integers of 8 bits, with the largest in each 32, are kept: sums are exact.
pub(crate) fn whole_inputs_are_kept<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(75);
    for dtype in BLOCK_DTYPES {
        let (out_features, cols) = (50, 768);
        let data = blocks(&mut rng, dtype, out_features * cols / dtype.block_len());
        let view = WeightView {
            name: "w",
            data: &data,
            dtype,
            rows: out_features,
            cols,
        };
        for rows in [1, 6, 16, 40] {
            let whole = |k: usize, x: f32| {
                if k.is_multiple_of(32) {
                    255.0
                } else {
                    (255.0 * x).round()
                }
            };
            let input = rng.floats(rows * cols);
            let input: Vec<f32> = (0..).zip(input).map(|(k, x)| whole(k, x)).collect();
            let (got, want) = multiply(&mut backend, &[view], &input, None);
            let rounds = backend.description().contains("amx");
            // Of 15 bits these are no multiples.
            let tolerance = if rounds { 2e-6 } else { tolerance(&backend) };
            assert_close(&format!("{dtype:?}, {rows} rows"), &got, &want, tolerance);
        }
    }
}

pub(crate) fn stacked_matrices_keep_their_dtypes<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(72);
    let cols = 512;
    // Sizes that are no multiple of a panel, equal dtypes apart and side by side.
    let parts = [
        (WeightDtype::Q4K, 20),
        (WeightDtype::Q4K, 5),
        (WeightDtype::Q6K, 33),
        (WeightDtype::F32, 3),
        (WeightDtype::Q4K, 16),
        (WeightDtype::Q8_0, 7),
    ];
    let data = parts.map(|(dtype, rows)| match dtype {
        WeightDtype::F32 => encode(&rng.floats(rows * cols), dtype).0,
        _ => blocks(&mut rng, dtype, rows * cols / dtype.block_len()),
    });
    let views: Vec<WeightView<'_>> = parts
        .iter()
        .zip(&data)
        .map(|(&(dtype, rows), data)| WeightView {
            name: "w",
            data,
            dtype,
            rows,
            cols,
        })
        .collect();
    let bias = rng.floats(84);
    for rows in [1, 9] {
        let input = rng.floats(rows * cols);
        let (got, want) = multiply(&mut backend, &views, &input, Some(&bias));
        // The matrices differ in size, and the tolerance is relative to all of them.
        let tolerance = 2.0 * tolerance(&backend);
        assert_close(&format!("{rows} rows"), &got, &want, tolerance);
    }
    let packed = backend
        .pack_linear(&views, None, &vec![WeightFormat::Checkpoint; views.len()])
        .unwrap();
    assert_eq!(
        embedded(&mut backend, &packed, 84, cols),
        views.iter().flat_map(values).collect::<Vec<f32>>()
    );
}

/// Every row of `packed`.
fn embedded<B: Backend>(backend: &mut B, packed: &B::Linear, rows: usize, cols: usize) -> Vec<f32> {
    let token_ids: Vec<u32> = (0..rows as u32).collect();
    let mut out = poisoned(backend, rows, cols);
    let op = Embed {
        table: packed,
        token_ids: &token_ids,
        scale: 1.0,
        out: &mut out,
    };
    backend.embed(op).unwrap();
    download(backend, &out, rows)
}

pub(crate) fn floats_are_quantised_when_packed<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(73);
    let (rows, cols) = (37, 512);
    let weight = rng.floats(rows * cols);
    // Relative root mean square errors that uniform values leave: half a step of 2 / 2^bits,
    // uniformly, against 1 / sqrt(3).
    for (format, most) in [
        (WeightFormat::Q8_0, 0.005),
        (WeightFormat::Q4K, 0.075),
        (WeightFormat::Q5K, 0.04),
        (WeightFormat::Q6K, 0.02),
    ] {
        for dtype in [WeightDtype::F32, WeightDtype::Bf16] {
            let (data, exact) = encode(&weight, dtype);
            let view = WeightView {
                name: "w",
                data: &data,
                dtype,
                rows,
                cols,
            };
            let packed = backend.pack_linear(&[view], None, &[format]).unwrap();
            let kept = embedded(&mut backend, &packed, rows, cols);
            let square = |x: f32| f64::from(x) * f64::from(x);
            let error: f64 = exact.iter().zip(&kept).map(|(x, y)| square(x - y)).sum();
            let error = (error / exact.iter().copied().map(square).sum::<f64>()).sqrt();
            assert!(error > 0.0 && error < most, "{format:?} {dtype:?}: {error}");

            let input = rng.floats(3 * cols);
            let buffer = upload(&mut backend, &input, cols);
            let mut out = poisoned(&mut backend, 3, rows);
            let op = Linear {
                input: &buffer,
                weight: &packed,
                rows: 3,
                out: &mut out,
            };
            backend.linear(op).unwrap();
            let mut want = Vec::new();
            for x in input.chunks_exact(cols) {
                for w in kept.chunks_exact(cols) {
                    want.push(x.iter().zip(w).map(|(x, w)| f64::from(x * w)).sum());
                }
            }
            let got = download(&mut backend, &out, 3);
            let tolerance = tolerance(&backend);
            assert_close(&format!("{format:?} {dtype:?}"), &got, &want, tolerance);
        }
    }
}

/// What is not finite shows in its own row, and in no other.
pub(crate) fn what_is_not_finite_stays_so<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(74);
    for dtype in BLOCK_DTYPES {
        for bad in [f32::NAN, f32::INFINITY] {
            let (rows, cols) = (5, 512);
            let data = blocks(&mut rng, dtype, 20 * cols / dtype.block_len());
            let view = WeightView {
                name: "w",
                data: &data,
                dtype,
                rows: 20,
                cols,
            };
            let mut input = rng.floats(rows * cols);
            input[2 * cols + 100] = bad;
            let (got, _) = multiply(&mut backend, &[view], &input, None);
            for (row, values) in got.chunks_exact(20).enumerate() {
                let finite = values.iter().all(|x| x.is_finite());
                assert_eq!(finite, row != 2, "{dtype:?} {bad} row {row}");
            }
        }
    }
}

pub(crate) fn rows_are_whole_blocks<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let backend = backend();
    let data = [0; 4 * 288];
    let view = WeightView {
        name: "w",
        data: &data,
        dtype: WeightDtype::F32,
        rows: 1,
        cols: 288,
    };
    let error = |format| match backend.pack_linear(&[view], None, &[format]).err() {
        Some(KernelError::Shape { tensor, reason, .. }) => format!("{tensor}: {reason}"),
        Some(other) => format!("{other:?}"),
        None => "no error".to_owned(),
    };
    assert_eq!(error(WeightFormat::Q8_0), "no error");
    assert_eq!(
        error(WeightFormat::Q4K),
        "w: Q4K needs a multiple of 256 input features, not 288"
    );
}
