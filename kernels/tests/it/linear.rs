//! Products and embeddings, in every dtype, at odd sizes.

use kernels::{
    Backend, Embed, GatherRows, KernelError, Linear, WeightDtype, WeightFormat, WeightView,
};

use crate::fixture::{Rng, assert_close, download, encode, poisoned, upload};

/// (rows, out_features, in_features)
const SHAPES: [(usize, usize, usize); 18] = [
    (1, 16, 8),
    (1, 130, 577),
    (2, 33, 65),
    (3, 48, 576),
    (3, 7, 9),
    (5, 100, 31),
    (6, 64, 256),
    (6, 1, 1),
    (7, 31, 257),
    (12, 17, 511),
    (9, 33, 72),
    (13, 20, 1160),
    (16, 130, 136),
    (17, 160, 300),
    (17, 47, 8),
    (97, 40, 520),
    (19, 33, 1024),
    (128, 90, 64),
];

pub(crate) fn products_match_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(11);
    for (rows, out_features, in_features) in SHAPES {
        let input = rng.floats(rows * in_features);
        let (_, rounded) = encode(&input, WeightDtype::Bf16);
        let weight = rng.floats(out_features * in_features);
        let bias = rng.floats(out_features);
        for dtype in [WeightDtype::F32, WeightDtype::Bf16, WeightDtype::F16] {
            for (format, with_bias) in [
                (WeightFormat::Checkpoint, true),
                (WeightFormat::F32, false),
                (WeightFormat::Bf16, true),
            ] {
                let bias = with_bias.then_some(&bias[..]);
                let case = Case {
                    rows,
                    out_features,
                    in_features,
                    dtype,
                    format,
                };
                // Some backends round what they multiply with weights in bfloat16: of what
                // bfloat16 holds they must keep every bit.
                match case.in_bf16() {
                    true => check(&mut backend, &case, &rounded, &weight, bias),
                    false => check(&mut backend, &case, &input, &weight, bias),
                }
            }
        }
    }
}

#[derive(Debug)]
struct Case {
    rows: usize,
    out_features: usize,
    in_features: usize,
    dtype: WeightDtype,
    format: WeightFormat,
}

impl Case {
    /// Whether weights are multiplied as bfloat16.
    fn in_bf16(&self) -> bool {
        match self.format {
            WeightFormat::Checkpoint => self.dtype == WeightDtype::Bf16,
            format => format == WeightFormat::Bf16,
        }
    }
}

/// Inputs that bfloat16 does not hold, within the error of rounding them: at most 2^-9 of each, and
/// errors of many are independent.
pub(crate) fn inputs_may_be_rounded_to_bfloat16<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(14);
    for (rows, out_features, in_features) in [(1, 130, 577), (5, 100, 300), (40, 33, 520)] {
        let case = Case {
            rows,
            out_features,
            in_features,
            dtype: WeightDtype::Bf16,
            format: WeightFormat::Checkpoint,
        };
        let input = rng.floats(rows * in_features);
        let weight = rng.floats(out_features * in_features);
        let (got, want) = products(&mut backend, &case, &input, &weight, None);
        assert_close(&format!("{case:?}"), &got, &want, 0.01);
    }
}

/// Compares the product of `case` with that in f64.
fn check<B: Backend>(
    backend: &mut B,
    case: &Case,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) {
    let (got, want) = products(backend, case, input, weight, bias);
    assert_close(
        &format!("{case:?}"),
        &got,
        &want,
        2e-6 * (case.in_features as f64).sqrt(),
    );
}

/// Packs the weights as two stacked parts and multiplies; and the product in f64 of the values that
/// the format keeps.
fn products<B: Backend>(
    backend: &mut B,
    case: &Case,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> (Vec<f32>, Vec<f64>) {
    let &Case {
        rows,
        out_features,
        in_features,
        dtype,
        format,
    } = case;
    let (data, mut exact) = encode(weight, dtype);
    if format == WeightFormat::Bf16 {
        (_, exact) = encode(&exact, WeightDtype::Bf16);
    }
    let first = out_features / 3;
    let (head, tail) = data.split_at(first * data.len() / out_features);
    let view = |data, rows| WeightView {
        name: "w",
        data,
        dtype,
        rows,
        cols: in_features,
    };
    let parts = [view(head, first), view(tail, out_features - first)];
    let packed = backend.pack_linear(&parts, bias, &[format; 2]).unwrap();
    let input_buffer = upload(backend, input, in_features);
    let mut out = poisoned(backend, rows, out_features);
    let op = Linear {
        input: &input_buffer,
        weight: &packed,
        rows,
        out: &mut out,
    };
    backend.linear(op).unwrap();
    let got = download(backend, &out, rows);
    (got, product(input, &exact, bias, in_features))
}

fn product(input: &[f32], weight: &[f32], bias: Option<&[f32]>, depth: usize) -> Vec<f64> {
    let mut out = Vec::new();
    for x in input.chunks_exact(depth) {
        for (n, w) in weight.chunks_exact(depth).enumerate() {
            let sum: f64 = x
                .iter()
                .zip(w)
                .map(|(x, w)| f64::from(*x) * f64::from(*w))
                .sum();
            out.push(sum + bias.map_or(0.0, |bias| f64::from(bias[n])));
        }
    }
    out
}

pub(crate) fn tied_weights_embed<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(12);
    let (vocab_size, hidden_size) = (77, 300);
    let table = rng.floats(vocab_size * hidden_size);
    for dtype in [WeightDtype::F32, WeightDtype::Bf16, WeightDtype::F16] {
        let (data, exact) = encode(&table, dtype);
        let view = WeightView {
            name: "embed",
            data: &data,
            dtype,
            rows: 77,
            cols: 300,
        };
        let packed = backend
            .pack_linear(&[view], None, &[WeightFormat::Checkpoint])
            .unwrap();
        let token_ids: Vec<u32> = (0..150).map(|_| rng.below(vocab_size) as u32).collect();
        let mut out = poisoned(&mut backend, token_ids.len(), hidden_size);
        let op = Embed {
            table: &packed,
            token_ids: &token_ids,
            scale: 1.0,
            out: &mut out,
        };
        backend.embed(op).unwrap();
        let got = download(&mut backend, &out, token_ids.len());
        for (row, &id) in got.chunks_exact(hidden_size).zip(&token_ids) {
            let start = id as usize * hidden_size;
            assert_eq!(
                row,
                &exact[start..start + hidden_size],
                "{dtype:?} token {id}"
            );
        }
    }
}

pub(crate) fn bad_shapes_are_errors<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let backend = backend();
    let data = [0; 4 * 6];
    let view = |name, rows, cols, len| WeightView {
        name,
        data: &data[..len],
        dtype: WeightDtype::F32,
        rows,
        cols,
    };
    let pack = |parts: &[WeightView<'_>], bias: Option<&[f32]>| match backend
        .pack_linear(parts, bias, &vec![WeightFormat::F32; parts.len()])
        .err()
    {
        Some(KernelError::Shape { tensor, reason, .. }) => format!("{tensor}: {reason}"),
        Some(other) => format!("{other:?}"),
        None => "no error".to_owned(),
    };
    let (q, k) = (view("q", 2, 3, 24), view("k", 3, 2, 24));
    assert_eq!(pack(&[q, k], None), "k: 2 input features, expected 3");
    assert_eq!(
        pack(&[view("t", 2, 3, 20)], None),
        "t: 20 bytes, expected 24"
    );
    assert_eq!(
        pack(&[q], Some(&[0.0; 3])),
        "q: the bias has 3 elements, expected 2"
    );
    assert_eq!(pack(&[], None), "(none): at least one matrix is needed");
}

/// A step in which no row samples asks for the logits of no row.
pub(crate) fn no_rows_are_fine<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(13);
    let (data, _) = encode(&rng.floats(20 * 8), WeightDtype::F32);
    let view = WeightView {
        name: "w",
        data: &data,
        dtype: WeightDtype::F32,
        rows: 20,
        cols: 8,
    };
    let packed = backend
        .pack_linear(&[view], None, &[WeightFormat::Checkpoint])
        .unwrap();
    let hidden = upload(&mut backend, &rng.floats(3 * 8), 8);
    let mut gathered = backend.buffer(2, 8).unwrap();
    let op = GatherRows {
        input: &hidden,
        rows: &[],
        out: &mut gathered,
    };
    backend.gather_rows(op).unwrap();
    let mut out = backend.buffer(2, 20).unwrap();
    let op = Linear {
        input: &gathered,
        weight: &packed,
        rows: 0,
        out: &mut out,
    };
    backend.linear(op).unwrap();
    assert!(download(&mut backend, &out, 0).is_empty());
}
