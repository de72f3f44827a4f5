//! Activations in bfloat16: of inputs that it holds, every operation gives what it gives in f32, rounded.

use kernels::{
    Activate, Activation, ActivationDtype, Add, AddLora, AddRmsNorm, AddRows, Attention, Backend,
    Clear, Cuda, CudaDevice, GatedLinear, GatherRows, HeadNorm, KvCacheShape, KvDtype, KvPool,
    LayerNorm, Linear, LoraBackend, LoraRows, LoraView, QkvShape, RmsNorm, Rope, RopeTableView,
    SoftCap, StepBatch, WeightDtype, WeightFormat, WeightView, WriteKv,
};

use crate::fixture::{Rng, blocks, download, encode, upload};

/// Numbers that bfloat16 holds.
fn floats(rng: &mut Rng, count: usize) -> Vec<f32> {
    encode(&rng.floats(count), WeightDtype::Bf16).1
}

/// Asserts that `run` gives the same on both backends, but for one rounding.
#[track_caller]
fn assert_rounded<D: CudaDevice>(
    what: &str,
    backends: &mut [Cuda<D>; 2],
    mut run: impl FnMut(&mut Cuda<D>) -> Vec<f32>,
) {
    let [exact, rounded] = backends.each_mut().map(&mut run);
    assert_eq!(exact.len(), rounded.len(), "{what}: length");
    for (index, (exact, rounded)) in exact.into_iter().zip(rounded).enumerate() {
        let error = (exact - rounded).abs();
        // Half of the last place of eight bits, and what rounding of a step between adds.
        let close = error <= exact.abs() / 250.0 + 1e-5;
        assert!(
            close,
            "{what}: element {index} is {rounded}, expected {exact}"
        );
    }
}

/// Asserts that what was rounded more than once is wrong by that on average.
#[track_caller]
fn assert_near(what: &str, exact: &[f32], rounded: &[f32]) {
    let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>();
    let errors = exact
        .iter()
        .zip(rounded)
        .map(|(exact, rounded)| exact - rounded);
    let error = (squares(&mut { errors }) / squares(&mut exact.iter().copied())).sqrt();
    // Written so that NaN fails.
    let near = error <= 2.0 / 256.0;
    assert!(near, "{what}: {error}");
}

fn backends<D: CudaDevice>(make: &mut dyn FnMut(ActivationDtype) -> Cuda<D>) -> [Cuda<D>; 2] {
    [ActivationDtype::F32, ActivationDtype::Bf16].map(make)
}

/// Sums over layers: f32 on both.
fn upload_exact<B: Backend>(backend: &mut B, values: &[f32], cols: usize) -> B::Buffer {
    let input = upload(backend, values, cols);
    let rows: Vec<u32> = (0..(values.len() / cols) as u32).collect();
    let mut out = backend.exact_buffer(rows.len(), cols).unwrap();
    let gather = GatherRows {
        input: &input,
        rows: &rows,
        out: &mut out,
    };
    backend.gather_rows(gather).unwrap();
    out
}

pub(crate) fn norms_are_rounded<D: CudaDevice>(make: &mut dyn FnMut(ActivationDtype) -> Cuda<D>) {
    let (mut backends, mut rng) = (backends(make), Rng::new(81));
    for cols in [64, 33, 2056] {
        let (rows, eps) = (5, 1e-5);
        let (input, delta) = (floats(&mut rng, rows * cols), floats(&mut rng, rows * cols));
        let (weight, bias) = (rng.floats(cols), rng.floats(cols));
        assert_rounded(&format!("rms_norm {cols}"), &mut backends, |backend| {
            let (input, weight) = (
                upload(backend, &input, cols),
                backend.vector(&weight).unwrap(),
            );
            let mut out = backend.buffer(rows, cols).unwrap();
            let norm = RmsNorm {
                input: &input,
                weight: &weight,
                eps,
                rows,
                out: &mut out,
            };
            backend.rms_norm(norm).unwrap();
            download(backend, &out, rows)
        });
        assert_rounded(&format!("add_rms_norm {cols}"), &mut backends, |backend| {
            let mut residual = upload_exact(backend, &input, cols);
            let (delta, weight) = (
                upload(backend, &delta, cols),
                backend.vector(&weight).unwrap(),
            );
            let mut out = backend.buffer(rows, cols).unwrap();
            let norm = AddRmsNorm {
                residual: &mut residual,
                delta: &delta,
                scale: 0.3,
                weight: &weight,
                eps,
                rows,
                out: &mut out,
            };
            backend.add_rms_norm(norm).unwrap();
            [
                download(backend, &out, rows),
                download(backend, &residual, rows),
            ]
            .concat()
        });
        assert_rounded(&format!("layer_norm {cols}"), &mut backends, |backend| {
            let input = upload(backend, &input, cols);
            let vectors = [&weight, &bias].map(|values| backend.vector(values).unwrap());
            let mut out = backend.buffer(rows, cols).unwrap();
            let norm = LayerNorm {
                input: &input,
                weight: &vectors[0],
                bias: &vectors[1],
                eps,
                rows,
                out: &mut out,
            };
            backend.layer_norm(norm).unwrap();
            download(backend, &out, rows)
        });
    }
}

pub(crate) fn elements_are_rounded<D: CudaDevice>(
    make: &mut dyn FnMut(ActivationDtype) -> Cuda<D>,
) {
    let (mut backends, mut rng) = (backends(make), Rng::new(82));
    let (rows, cols) = (6, 40);
    let (input, delta) = (floats(&mut rng, rows * cols), floats(&mut rng, rows * cols));
    assert_rounded("add", &mut backends, |backend| {
        let (mut residual, delta) = (upload(backend, &input, cols), upload(backend, &delta, cols));
        let add = Add {
            residual: &mut residual,
            delta: &delta,
            scale: 0.7,
            rows,
        };
        backend.add(add).unwrap();
        download(backend, &residual, rows)
    });
    assert_rounded("activate", &mut backends, |backend| {
        let mut values = upload(backend, &input, cols);
        let activate = Activate {
            values: &mut values,
            activation: Activation::GeluTanh,
            rows,
        };
        backend.activate(activate).unwrap();
        download(backend, &values, rows)
    });
    assert_rounded("soft_cap", &mut backends, |backend| {
        let mut values = upload(backend, &input, cols);
        let cap = SoftCap {
            values: &mut values,
            cap: 0.5,
            rows,
        };
        backend.soft_cap(cap).unwrap();
        download(backend, &values, rows)
    });
    assert_rounded("add_rows", &mut backends, |backend| {
        let (input, mut out) = (upload(backend, &input, cols), upload(backend, &delta, cols));
        let add = AddRows {
            input: &input,
            rows: &[4, 1, 2, 0, 3, 5],
            factors: &[0.5, 1.0, 0.25, 2.0, 0.1, 0.3],
            out: &mut out,
        };
        backend.add_rows(add).unwrap();
        let clear = Clear {
            out: &mut out,
            rows: 1,
        };
        backend.clear(clear).unwrap();
        download(backend, &out, rows)
    });
}

pub(crate) fn products_are_rounded<D: CudaDevice>(
    make: &mut dyn FnMut(ActivationDtype) -> Cuda<D>,
) {
    let (mut backends, mut rng) = (backends(make), Rng::new(83));
    let dtypes = [WeightDtype::Bf16, WeightDtype::F32, WeightDtype::Q8_0];
    for (dtype, cols) in [(0, 64), (0, 40), (0, 33), (1, 64), (1, 33), (2, 64)] {
        let (dtype, out_features) = (dtypes[dtype], 48);
        let data = match dtype {
            WeightDtype::Q8_0 => blocks(&mut rng, dtype, out_features * cols / 32),
            _ => encode(&rng.floats(out_features * cols), dtype).0,
        };
        let bias = rng.floats(out_features);
        for rows in [1, 7, 12, 40] {
            let input = floats(&mut rng, rows * cols);
            let case = format!("{dtype:?} {rows} x {cols}");
            let view = WeightView {
                name: "matrix",
                data: &data,
                dtype,
                rows: out_features,
                cols,
            };
            let halves = [0, 1].map(|half| WeightView {
                data: &data[half * data.len() / 2..(half + 1) * data.len() / 2],
                rows: out_features / 2,
                ..view
            });
            let kept = WeightFormat::Checkpoint;
            // A library rounds before the bias is added, too.
            let added = (rows <= 16).then_some(&bias[..]);
            assert_rounded(&case, &mut backends, |backend| {
                let weight = backend.pack_linear(&[view], added, &[kept]).unwrap();
                let input = upload(backend, &input, cols);
                let mut out = backend.buffer(rows, out_features).unwrap();
                let linear = Linear {
                    input: &input,
                    weight: &weight,
                    rows,
                    out: &mut out,
                };
                backend.linear(linear).unwrap();
                download(backend, &out, rows)
            });
            // What is gated may be rounded before: to the error of that.
            let [exact, rounded] = backends.each_mut().map(|backend| {
                let weight = backend
                    .pack_linear(&halves, Some(&bias), &[kept; 2])
                    .unwrap();
                let input = upload(backend, &input, cols);
                let mut gate_up = backend.buffer(rows, out_features).unwrap();
                let mut out = backend.buffer(rows, out_features / 2).unwrap();
                let gated = GatedLinear {
                    input: &input,
                    weight: &weight,
                    rows,
                    gate_up: &mut gate_up,
                    activation: Activation::Silu,
                    out: &mut out,
                };
                backend.gated_linear(gated).unwrap();
                let both = [
                    download(backend, &out, rows),
                    download(backend, &gate_up, rows),
                ];
                both.concat()
            });
            assert_near(&case, &exact, &rounded);
        }
    }
}

pub(crate) fn heads_are_rounded<D: CudaDevice>(make: &mut dyn FnMut(ActivationDtype) -> Cuda<D>) {
    let (mut backends, mut rng) = (backends(make), Rng::new(84));
    // By tensor cores, and without.
    for (head_dim, dtype) in [
        (64, KvDtype::Bf16),
        (20, KvDtype::Bf16),
        (64, KvDtype::Int8),
        (64, KvDtype::Fp8),
    ] {
        let shape = QkvShape {
            num_q_heads: 4,
            num_kv_heads: 2,
            head_dim,
        };
        let tokens: usize = 70;
        let qkv = floats(&mut rng, tokens * shape.row_size());
        let weights = [rng.floats(head_dim), rng.floats(head_dim)];
        let angles: Vec<f32> = (0..tokens * 8).map(|i| i as f32 * 0.1).collect();
        let [cos, sin]: [Vec<f32>; 2] =
            [f32::cos, f32::sin].map(|f| angles.iter().copied().map(f).collect());
        let mut batch = StepBatch::default();
        batch.clear();
        batch.token_ids = vec![0; tokens];
        batch.positions = (0..tokens as u32).collect();
        batch.slot_mapping = (16..16 + tokens as u32).collect();
        batch.query_start.push(tokens as u32);
        batch.context_lens.push(tokens as u32);
        batch.block_tables = (1..=tokens.div_ceil(16) as u32).collect();
        batch
            .block_table_start
            .push(batch.block_tables.len() as u32);
        let [exact, rounded] = backends.each_mut().map(|backend| {
            let mut qkv = upload(backend, &qkv, shape.row_size());
            let cache = KvCacheShape {
                num_layers: 1,
                num_blocks: 8,
                block_size: 16,
                num_kv_heads: shape.num_kv_heads,
                head_dim,
                dtype,
            };
            let mut kv = backend.kv_cache(cache).unwrap();
            let [q_weight, k_weight] = weights.each_ref().map(|w| backend.vector(w).unwrap());
            let norm = HeadNorm {
                q_weight: &q_weight,
                k_weight: &k_weight,
                eps: 1e-5,
            };
            let table = RopeTableView {
                cos: &cos,
                sin: &sin,
                rotary_dim: 16,
            };
            let table = backend.rope_table(table).unwrap();
            let write = WriteKv {
                qkv: &mut qkv,
                shape,
                norm: Some(norm),
                rope: Some(Rope {
                    positions: &batch.positions,
                    table: &table,
                }),
                kv: &mut kv,
                layer: 0,
                pool: KvPool::Main,
                slot_mapping: &batch.slot_mapping,
            };
            backend.write_kv(write).unwrap();
            let mut out = backend.buffer(tokens, shape.q_size()).unwrap();
            let attention = Attention {
                qkv: &qkv,
                shape,
                kv: &kv,
                layer: 0,
                batch: &batch,
                pool: KvPool::Main,
                scale: 0.2,
                soft_cap: None,
                sinks: None,
                window: None,
                out: &mut out,
            };
            backend.attention(attention).unwrap();
            download(backend, &out, tokens)
        });
        assert_near(&format!("{head_dim} {dtype:?}"), &exact, &rounded);
    }
}

pub(crate) fn adapters_are_rounded<D: CudaDevice>(
    make: &mut dyn FnMut(ActivationDtype) -> Cuda<D>,
) {
    let (mut backends, mut rng) = (backends(make), Rng::new(85));
    let (rows, cols, rank, features) = (5, 24, 3, 10);
    let (input, before) = (
        floats(&mut rng, rows * cols),
        floats(&mut rng, rows * features),
    );
    let a = encode(&rng.floats(rank * cols), WeightDtype::F32).0;
    let b = encode(&rng.floats(features * rank), WeightDtype::F32).0;
    let matrix = |data, rows, cols| WeightView {
        name: "update",
        data,
        dtype: WeightDtype::F32,
        rows,
        cols,
    };
    assert_rounded("add_lora", &mut backends, |backend| {
        let view = LoraView {
            a: matrix(&a, rank, cols),
            b: matrix(&b, features, rank),
            scale: 0.5,
            first: 0,
        };
        let weights = [Some(backend.pack_lora(&[view]).unwrap())];
        let (input, mut out) = (
            upload(backend, &input, cols),
            upload(backend, &before, features),
        );
        let mut shrunk = backend.exact_buffer(rows, 16).unwrap();
        let add = AddLora {
            input: &input,
            weights: &weights,
            groups: &[LoraRows {
                slot: 0,
                rows: 1..4,
            }],
            shrunk: &mut shrunk,
            out: &mut out,
        };
        backend.add_lora(add).unwrap();
        download(backend, &out, rows)
    });
}
