//! Random inputs, and moving them in and out of a backend through its own operations.

use std::io::Write;
use std::num::NonZero;
use std::sync::{LazyLock, Mutex};

use kernels::{
    Backend, Cpu, CpuOptions, Embed, InstructionSet, WeightDtype, WeightFormat, WeightView,
};

/// The native backend with `threads` threads.
pub(crate) fn cpu(threads: usize, instruction_set: InstructionSet) -> Cpu {
    let options = CpuOptions {
        threads: NonZero::new(threads),
        instruction_set: Some(instruction_set),
        ..CpuOptions::default()
    };
    Cpu::new(options).unwrap()
}

/// Says once that this machine lacks `instruction_set`: past the harness, which would show it only
/// of tests that fail.
pub(crate) fn untested(instruction_set: InstructionSet) {
    static SAID: Mutex<Vec<InstructionSet>> = Mutex::new(Vec::new());
    let mut said = SAID.lock().unwrap();
    if !said.contains(&instruction_set) {
        said.push(instruction_set);
        let line = format!("untested on this machine: {instruction_set}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}

/// A small generator (SplitMix64, Steele et al. 2014), so that a printed seed replays a failure.
pub(crate) struct Rng(u64);

impl Rng {
    /// Prints the seed: the test harness shows it when the test fails.
    #[expect(clippy::print_stdout, reason = "shown only when the test fails")]
    pub(crate) fn new(seed: u64) -> Self {
        println!("seed {seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Uniform in [-1, 1).
    pub(crate) fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub(crate) fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.float()).collect()
    }

    /// `0..len` in random order.
    pub(crate) fn permutation(&mut self, len: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..len as u32).collect();
        for i in (1..len).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

/// Little-endian bytes of `values` in `dtype`, and the values they stand for.
pub(crate) fn encode(values: &[f32], dtype: WeightDtype) -> (Vec<u8>, Vec<f32>) {
    let mut bytes = Vec::new();
    let mut exact = Vec::new();
    for &value in values {
        match dtype {
            WeightDtype::F32 => {
                bytes.extend(value.to_le_bytes());
                exact.push(value);
            }
            WeightDtype::F16 => {
                bytes.extend(half::f16::from_f32(value).to_le_bytes());
                exact.push(half::f16::from_f32(value).to_f32());
            }
            WeightDtype::Bf16 => {
                bytes.extend(half::bf16::from_f32(value).to_le_bytes());
                exact.push(half::bf16::from_f32(value).to_f32());
            }
            _ => panic!("{dtype:?} is not made value by value"),
        }
    }
    (bytes, exact)
}

/// `count` blocks of `dtype` with random quants and scales of ordinary size.
pub(crate) fn blocks(rng: &mut Rng, dtype: WeightDtype, count: usize) -> Vec<u8> {
    let mut data = Vec::new();
    for _ in 0..count {
        let mut block: Vec<u8> = (0..dtype.block_bytes()).map(|_| rng.next() as u8).collect();
        let (scales, size): (&[usize], f32) = match dtype {
            WeightDtype::Q4K | WeightDtype::Q5K => (&[0, 2], 1e-3),
            WeightDtype::Q6K => (&[208], 1e-3),
            _ => (&[0], 1e-2),
        };
        for &offset in scales {
            let scale = half::f16::from_f32(size * (1.5 + rng.float()));
            block[offset..offset + 2].copy_from_slice(&scale.to_le_bytes());
        }
        data.extend(block);
    }
    data
}

/// A buffer that holds `values` `[values.len() / cols, cols]`, brought there as an embedding.
pub(crate) fn upload<B: Backend>(backend: &mut B, values: &[f32], cols: usize) -> B::Buffer {
    let rows = values.len() / cols;
    let (data, _) = encode(values, WeightDtype::F32);
    let view = WeightView {
        name: "upload",
        data: &data,
        dtype: WeightDtype::F32,
        rows,
        cols,
    };
    let table = backend
        .pack_linear(&[view], None, &[WeightFormat::F32])
        .unwrap();
    let mut out = backend.buffer(rows, cols).unwrap();
    let token_ids: Vec<u32> = (0..rows as u32).collect();
    let op = Embed {
        table: &table,
        token_ids: &token_ids,
        scale: 1.0,
        out: &mut out,
    };
    backend.embed(op).unwrap();
    out
}

/// A buffer full of NaN, so that an element that an operation forgets is noticed.
pub(crate) fn poisoned<B: Backend>(backend: &mut B, rows: usize, cols: usize) -> B::Buffer {
    upload(backend, &vec![f32::NAN; rows * cols], cols)
}

/// The first `rows` rows.
pub(crate) fn download<B: Backend>(backend: &mut B, buffer: &B::Buffer, rows: usize) -> Vec<f32> {
    let mut host = Vec::new();
    backend.read(buffer, rows, &mut host).unwrap().to_vec()
}

/// The nearest of all finite e4m3, of two that are as near the one with an even code; what is no number
/// stays so.
pub(crate) fn e4m3(value: f32) -> f32 {
    static MAGNITUDES: LazyLock<Vec<f32>> = LazyLock::new(|| {
        let magnitude = |code: u8| match (i32::from(code >> 3), f32::from(code & 7)) {
            (0, mantissa) => mantissa / 512.0,
            (exponent, mantissa) => (8.0 + mantissa) * 2.0f32.powi(exponent - 10),
        };
        (0..0x7f).map(magnitude).collect()
    });
    if value.is_nan() {
        return value;
    }
    // Nothing beyond is nearer to another.
    let magnitude = value.abs().min(480.0);
    let distance = |code: &usize| (f64::from(MAGNITUDES[*code]) - f64::from(magnitude)).abs();
    let nearer = |a: &usize, b: &usize| {
        distance(a)
            .total_cmp(&distance(b))
            .then((a % 2).cmp(&(b % 2)))
    };
    let code = (0..MAGNITUDES.len()).min_by(nearer).unwrap();
    MAGNITUDES[code].copysign(value)
}

/// Asserts `|got - want| <= tolerance * scale` everywhere, where `scale` is the root mean square of
/// `want` and at least 1e-3.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    let mean = want.iter().map(|x| x * x).sum::<f64>() / want.len().max(1) as f64;
    let scale = mean.sqrt().max(1e-3);
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*got) - want).abs();
        // Written so that NaN fails.
        let close = error <= tolerance * scale;
        assert!(
            close,
            "{what}: element {index} is {got}, expected {want} (scale {scale})"
        );
    }
}

/// Asserts equal bits.
#[track_caller]
pub(crate) fn assert_same_bits(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        let same = got.to_bits() == want.to_bits();
        assert!(
            same,
            "{what}: element {index} is {got:e}, expected {want:e}"
        );
    }
}

/// As f64.
pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}
