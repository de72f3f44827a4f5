//! Attention of a row is the same bits however its tokens were computed.

use kernels::{Backend, QkvShape};

use crate::fixture::{Rng, assert_same_bits};
use crate::paged::{Cache, Chunk, Sequence, Setup};

const SHAPES: [QkvShape; 3] = [
    QkvShape {
        num_q_heads: 9,
        num_kv_heads: 3,
        head_dim: 64,
    },
    QkvShape {
        num_q_heads: 2,
        num_kv_heads: 2,
        head_dim: 80,
    },
    QkvShape {
        num_q_heads: 5,
        num_kv_heads: 1,
        head_dim: 20,
    },
];
const WINDOWS: [Option<usize>; 2] = [None, Some(70)];
/// Two spans of keys.
const CONTEXT_LEN: usize = 333;

/// All rows of `sequences[0]` in one step, alone.
fn whole<B: Backend>(backend: B, rng: &mut Rng, setup: Setup, sequences: &[Sequence]) -> Vec<f32> {
    let context_len = sequences[0].context_len;
    let mut cache = Cache::new(backend, rng, setup, sequences);
    cache.step(&[Chunk {
        seq: 0,
        context_len,
        query_len: context_len,
    }])
}

/// Every shape and element type, windows in turn, with a sequence and its answer on one thread with blocks of 16.
fn for_each_setup<B: Backend>(
    make: &dyn Fn(usize) -> B,
    seed: u64,
    mut check: impl FnMut(&mut Rng, Setup, &[Sequence], &[f32]),
) {
    let mut rng = Rng::new(seed);
    let dtypes = || B::KV_DTYPES.iter().copied().enumerate();
    let pairs = SHAPES
        .into_iter()
        .enumerate()
        .flat_map(|shape| dtypes().map(move |dtype| (shape, dtype)));
    for ((index, shape), (turn, dtype)) in pairs {
        let setup = Setup {
            window: WINDOWS[(index + turn) % 2],
            dtype,
            ..Setup::new(shape, 16)
        };
        let sequences = [Sequence::random(&mut rng, shape, CONTEXT_LEN)];
        let want = whole(make(1), &mut rng, setup, &sequences);
        check(&mut rng, setup, &sequences, &want);
    }
}

pub(crate) fn chunks_equal_the_whole<B: Backend>(make: &dyn Fn(usize) -> B) {
    assert!(make(1).batch_invariant());
    for_each_setup(make, 41, |rng, setup, sequences, want| {
        for largest in [1, 20, 130] {
            let mut cache = Cache::new(make(2), rng, setup, sequences);
            let mut got = Vec::new();
            let mut context_len = 0;
            while context_len < CONTEXT_LEN {
                let query_len = (1 + rng.below(largest)).min(CONTEXT_LEN - context_len);
                context_len += query_len;
                got.extend(cache.step(&[Chunk {
                    seq: 0,
                    context_len,
                    query_len,
                }]));
            }
            assert_same_bits(&format!("{setup:?}, chunks up to {largest}"), &got, want);
        }
    });
}

pub(crate) fn block_sizes_are_equal<B: Backend>(make: &dyn Fn(usize) -> B) {
    for_each_setup(make, 42, |rng, setup, sequences, want| {
        for block_size in [1, 3, 7, 32, 48, 64, 100, 400] {
            let setup = Setup {
                block_size,
                ..setup
            };
            let got = whole(make(2), rng, setup, sequences);
            assert_same_bits(&format!("{setup:?}"), &got, want);
        }
    });
}

pub(crate) fn threads_change_nothing<B: Backend>(make: &dyn Fn(usize) -> B) {
    for_each_setup(make, 43, |rng, setup, sequences, want| {
        for threads in [1, 2, 3, 5] {
            let got = whole(make(threads), rng, setup, sequences);
            assert_same_bits(&format!("{setup:?}, {threads} threads"), &got, want);
        }
    });
}

/// The sequence grows beside others, and some of those hold NaN: what is not its own is not read.
pub(crate) fn neighbours_change_nothing<B: Backend>(make: &dyn Fn(usize) -> B) {
    for_each_setup(make, 44, |rng, setup, sequences, want| {
        let mut nan = Sequence::random(rng, setup.shape, 90);
        nan.qkv.fill(f32::NAN);
        let own = Sequence {
            qkv: sequences[0].qkv.clone(),
            context_len: CONTEXT_LEN,
        };
        let all = [Sequence::random(rng, setup.shape, 150), own, nan];
        let mut cache = Cache::new(make(2), rng, setup, &all);
        let mut computed = [0; 3];
        let mut got = Vec::new();
        while computed[1] < CONTEXT_LEN {
            let mut chunks = Vec::new();
            for seq in 0..3 {
                let query_len = (1 + rng.below(60)).min(all[seq].context_len - computed[seq]);
                computed[seq] += query_len;
                if query_len > 0 {
                    chunks.push(Chunk {
                        seq,
                        context_len: computed[seq],
                        query_len,
                    });
                }
            }
            let out = cache.step(&chunks);
            let own = chunks.iter().position(|c| c.seq == 1).unwrap();
            let before: usize = chunks[..own].iter().map(|c| c.query_len).sum();
            let q_size = setup.shape.q_size();
            got.extend_from_slice(&out[before * q_size..][..chunks[own].query_len * q_size]);
        }
        assert_same_bits(&format!("{setup:?}"), &got, want);
    });
}

/// Tokens that are not finite change no row before them, though these share products with rows that
/// see them.
pub(crate) fn later_tokens_change_nothing<B: Backend>(make: &dyn Fn(usize) -> B) {
    check_later_tokens(make, [f32::NAN, f32::INFINITY]);
}

/// The same of tokens that are large, which is all that GPUs promise.
pub(crate) fn large_later_tokens_change_nothing<B: Backend>(make: &dyn Fn(usize) -> B) {
    check_later_tokens(make, [1e15, -1e4]);
}

fn check_later_tokens<B: Backend>(make: &dyn Fn(usize) -> B, values: [f32; 2]) {
    for_each_setup(make, 46, |rng, setup, sequences, want| {
        for (from, value) in [CONTEXT_LEN - 1, CONTEXT_LEN - 40].into_iter().zip(values) {
            let mut qkv = sequences[0].qkv.clone();
            qkv[from * setup.shape.row_size()..].fill(value);
            let spoilt = [Sequence {
                qkv,
                context_len: CONTEXT_LEN,
            }];
            let got = whole(make(2), rng, setup, &spoilt);
            let before = from * setup.shape.q_size();
            let case = format!("{setup:?}, {value} from {from} on");
            assert_same_bits(&case, &got[..before], &want[..before]);
            let spoils = value.is_finite() || got[before..].iter().all(|x| x.is_nan());
            assert!(spoils, "{case}");
        }
    });
}

/// Tokens that are not finite change no row whose window is past them, though these share products with
/// rows that see them.
pub(crate) fn tokens_out_of_sight_change_nothing<B: Backend>(make: &dyn Fn(usize) -> B) {
    check_out_of_sight(make, f32::NAN);
}

/// The same of tokens that are large, which is all that GPUs promise.
pub(crate) fn large_tokens_out_of_sight_change_nothing<B: Backend>(make: &dyn Fn(usize) -> B) {
    check_out_of_sight(make, 1e4);
}

fn check_out_of_sight<B: Backend>(make: &dyn Fn(usize) -> B, value: f32) {
    for_each_setup(make, 47, |rng, setup, sequences, want| {
        let Some(window) = setup.window else { return };
        // Few rows meet 64 keys at a time; of these few they see only the last before that.
        let spoilt_len = 192;
        let clean = spoilt_len + window - 1;
        let row_size = setup.shape.row_size();
        let mut qkv = sequences[0].qkv.clone();
        qkv[..spoilt_len * row_size].fill(value);
        let spoilt = [Sequence {
            qkv,
            context_len: CONTEXT_LEN,
        }];
        for query_len in [1, 6, 40] {
            let mut cache = Cache::new(make(2), rng, setup, &spoilt);
            let (mut got, mut context_len) = (Vec::new(), 0);
            while context_len < CONTEXT_LEN {
                let query_len = match context_len {
                    0 => clean - 5,
                    _ => query_len.min(CONTEXT_LEN - context_len),
                };
                context_len += query_len;
                got.extend(cache.step(&[Chunk {
                    seq: 0,
                    context_len,
                    query_len,
                }]));
            }
            let first = clean * setup.shape.q_size();
            let case = format!("{setup:?}, {query_len} at a time");
            assert_same_bits(&case, &got[first..], &want[first..]);
        }
    });
}

/// Sequences that share blocks: some a whole number of spans, some less, decoded and extended by a
/// few rows in one batch, beside one that shares nothing.
pub(crate) fn shared_prefixes_change_nothing<B: Backend>(make: &dyn Fn(usize) -> B) {
    let mut rng = Rng::new(45);
    for (turn, shape) in SHAPES.into_iter().enumerate() {
        for (window, block_size) in [(None, 16), (None, 3), (Some(400), 32), (None, 512)] {
            let setup = Setup {
                window,
                dtype: B::KV_DTYPES[(turn + block_size) % B::KV_DTYPES.len()],
                ..Setup::new(shape, block_size)
            };
            let shared = [0, 512, 640, 400, 640, 0].map(|len| len / block_size);
            let mut sequences: Vec<Sequence> = Vec::new();
            for (seq, blocks) in shared.into_iter().enumerate() {
                let context_len = 650 + 20 * (seq % 4);
                let mut sequence = Sequence::random(&mut rng, shape, context_len);
                let prefix = blocks * block_size * shape.row_size();
                if let Some(owner) = sequences.first() {
                    sequence.qkv[..prefix].copy_from_slice(&owner.qkv[..prefix]);
                }
                sequences.push(sequence);
            }
            let want: Vec<Vec<f32>> = (0..sequences.len())
                .map(|seq| {
                    let own = &sequences[seq..=seq];
                    whole(make(1), &mut rng, setup, own)
                })
                .collect();
            let mut cache = Cache::new(make(2), &mut rng, setup, &sequences);
            let mut computed = shared.map(|blocks| blocks * block_size);
            for (seq, &blocks) in shared.iter().enumerate().skip(1) {
                cache.share_blocks(seq, 0, blocks);
            }
            // The owner's prefix first.
            computed[0] = 640;
            cache.step(&[Chunk {
                seq: 0,
                context_len: 640,
                query_len: 640,
            }]);
            let q_size = shape.q_size();
            while (0..sequences.len()).any(|seq| computed[seq] < sequences[seq].context_len) {
                let mut chunks = Vec::new();
                for (seq, sequence) in sequences.iter().enumerate() {
                    let left = sequence.context_len - computed[seq];
                    let query_len = [1, 1, 2, 30][rng.below(4)].min(left);
                    computed[seq] += query_len;
                    if query_len > 0 {
                        chunks.push(Chunk {
                            seq,
                            context_len: computed[seq],
                            query_len,
                        });
                    }
                }
                let got = cache.step(&chunks);
                let mut row = 0;
                for chunk in chunks {
                    let got = &got[row * q_size..][..chunk.query_len * q_size];
                    row += chunk.query_len;
                    let first = chunk.context_len - chunk.query_len;
                    let want = &want[chunk.seq][first * q_size..][..got.len()];
                    assert_same_bits(&format!("{setup:?} {chunk:?}"), got, want);
                }
            }
        }
    }
}
