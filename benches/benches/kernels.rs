//! Kernels of the native CPU backend at the shapes of SmolLM2-135M, beside the speed at which the
//! same threads read memory.
//!
//! Throughput is in floating-point operations ("elem/s"; an addition and a multiplication are two)
//! and in bytes of weights or of keys and values. The backend takes as many threads as
//! the machine offers: run under `taskset` for fewer.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kernels::{
    Attention, Backend, Cpu, CpuBuffer, CpuOptions, Embed, KernelError, KvCacheShape, KvPool,
    Linear, PackedLinear, QkvShape, StepBatch, WeightDtype, WeightFormat, WeightView, WriteKv,
};

/// (name, out_features, in_features)
const PRODUCTS: [(&str, usize, usize); 5] = [
    ("qkv", 960, 576),
    ("o", 576, 576),
    ("gate_up", 3072, 576),
    ("down", 576, 1536),
    ("head", 49152, 576),
];
const ROWS: [usize; 4] = [1, 8, 64, 256];
const QKV: QkvShape = QkvShape {
    num_q_heads: 9,
    num_kv_heads: 3,
    head_dim: 64,
};
const BLOCK_SIZE: usize = 16;

/// Numbers in [-1, 1) that repeat only after 2^24: enough to rule out luck.
fn noise(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn pack(
    backend: &Cpu,
    values: &[f32],
    cols: usize,
    format: WeightFormat,
) -> Result<PackedLinear, KernelError> {
    let data: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let view = WeightView {
        name: "noise",
        data: &data,
        dtype: WeightDtype::F32,
        rows: values.len() / cols,
        cols,
    };
    backend.pack_linear(&[view], None, &[format])
}

/// A buffer with the given values: the rows of an embedding.
fn upload(backend: &mut Cpu, values: &[f32], cols: usize) -> Result<CpuBuffer, KernelError> {
    let table = pack(backend, values, cols, WeightFormat::F32)?;
    let rows = values.len() / cols;
    let token_ids: Vec<u32> = (0..rows as u32).collect();
    let mut out = backend.buffer(rows, cols)?;
    backend.embed(Embed {
        table: &table,
        token_ids: &token_ids,
        scale: 1.0,
        out: &mut out,
    })?;
    Ok(out)
}

/// Asserts that the first and the last output are the products they should be: a fast wrong kernel
/// is not worth timing.
fn verify(weight: &[f32], input: &[f32], depth: usize, out: &[f32], tolerance: f64) {
    let out_features = weight.len() / depth;
    let rows = out.len() / out_features;
    for (row, column) in [(0, 0), (rows - 1, out_features - 1)] {
        let x = &input[row * depth..(row + 1) * depth];
        let w = &weight[column * depth..(column + 1) * depth];
        let want: f64 = x
            .iter()
            .zip(w)
            .map(|(x, w)| f64::from(*x) * f64::from(*w))
            .sum();
        let got = f64::from(out[row * out_features + column]);
        let scale = (depth as f64).sqrt();
        assert!(
            (got - want).abs() < tolerance * scale,
            "{got}, expected {want}"
        );
    }
}

fn memory(criterion: &mut Criterion) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let words = vec![1u64; 32 << 20];
    let mut group = criterion.benchmark_group("memory");
    group.throughput(Throughput::BytesDecimal(8 * words.len() as u64));
    group.bench_function("read 256 MiB", |bencher| {
        bencher.iter(|| {
            std::thread::scope(|scope| {
                for part in words.chunks(words.len().div_ceil(threads)) {
                    scope.spawn(move || black_box(black_box(part).iter().fold(0, |a, b| a ^ b)));
                }
            });
        });
    });
    group.finish();
}

fn linear(criterion: &mut Criterion) -> Result<(), KernelError> {
    let mut backend = Cpu::new(CpuOptions::default())?;
    for (format, bytes, tolerance) in [(WeightFormat::F32, 4, 1e-5), (WeightFormat::Bf16, 2, 1e-2)]
    {
        let mut group = criterion.benchmark_group(format!("linear {format:?}"));
        for (name, out_features, in_features) in PRODUCTS {
            let values = noise(out_features * in_features);
            let weight = pack(&backend, &values, in_features, format)?;
            // Only sampled rows reach the head.
            for rows in ROWS.into_iter().filter(|&rows| name != "head" || rows <= 8) {
                let host = noise(rows * in_features);
                let input = upload(&mut backend, &host, in_features)?;
                let mut out = backend.buffer(rows, out_features)?;
                let product = |backend: &mut Cpu, out: &mut CpuBuffer| {
                    backend.linear(Linear {
                        input: &input,
                        weight: &weight,
                        rows,
                        out,
                    })
                };
                product(&mut backend, &mut out)?;
                let mut copy = Vec::new();
                let got = backend.read(&out, rows, &mut copy)?;
                verify(&values, &host, in_features, got, tolerance);
                group.throughput(Throughput::ElementsAndBytes {
                    elements: (2 * rows * values.len()) as u64,
                    bytes: (bytes * values.len()) as u64,
                });
                group.bench_function(BenchmarkId::new(name, rows), |bencher| {
                    bencher.iter(|| product(&mut backend, &mut out));
                });
            }
        }
        group.finish();
    }
    Ok(())
}

/// A step of `num_seqs` sequences whose last `query_len` of `context_len` tokens are computed; the
/// first `shared` tokens are the same blocks in all of them.
#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    num_seqs: usize,
    query_len: usize,
    context_len: usize,
    shared: usize,
}

const STEPS: [Step; 7] = [
    Step::of("decode", 1, 512, 1, 0),
    Step::of("decode", 1, 2048, 1, 0),
    Step::of("prefill 256", 256, 512, 1, 0),
    Step::of("prefill 256", 256, 2048, 1, 0),
    Step::of("decode 8", 1, 1100, 8, 0),
    Step::of("decode 8 with a common 1024", 1, 1100, 8, 1024),
    Step::of("decode 16 with a common 1024", 1, 1100, 16, 1024),
];

impl Step {
    const fn of(
        name: &'static str,
        query_len: usize,
        context_len: usize,
        num_seqs: usize,
        shared: usize,
    ) -> Self {
        Self {
            name,
            num_seqs,
            query_len,
            context_len,
            shared,
        }
    }

    fn blocks_per_seq(&self) -> usize {
        self.context_len.div_ceil(BLOCK_SIZE)
    }

    fn batch(&self) -> StepBatch {
        let mut batch = StepBatch::default();
        batch.clear();
        for seq in 0..self.num_seqs {
            batch
                .token_ids
                .resize(batch.token_ids.len() + self.query_len, 0);
            batch.query_start.push(batch.token_ids.len() as u32);
            batch.context_lens.push(self.context_len as u32);
            let own = |block: usize| {
                let shared = block < self.shared / BLOCK_SIZE;
                let seq = if shared { 0 } else { seq };
                (seq * self.blocks_per_seq() + block) as u32
            };
            batch
                .block_tables
                .extend((0..self.blocks_per_seq()).map(own));
            batch
                .block_table_start
                .push(batch.block_tables.len() as u32);
        }
        batch
    }

    /// Pairs of a query and a key that it sees.
    fn pairs(&self) -> usize {
        self.num_seqs * self.query_len * (2 * self.context_len - self.query_len + 1) / 2
    }
}

fn attention(criterion: &mut Criterion) -> Result<(), KernelError> {
    let mut backend = Cpu::new(CpuOptions::default())?;
    for &dtype in Cpu::KV_DTYPES {
        let mut group = criterion.benchmark_group(format!("attention {}", dtype.name()));
        for step in STEPS {
            let num_blocks = step.num_seqs * step.blocks_per_seq();
            let tokens = num_blocks * BLOCK_SIZE;
            let qkv = noise(tokens * QKV.row_size());
            let mut qkv = upload(&mut backend, &qkv, QKV.row_size())?;
            let shape = KvCacheShape {
                num_layers: 1,
                num_blocks,
                block_size: BLOCK_SIZE,
                num_kv_heads: QKV.num_kv_heads,
                head_dim: QKV.head_dim,
                dtype,
            };
            let mut kv = backend.kv_cache(shape)?;
            let slots: Vec<u32> = (0..tokens as u32).collect();
            let write = WriteKv {
                qkv: &mut qkv,
                shape: QKV,
                norm: None,
                rope: None,
                kv: &mut kv,
                layer: 0,
                pool: KvPool::Main,
                slot_mapping: &slots,
            };
            backend.write_kv(write)?;
            let batch = step.batch();
            let mut out = backend.buffer(batch.num_tokens(), QKV.q_size())?;
            let read = step.shared + step.num_seqs * (step.context_len - step.shared);
            group.throughput(Throughput::ElementsAndBytes {
                elements: (4 * step.pairs() * QKV.q_size()) as u64,
                bytes: (read * backend.kv_bytes_per_token(&shape)) as u64,
            });
            group.bench_function(BenchmarkId::new(step.name, step.context_len), |bencher| {
                bencher.iter(|| {
                    backend.attention(Attention {
                        qkv: &qkv,
                        shape: QKV,
                        kv: &kv,
                        layer: 0,
                        batch: &batch,
                        pool: KvPool::Main,
                        scale: 0.125,
                        soft_cap: None,
                        sinks: None,
                        window: None,
                        out: &mut out,
                    })
                });
            });
        }
        group.finish();
    }
    Ok(())
}

fn kernels(criterion: &mut Criterion) {
    memory(criterion);
    linear(criterion).expect("the machine has memory for a small model");
    attention(criterion).expect("the machine has memory for a small model");
}

criterion_group!(benches, kernels);
criterion_main!(benches);
