//! Attention against f64: head counts and sizes, block sizes, contexts, windows, mixed batches.

use kernels::{Backend, KvDtype, KvPool, QkvShape};

use crate::fixture::{Rng, assert_close};
use crate::paged::{Cache, Chunk, Rounding, Sequence, Setup, oracle};

/// (query heads, KV heads, head_dim): MHA, GQA of 2 to 8, MQA; usual and odd sizes.
const HEADS: [(usize, usize, usize); 10] = [
    (2, 2, 64),
    (4, 2, 80),
    (9, 3, 64),
    (4, 1, 128),
    (8, 1, 96),
    (16, 2, 16),
    (5, 1, 20),
    (12, 2, 256),
    (7, 1, 7),
    (3, 3, 33),
];
const BLOCK_SIZES: [usize; 6] = [1, 3, 16, 32, 48, 64];
const CONTEXT_LENS: [usize; 9] = [1, 15, 16, 17, 54, 97, 130, 512, 600];
const TOLERANCE: f64 = 1e-5;

fn heads((num_q_heads, num_kv_heads, head_dim): (usize, usize, usize)) -> QkvShape {
    QkvShape {
        num_q_heads,
        num_kv_heads,
        head_dim,
    }
}

/// Within [`TOLERANCE`]. Where weights of spans are rounded, one that is near the middle of two
/// bfloat16 may be rounded to the other, 2^-7 away at most, which no more than one head in five may
/// show; where they are rounded as it goes, values are weighted wrong by 2^-9 at most, and are below 1.
fn assert_attention(case: &str, setup: Setup, got: &[f32], want: &[f64], rounding: Rounding) {
    match rounding {
        Rounding::None => assert_close(case, got, want, TOLERANCE),
        Rounding::OfSpans => {
            assert_close(case, got, want, 1.0 / 64.0);
            assert_few_others(case, setup, got, want);
        }
        Rounding::AsItGoes => {
            let errors = got
                .iter()
                .zip(want)
                .map(|(got, want)| f64::from(*got) - want);
            let worst = errors.clone().map(f64::abs).fold(0.0, f64::max);
            assert!(worst <= 1.0 / 512.0, "{case}: {worst}");
            let squares =
                |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
            let mean = squares(&mut { errors }) / squares(&mut want.iter().copied());
            assert!(mean.sqrt() <= 1.0 / 512.0, "{case}: {}", mean.sqrt());
        }
    }
}

/// No more than one head in five is not within [`TOLERANCE`].
fn assert_few_others(case: &str, setup: Setup, got: &[f32], want: &[f64]) {
    let heads = got.chunks_exact(setup.shape.head_dim);
    let is_other = |(got, want): &(&[f32], &[f64])| {
        let far = |(got, want): (&f32, &f64)| (f64::from(*got) - want).abs() > TOLERANCE;
        got.iter().zip(*want).any(far)
    };
    let pairs = heads.clone().zip(want.chunks_exact(setup.shape.head_dim));
    let others = pairs.filter(is_other).count();
    let all = heads.len();
    assert!(5 * others <= all + 4, "{case}: {others} of {all} heads");
}

/// One sequence: a first step of all tokens but the last few, then a step of those.
fn check<B: Backend>(backend: B, rng: &mut Rng, setup: Setup, context_len: usize, last: usize) {
    let sequences = [Sequence::random(rng, setup.shape, context_len)];
    let mut cache = Cache::new(backend, rng, setup, &sequences);
    let first = context_len - last;
    let steps = [(first, first), (context_len, last)];
    for (context_len, query_len) in steps.into_iter().filter(|step| step.1 > 0) {
        let chunk = Chunk {
            seq: 0,
            context_len,
            query_len,
        };
        let got = cache.step(&[chunk]);
        let rounding = cache.rounding();
        let want = oracle(setup, &sequences[0], chunk, rounding);
        let case = format!("{setup:?} {chunk:?}");
        assert_attention(&case, setup, &got, &want, rounding);
    }
}

pub(crate) fn attention_matches_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut rng = Rng::new(31);
    for (index, shape) in HEADS.map(heads).into_iter().enumerate() {
        for (turn, context_len) in CONTEXT_LENS.into_iter().enumerate() {
            // The long contexts with one block size each, the short ones with all; element types in
            // turn.
            for (nth, block_size) in BLOCK_SIZES.into_iter().enumerate() {
                if context_len > 100 && nth != (index + turn) % BLOCK_SIZES.len() {
                    continue;
                }
                let setup = Setup {
                    dtype: B::KV_DTYPES[(index + turn + nth) % B::KV_DTYPES.len()],
                    ..Setup::new(shape, block_size)
                };
                let last = 1 + rng.below(context_len.min(20));
                check(backend(), &mut rng, setup, context_len, last);
            }
        }
    }
}

/// Heads of the sizes and types that GPUs' tensor cores take: few rows and many, short contexts and such
/// that are divided, windows, caps and sinks.
pub(crate) fn usual_heads_match_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let narrow = |dtype: &&KvDtype| matches!(dtype, KvDtype::Bf16 | KvDtype::Fp8);
    for &dtype in B::KV_DTYPES.iter().filter(narrow) {
        check_usual_heads(backend, dtype);
    }
}

fn check_usual_heads<B: Backend>(backend: &mut dyn FnMut() -> B, dtype: KvDtype) {
    let mut rng = Rng::new(36);
    let shapes = [
        (8, 2, 64),
        (3, 3, 96),
        (5, 1, 128),
        (2, 1, 256),
        (20, 1, 64),
    ];
    // Tokens of the context, and of the last step.
    let steps = [(70, 1), (700, 1), (200, 40), (1500, 2), (650, 130)];
    for (index, shape) in shapes.map(heads).into_iter().enumerate() {
        for (turn, (context_len, last)) in steps.into_iter().enumerate() {
            let setup = Setup {
                dtype,
                window: (turn % 2 == 1).then_some(100 + 90 * index),
                soft_cap: (index == 1).then_some(0.5),
                sinks: index == 2,
                ..Setup::new(shape, [16, 3, 64, 16, 1][(index + turn) % 5])
            };
            check(backend(), &mut rng, setup, context_len, last);
        }
    }
}

pub(crate) fn sliding_windows_match_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut rng = Rng::new(32);
    let shape = heads((6, 2, 32));
    for window in [1, 2, 16, 63, 64, 65, 200, 1000] {
        for block_size in [1, 3, 16, 32] {
            let setup = Setup {
                window: Some(window),
                dtype: B::KV_DTYPES[(window + block_size) % B::KV_DTYPES.len()],
                ..Setup::new(shape, block_size)
            };
            for pool in [KvPool::Main, KvPool::Window] {
                check(backend(), &mut rng, Setup { pool, ..setup }, 330, 70);
            }
        }
    }
}

pub(crate) fn soft_caps_match_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut rng = Rng::new(34);
    // Scores are below 1 in magnitude: the smallest cap bends them, the largest hardly does.
    for (soft_cap, &dtype) in [0.05, 0.5, 50.0, 0.1].into_iter().zip(B::KV_DTYPES) {
        let setup = Setup {
            soft_cap: Some(soft_cap),
            dtype,
            ..Setup::new(heads((6, 2, 32)), 16)
        };
        check(backend(), &mut rng, setup, 300, 40);
    }
}

pub(crate) fn sinks_match_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut rng = Rng::new(35);
    let windows = [None, Some(40), None, Some(40)];
    for (&dtype, window) in B::KV_DTYPES.iter().zip(windows) {
        let setup = Setup {
            sinks: true,
            window,
            dtype,
            ..Setup::new(heads((12, 2, 32)), 16)
        };
        check(backend(), &mut rng, setup, 300, 40);
        check(backend(), &mut rng, setup, 600, 1);
    }
}

/// Prefill chunks and decodes of several sequences in one batch.
pub(crate) fn mixed_batches_match_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut rng = Rng::new(33);
    let pools = [(1, None), (3, Some(40)), (16, None), (32, Some(65))];
    for (turn, (block_size, window)) in pools.into_iter().enumerate() {
        let setup = Setup {
            window,
            dtype: B::KV_DTYPES[(turn + 1) % B::KV_DTYPES.len()],
            ..Setup::new(heads((6, 2, 48)), block_size)
        };
        let lens = [97, 1, 140, 54, 16, 530];
        let sequences = lens.map(|len| Sequence::random(&mut rng, setup.shape, len));
        let mut cache = Cache::new(backend(), &mut rng, setup, &sequences);
        let mut computed = [0; 6];
        while computed != lens {
            let mut chunks = Vec::new();
            for seq in 0..lens.len() {
                let left = lens[seq] - computed[seq];
                // Decodes, small chunks, large chunks, and sequences that pause.
                let query_len = left.min([0, 1, 1, 7, 40, 100][rng.below(6)]);
                computed[seq] += query_len;
                if query_len > 0 {
                    chunks.push(Chunk {
                        seq,
                        context_len: computed[seq],
                        query_len,
                    });
                }
            }
            if chunks.is_empty() {
                continue;
            }
            let got = cache.step(&chunks);
            let mut want = Vec::new();
            for &chunk in &chunks {
                want.extend(oracle(
                    setup,
                    &sequences[chunk.seq],
                    chunk,
                    cache.rounding(),
                ));
            }
            let case = format!("{setup:?} {chunks:?}");
            assert_attention(&case, setup, &got, &want, cache.rounding());
        }
    }
}
