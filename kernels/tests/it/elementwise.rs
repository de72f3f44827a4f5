//! Operations row by row.

use kernels::{
    Add, AddRmsNorm, AddRows, Backend, Clear, GatherRows, HeadNorm, KvCacheShape, KvDtype, KvPool,
    LayerNorm, QkvShape, RmsNorm, Rope, RopeTableView, SoftCap, WriteKv,
};

use crate::fixture::{Rng, assert_close, assert_same_bits, download, poisoned, upload, wide};

const ROWS: [usize; 6] = [1, 2, 5, 12, 17, 128];
const COLS: [usize; 7] = [1, 15, 16, 17, 80, 576, 1027];
const EPS: f32 = 1e-5;

fn norm(rows: &[f64], weight: &[f32]) -> Vec<f64> {
    let mut out = Vec::new();
    for row in rows.chunks_exact(weight.len()) {
        let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
        let scale = 1.0 / (mean + f64::from(EPS)).sqrt();
        out.extend(
            row.iter()
                .zip(weight)
                .map(|(x, w)| x * scale * f64::from(*w)),
        );
    }
    out
}

pub(crate) fn rms_norm_matches_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(21);
    for (rows, cols) in ROWS.into_iter().flat_map(|r| COLS.map(|c| (r, c))) {
        let (input, weight) = (rng.floats(rows * cols), rng.floats(cols));
        let buffer = upload(&mut backend, &input, cols);
        let vector = backend.vector(&weight).unwrap();
        let mut out = poisoned(&mut backend, rows, cols);
        let op = RmsNorm {
            input: &buffer,
            weight: &vector,
            eps: EPS,
            rows,
            out: &mut out,
        };
        backend.rms_norm(op).unwrap();
        let got = download(&mut backend, &out, rows);
        assert_close(
            &format!("{rows} x {cols}"),
            &got,
            &norm(&wide(&input), &weight),
            5e-6,
        );
    }
}

pub(crate) fn layer_norm_matches_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(29);
    for (rows, cols) in ROWS.into_iter().flat_map(|r| COLS.map(|c| (r, c))) {
        // Far from a mean of zero.
        let input: Vec<f32> = rng.floats(rows * cols).iter().map(|x| x + 3.0).collect();
        let (weight, bias) = (rng.floats(cols), rng.floats(cols));
        let mut centred = Vec::new();
        for row in wide(&input).chunks_exact(cols) {
            let mean = row.iter().sum::<f64>() / cols as f64;
            centred.extend(row.iter().map(|x| x - mean));
        }
        let mut want = norm(&centred, &weight);
        for row in want.chunks_exact_mut(cols) {
            let biased = row.iter_mut().zip(&bias);
            biased.for_each(|(x, bias)| *x += f64::from(*bias));
        }
        let buffer = upload(&mut backend, &input, cols);
        let (weight, bias) = (
            backend.vector(&weight).unwrap(),
            backend.vector(&bias).unwrap(),
        );
        let mut out = poisoned(&mut backend, rows, cols);
        let op = LayerNorm {
            input: &buffer,
            weight: &weight,
            bias: &bias,
            eps: EPS,
            rows,
            out: &mut out,
        };
        backend.layer_norm(op).unwrap();
        let got = download(&mut backend, &out, rows);
        // A mean of about 3 is rounded to 2^-22, which a row's spread of 0.6 makes twice as much; of
        // one element nothing but that is left, and `eps` enlarges it.
        let tolerance = if cols == 1 { 2e-4 } else { 1e-5 };
        assert_close(&format!("{rows} x {cols}"), &got, &want, tolerance);
    }
}

pub(crate) fn add_rms_norm_matches_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(22);
    for (rows, cols) in ROWS.into_iter().flat_map(|r| COLS.map(|c| (r, c))) {
        let (base, delta) = (rng.floats(rows * cols), rng.floats(rows * cols));
        let weight = rng.floats(cols);
        let scale = [1.0, 0.22][rows % 2];
        let scaled = delta.iter().map(|x| x * scale);
        let sum: Vec<f32> = base.iter().zip(scaled).map(|(a, b)| a + b).collect();
        let mut residual = upload(&mut backend, &base, cols);
        let delta = upload(&mut backend, &delta, cols);
        let vector = backend.vector(&weight).unwrap();
        let mut out = poisoned(&mut backend, rows, cols);
        let op = AddRmsNorm {
            residual: &mut residual,
            delta: &delta,
            scale,
            weight: &vector,
            eps: EPS,
            rows,
            out: &mut out,
        };
        backend.add_rms_norm(op).unwrap();
        assert_same_bits("residual", &download(&mut backend, &residual, rows), &sum);
        let got = download(&mut backend, &out, rows);
        assert_close(
            &format!("{rows} x {cols}"),
            &got,
            &norm(&wide(&sum), &weight),
            5e-6,
        );
    }
}

pub(crate) fn sums_are_those_of_f32<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(27);
    for (rows, cols) in ROWS.into_iter().flat_map(|r| COLS.map(|c| (r, c))) {
        let (base, delta) = (rng.floats(rows * cols), rng.floats(rows * cols));
        let mut residual = upload(&mut backend, &base, cols);
        let delta_buffer = upload(&mut backend, &delta, cols);
        for scale in [1.0, 0.22] {
            let before = download(&mut backend, &residual, rows);
            let op = Add {
                residual: &mut residual,
                delta: &delta_buffer,
                scale,
                rows,
            };
            backend.add(op).unwrap();
            let scaled = delta.iter().map(|x| x * scale);
            let want: Vec<f32> = before.iter().zip(scaled).map(|(a, b)| a + b).collect();
            let got = download(&mut backend, &residual, rows);
            assert_same_bits(&format!("{rows} x {cols}, {scale}"), &got, &want);
        }
    }
}

pub(crate) fn soft_caps_of_values_match_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(28);
    for (rows, cols) in ROWS.into_iter().flat_map(|r| COLS.map(|c| (r, c))) {
        let mut input = rng.floats(rows * cols);
        // From the straight part to the flat ones.
        input.iter_mut().step_by(3).for_each(|x| *x *= 200.0);
        let cap = [30.0, 0.5][rows % 2];
        let mut values = upload(&mut backend, &input, cols);
        let op = SoftCap {
            values: &mut values,
            cap,
            rows,
        };
        backend.soft_cap(op).unwrap();
        let cap = f64::from(cap);
        let want: Vec<f64> = input
            .iter()
            .map(|x| cap * (f64::from(*x) / cap).tanh())
            .collect();
        let got = download(&mut backend, &values, rows);
        assert_close(&format!("{rows} x {cols}, {cap}"), &got, &want, 2e-6);
    }
}

const QKV_SHAPES: [QkvShape; 4] = [
    QkvShape {
        num_q_heads: 9,
        num_kv_heads: 3,
        head_dim: 64,
    },
    QkvShape {
        num_q_heads: 4,
        num_kv_heads: 4,
        head_dim: 80,
    },
    QkvShape {
        num_q_heads: 8,
        num_kv_heads: 1,
        head_dim: 128,
    },
    QkvShape {
        num_q_heads: 2,
        num_kv_heads: 1,
        head_dim: 18,
    },
];

pub(crate) fn head_norm_matches_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    head_norms_match_f64(&mut backend(), |shape| [shape.head_dim; 2]);
}

pub(crate) fn norm_of_all_heads_matches_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    head_norms_match_f64(&mut backend(), |shape| [shape.q_size(), shape.kv_size()]);
}

/// Norms whose weights have the sizes `sizes`.
fn head_norms_match_f64<B: Backend>(backend: &mut B, sizes: impl Fn(QkvShape) -> [usize; 2]) {
    let mut rng = Rng::new(23);
    for (rows, shape) in ROWS.into_iter().flat_map(|r| QKV_SHAPES.map(|s| (r, s))) {
        let input = rng.floats(rows * shape.row_size());
        let [q, k] = sizes(shape).map(|size| rng.floats(size));
        let mut want = Vec::new();
        for row in input.chunks_exact(shape.row_size()) {
            let (q_row, rest) = row.split_at(shape.q_size());
            let (k_row, v_row) = rest.split_at(shape.kv_size());
            want.extend(norm(&wide(q_row), &q));
            want.extend(norm(&wide(k_row), &k));
            want.extend(wide(v_row));
        }
        let mut qkv = upload(backend, &input, shape.row_size());
        let (q_weight, k_weight) = (backend.vector(&q).unwrap(), backend.vector(&k).unwrap());
        let norm = HeadNorm {
            q_weight: &q_weight,
            k_weight: &k_weight,
            eps: EPS,
        };
        write_kv(backend, (&mut qkv, rows), shape, (Some(norm), None));
        let got = download(backend, &qkv, rows);
        assert_close(&format!("{rows} rows, {shape:?}"), &got, &want, 5e-6);
    }
}

pub(crate) fn rope_matches_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(24);
    let max_positions = 50;
    for (rows, shape) in ROWS.into_iter().flat_map(|r| QKV_SHAPES.map(|s| (r, s))) {
        for rotary_dim in [shape.head_dim, shape.head_dim / 2 / 2 * 2] {
            let half = rotary_dim / 2;
            let angles = rng.floats(max_positions * half);
            let cos: Vec<f32> = angles.iter().map(|x| (3.0 * x).cos()).collect();
            let sin: Vec<f32> = angles.iter().map(|x| (3.0 * x).sin()).collect();
            let table = RopeTableView {
                cos: &cos,
                sin: &sin,
                rotary_dim,
            };
            let positions: Vec<u32> = (0..rows).map(|_| rng.below(max_positions) as u32).collect();
            let input = rng.floats(rows * shape.row_size());
            let want = rotated(&input, shape, &positions, table);
            let mut qkv = upload(&mut backend, &input, shape.row_size());
            let table = backend.rope_table(table).unwrap();
            let rope = Rope {
                positions: &positions,
                table: &table,
            };
            write_kv(&mut backend, (&mut qkv, rows), shape, (None, Some(rope)));
            let got = download(&mut backend, &qkv, rows);
            assert_close(&format!("{rows} rows, {shape:?}"), &got, &want, 1e-6);
        }
    }
}

/// Writes rows to a cache of their own.
fn write_kv<B: Backend>(
    backend: &mut B,
    (qkv, rows): (&mut B::Buffer, usize),
    shape: QkvShape,
    (norm, rope): (Option<HeadNorm<'_, B>>, Option<Rope<'_, B>>),
) {
    let mut kv = backend
        .kv_cache(KvCacheShape {
            num_layers: 1,
            num_blocks: rows,
            block_size: 1,
            num_kv_heads: shape.num_kv_heads,
            head_dim: shape.head_dim,
            dtype: KvDtype::F32,
        })
        .unwrap();
    let op = WriteKv {
        qkv,
        shape,
        norm,
        rope,
        kv: &mut kv,
        layer: 0,
        pool: KvPool::Main,
        slot_mapping: &(0..rows as u32).collect::<Vec<u32>>(),
    };
    backend.write_kv(op).unwrap();
}

fn rotated(
    input: &[f32],
    shape: QkvShape,
    positions: &[u32],
    table: RopeTableView<'_>,
) -> Vec<f64> {
    let half = table.rotary_dim / 2;
    let mut out = wide(input);
    for (row, &position) in out.chunks_exact_mut(shape.row_size()).zip(positions) {
        for head in row[..shape.q_size() + shape.kv_size()].chunks_exact_mut(shape.head_dim) {
            for i in 0..half {
                let cos = f64::from(table.cos[position as usize * half + i]);
                let sin = f64::from(table.sin[position as usize * half + i]);
                let (a, b) = (head[i], head[i + half]);
                head[i] = a * cos - b * sin;
                head[i + half] = b * cos + a * sin;
            }
        }
    }
    out
}

pub(crate) fn gathered_rows_are_copies<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(26);
    let (rows, cols) = (40, 33);
    let input = rng.floats(rows * cols);
    let buffer = upload(&mut backend, &input, cols);
    let picked = [0, 7, 8, 39];
    let mut out = poisoned(&mut backend, picked.len(), cols);
    let op = GatherRows {
        input: &buffer,
        rows: &picked,
        out: &mut out,
    };
    backend.gather_rows(op).unwrap();
    let got = download(&mut backend, &out, picked.len());
    for (row, &index) in got.chunks_exact(cols).zip(&picked) {
        let start = index as usize * cols;
        assert_same_bits("row", row, &input[start..start + cols]);
    }
}

pub(crate) fn rows_are_added_where_they_belong<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(30);
    let (rows, cols) = (40, 33);
    let input = rng.floats(rows * cols);
    let buffer = upload(&mut backend, &input, cols);
    let mut out = poisoned(&mut backend, rows, cols);
    let op = Clear {
        out: &mut out,
        rows,
    };
    backend.clear(op).unwrap();
    let mut want = vec![0.0f32; rows * cols];
    for targets in [vec![0u32, 7, 8, 39], vec![8], vec![39, 3]] {
        let factors = rng.floats(targets.len());
        for (index, (&target, factor)) in targets.iter().zip(&factors).enumerate() {
            for col in 0..cols {
                want[target as usize * cols + col] += factor * input[index * cols + col];
            }
        }
        let op = AddRows {
            input: &buffer,
            rows: &targets,
            factors: &factors,
            out: &mut out,
        };
        backend.add_rows(op).unwrap();
    }
    assert_same_bits("sums", &download(&mut backend, &out, rows), &want);
}
