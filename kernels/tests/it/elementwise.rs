//! Operations row by row.

use kernels::{
    AddRmsNorm, Backend, GatedLinear, GatherRows, HeadNorm, KvCacheShape, KvDtype, QkvShape,
    RmsNorm, Rope, RopeTableView, WeightDtype, WeightFormat, WeightView, WriteKv,
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

pub(crate) fn add_rms_norm_matches_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(22);
    for (rows, cols) in ROWS.into_iter().flat_map(|r| COLS.map(|c| (r, c))) {
        let (base, delta) = (rng.floats(rows * cols), rng.floats(rows * cols));
        let weight = rng.floats(cols);
        let sum: Vec<f32> = base.iter().zip(&delta).map(|(a, b)| a + b).collect();
        let mut residual = upload(&mut backend, &base, cols);
        let delta = upload(&mut backend, &delta, cols);
        let vector = backend.vector(&weight).unwrap();
        let mut out = poisoned(&mut backend, rows, cols);
        let op = AddRmsNorm {
            residual: &mut residual,
            delta: &delta,
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
    let mut backend = backend();
    let mut rng = Rng::new(23);
    for (rows, shape) in ROWS.into_iter().flat_map(|r| QKV_SHAPES.map(|s| (r, s))) {
        let input = rng.floats(rows * shape.row_size());
        let (q, k) = (rng.floats(shape.head_dim), rng.floats(shape.head_dim));
        let mut want = Vec::new();
        for row in input.chunks_exact(shape.row_size()) {
            let (q_row, rest) = row.split_at(shape.q_size());
            let (k_row, v_row) = rest.split_at(shape.kv_size());
            want.extend(norm(&wide(q_row), &q));
            want.extend(norm(&wide(k_row), &k));
            want.extend(wide(v_row));
        }
        let mut qkv = upload(&mut backend, &input, shape.row_size());
        let (q_weight, k_weight) = (backend.vector(&q).unwrap(), backend.vector(&k).unwrap());
        let op = HeadNorm {
            qkv: &mut qkv,
            shape,
            q_weight: &q_weight,
            k_weight: &k_weight,
            eps: EPS,
            rows,
        };
        backend.head_norm(op).unwrap();
        let got = download(&mut backend, &qkv, rows);
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
            let slots: Vec<u32> = (0..rows as u32).collect();
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
                qkv: &mut qkv,
                shape,
                rope: Some(Rope {
                    positions: &positions,
                    table: &table,
                }),
                kv: &mut kv,
                layer: 0,
                slot_mapping: &slots,
            };
            backend.write_kv(op).unwrap();
            let got = download(&mut backend, &qkv, rows);
            assert_close(&format!("{rows} rows, {shape:?}"), &got, &want, 1e-6);
        }
    }
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

/// With the unit matrix as weights, products are exact, and what is seen is the activation.
pub(crate) fn gated_units_match_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(25);
    for cols in COLS {
        let weight = gated_units(&mut backend, cols);
        for rows in ROWS {
            let mut input = rng.floats(rows * 2 * cols);
            // From the flat part of the sigmoid to its other flat part.
            input.iter_mut().step_by(3).for_each(|x| *x *= 120.0);
            let mut want = Vec::new();
            for row in input.chunks_exact(2 * cols) {
                for (gate, up) in row[..cols].iter().zip(&row[cols..]) {
                    let (gate, up) = (f64::from(*gate), f64::from(*up));
                    want.push(gate / (1.0 + (-gate).exp()) * up);
                }
            }
            let input = upload(&mut backend, &input, 2 * cols);
            let mut gate_up = poisoned(&mut backend, rows, 2 * cols);
            let mut out = poisoned(&mut backend, rows, cols);
            let op = GatedLinear {
                input: &input,
                weight: &weight,
                rows,
                gate_up: &mut gate_up,
                out: &mut out,
            };
            backend.gated_linear(op).unwrap();
            let got = download(&mut backend, &out, rows);
            for (got, want) in got.iter().zip(&want) {
                let close = (f64::from(*got) - want).abs() <= 1e-6 * want.abs() + 1e-30;
                assert!(close, "{rows} x {cols}: {got}, expected {want}");
            }
        }
    }
}

/// The unit matrix of `2 * cols` rows, as gate and up.
pub(crate) fn gated_units<B: Backend>(backend: &mut B, cols: usize) -> B::Linear {
    let mut units = vec![0.0f32; 4 * cols * cols];
    units
        .iter_mut()
        .step_by(2 * cols + 1)
        .for_each(|x| *x = 1.0);
    let data: Vec<u8> = units.iter().flat_map(|x| x.to_le_bytes()).collect();
    let halves = data.chunks(data.len() / 2).map(|data| WeightView {
        name: "units",
        data,
        dtype: WeightDtype::F32,
        rows: cols,
        cols: 2 * cols,
    });
    let halves: Vec<_> = halves.collect();
    backend
        .pack_linear(&halves, None, &[WeightFormat::F32; 2])
        .unwrap()
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
