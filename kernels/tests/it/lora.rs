//! Low-rank updates: their values, the rows that they leave alone, and their bits.

use kernels::{
    ActivateGated, Activation, AddLora, GatedLinear, KernelError, LoraBackend, LoraRows, LoraView,
    WeightDtype, WeightView, shrunk_size,
};

use crate::activations::gated_units;
use crate::fixture::{Rng, assert_close, assert_same_bits, download, encode, poisoned, upload};

const DTYPES: [WeightDtype; 3] = [WeightDtype::F32, WeightDtype::Bf16, WeightDtype::F16];

/// An adapter's update of some columns.
struct Update {
    rank: usize,
    out_features: usize,
    first: usize,
    scale: f32,
    dtype: WeightDtype,
    a: (Vec<u8>, Vec<f32>),
    b: (Vec<u8>, Vec<f32>),
}

impl Update {
    fn random(
        rng: &mut Rng,
        in_features: usize,
        (rank, first, out_features): (usize, usize, usize),
        dtype: WeightDtype,
    ) -> Self {
        Self {
            rank,
            out_features,
            first,
            scale: 0.3 + rng.float().abs(),
            dtype,
            a: encode(&rng.floats(rank * in_features), dtype),
            b: encode(&rng.floats(out_features * rank), dtype),
        }
    }

    fn view(&self) -> LoraView<'_> {
        let view = |name, data, rows, cols| WeightView {
            name,
            data,
            dtype: self.dtype,
            rows,
            cols,
        };
        let in_features = self.a.1.len() / self.rank;
        LoraView {
            a: view("a", &self.a.0, self.rank, in_features),
            b: view("b", &self.b.0, self.out_features, self.rank),
            scale: self.scale,
            first: self.first,
        }
    }

    /// Adds it to a row.
    fn add(&self, input: &[f32], out: &mut [f64]) {
        let dot = |weights: &[f32], x: &[f64]| -> f64 {
            let products = weights.iter().zip(x).map(|(w, x)| f64::from(*w) * x);
            products.sum()
        };
        let input: Vec<f64> = input.iter().copied().map(f64::from).collect();
        let rows = self.a.1.chunks_exact(input.len());
        let shrunk: Vec<f64> = rows.map(|row| dot(row, &input)).collect();
        for (row, out) in self.b.1.chunks_exact(self.rank).zip(&mut out[self.first..]) {
            *out += f64::from(self.scale) * dot(row, &shrunk);
        }
    }
}

/// Two adapters with gaps, of ranks on both sides of a vector.
fn adapters(rng: &mut Rng, in_features: usize, dtype: WeightDtype) -> [Vec<Update>; 2] {
    let shapes: [&[(usize, usize, usize)]; 2] = [
        &[(16, 0, 100), (16, 100, 33), (32, 140, 60)],
        &[(3, 5, 64), (20, 133, 7), (1, 150, 1)],
    ];
    shapes.map(|shapes| {
        let update = |&shape| Update::random(rng, in_features, shape, dtype);
        shapes.iter().map(update).collect()
    })
}

const OUT_FEATURES: usize = 200;

/// `base` with the updates of `groups`.
fn updated<B: LoraBackend>(
    backend: &mut B,
    adapters: &[Vec<Update>],
    groups: &[LoraRows],
    input: &[f32],
    base: &[f32],
) -> Vec<f32> {
    let rows = base.len() / OUT_FEATURES;
    let pack = |updates: &Vec<Update>| {
        let views: Vec<LoraView<'_>> = updates.iter().map(Update::view).collect();
        (!views.is_empty()).then(|| backend.pack_lora(&views).unwrap())
    };
    let weights: Vec<Option<B::Lora>> = adapters.iter().map(pack).collect();
    let in_features = input.len() / rows;
    let input = upload(backend, input, in_features);
    let ranks = |updates: &Vec<Update>| shrunk_size(updates.iter().map(|update| update.rank));
    let columns = adapters.iter().map(ranks).max().unwrap();
    let mut shrunk = poisoned(backend, rows, columns);
    let mut out = upload(backend, base, OUT_FEATURES);
    let op = AddLora {
        input: &input,
        weights: &weights,
        groups,
        shrunk: &mut shrunk,
        out: &mut out,
    };
    backend.add_lora(op).unwrap();
    download(backend, &out, rows)
}

fn group(rows: std::ops::Range<usize>, slot: usize) -> LoraRows {
    LoraRows { rows, slot }
}

pub(crate) fn updates_match_f64<B: LoraBackend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(71);
    for (in_features, rows) in [(8, 9), (65, 14), (577, 40), (1024, 19)] {
        for dtype in DTYPES {
            let [first, second] = adapters(&mut rng, in_features, dtype);
            // The last slot is an adapter that does not change this product.
            let adapters = [first, second, Vec::new()];
            let groups = [group(2..5, 1), group(5..6, 2), group(6..rows, 0)];
            let input = rng.floats(rows * in_features);
            let base = rng.floats(rows * OUT_FEATURES);
            let got = updated(&mut backend, &adapters, &groups, &input, &base);
            let mut want: Vec<f64> = base.iter().copied().map(f64::from).collect();
            for group in &groups {
                for row in group.rows.clone() {
                    let input = &input[row * in_features..][..in_features];
                    let out = &mut want[row * OUT_FEATURES..][..OUT_FEATURES];
                    let updates = adapters[group.slot].iter();
                    updates.for_each(|update| update.add(input, out));
                }
            }
            let case = format!("{in_features} inputs, {rows} rows, {dtype:?}");
            assert_close(&case, &got, &want, 2e-6 * (in_features as f64).sqrt());
            for row in (0..2).chain(5..6) {
                let row = row * OUT_FEATURES..(row + 1) * OUT_FEATURES;
                assert_same_bits(&case, &got[row.clone()], &base[row]);
            }
        }
    }
}

pub(crate) fn gated_rows_are_those_of_the_product<B: LoraBackend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(72);
    let activations = [
        Activation::Silu,
        Activation::GeluTanh,
        Activation::ClampedSwiglu {
            alpha: 1.5,
            limit: 0.5,
        },
    ];
    for (cols, activation) in [1, 17, 600].into_iter().zip(activations) {
        let (rows, weight) = (30, gated_units(&mut backend, cols));
        let input = upload(&mut backend, &rng.floats(rows * 2 * cols), 2 * cols);
        let mut gate_up = poisoned(&mut backend, rows, 2 * cols);
        let mut want = poisoned(&mut backend, rows, cols);
        let op = GatedLinear {
            input: &input,
            weight: &weight,
            rows,
            gate_up: &mut gate_up,
            activation,
            out: &mut want,
        };
        backend.gated_linear(op).unwrap();
        let want = download(&mut backend, &want, rows);
        let before = rng.floats(rows * cols);
        let mut out = upload(&mut backend, &before, cols);
        let groups = [group(1..2, 0), group(4..27, 1)];
        let op = ActivateGated {
            gate_up: &gate_up,
            groups: &groups,
            activation,
            out: &mut out,
        };
        backend.activate_gated(op).unwrap();
        let got = download(&mut backend, &out, rows);
        for row in 0..rows {
            let is_in = groups.iter().any(|group| group.rows.contains(&row));
            let want = if is_in { &want } else { &before };
            let row = row * cols..(row + 1) * cols;
            assert_same_bits(&format!("{cols}"), &got[row.clone()], &want[row]);
        }
    }
}

pub(crate) fn bad_updates_are_errors<B: LoraBackend>(backend: &mut dyn FnMut() -> B) {
    let backend = backend();
    let data = [0; 4 * 6];
    let view = |name, rows, cols, len: usize| WeightView {
        name,
        data: &data[..len],
        dtype: WeightDtype::F32,
        rows,
        cols,
    };
    let update = |a, b| LoraView {
        a,
        b,
        scale: 1.0,
        first: 0,
    };
    let pack = |updates: &[LoraView<'_>]| match backend.pack_lora(updates).err() {
        Some(KernelError::Shape { tensor, reason, .. }) => format!("{tensor}: {reason}"),
        Some(other) => format!("{other:?}"),
        None => "no error".to_owned(),
    };
    let (a, b) = (view("a", 2, 3, 24), view("b", 3, 2, 24));
    assert_eq!(pack(&[update(a, b)]), "no error");
    assert_eq!(pack(&[]), "(none): at least one update is needed");
    assert_eq!(
        pack(&[update(a, b), update(view("c", 2, 1, 8), b)]),
        "c: 1 input features, expected 3"
    );
    assert_eq!(
        pack(&[update(a, view("d", 2, 3, 24))]),
        "d: 3 columns, but a has 2 rows"
    );
    assert_eq!(
        pack(&[update(a, view("e", 3, 2, 20))]),
        "e: 20 bytes, expected 24"
    );
}

/// Each row alone, and with another number of threads, has the bits that it has in its group.
pub(crate) fn a_row_alone_is_the_row_in_a_group<B: LoraBackend>(make: &dyn Fn(usize) -> B) {
    let mut rng = Rng::new(73);
    for in_features in [65, 700, 2048] {
        for dtype in DTYPES {
            let rows = 61;
            let adapters = adapters(&mut rng, in_features, dtype);
            let input = rng.floats(rows * in_features);
            let base = rng.floats(rows * OUT_FEATURES);
            let groups = [group(0..37, 0), group(37..rows, 1)];
            let want = updated(&mut make(2), &adapters, &groups, &input, &base);
            let again = updated(&mut make(3), &adapters, &groups, &input, &base);
            assert_same_bits("three threads", &again, &want);
            for (first, count) in [(0, 1), (5, 2), (7, 3), (11, 6), (20, 17), (40, 1), (44, 13)] {
                let slot = usize::from(first >= 37);
                let got = updated(
                    &mut make(1),
                    &adapters,
                    &[group(0..count, slot)],
                    &input[first * in_features..][..count * in_features],
                    &base[first * OUT_FEATURES..][..count * OUT_FEATURES],
                );
                let want = &want[first * OUT_FEATURES..][..count * OUT_FEATURES];
                assert_same_bits(&format!("{in_features} {dtype:?} {first}"), &got, want);
            }
        }
    }
}
