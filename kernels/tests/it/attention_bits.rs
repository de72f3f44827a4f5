//! Attention of a row is the same bits however its tokens were computed.

use kernels::{Backend, Cpu, QkvShape};

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
const CONTEXT_LEN: usize = 333;

/// All rows of `sequences[0]` in one step, alone.
fn whole(backend: Cpu, rng: &mut Rng, setup: Setup, sequences: &[Sequence]) -> Vec<f32> {
    let context_len = sequences[0].context_len;
    let mut cache = Cache::new(backend, rng, setup, sequences);
    cache.step(&[Chunk {
        seq: 0,
        context_len,
        query_len: context_len,
    }])
}

/// Every shape and window, with a sequence and its answer on one thread with blocks of 16.
fn for_each_setup(
    make: &dyn Fn(usize) -> Cpu,
    seed: u64,
    mut check: impl FnMut(&mut Rng, Setup, &[Sequence], &[f32]),
) {
    let mut rng = Rng::new(seed);
    for (shape, window) in SHAPES.into_iter().flat_map(|s| WINDOWS.map(|w| (s, w))) {
        let setup = Setup {
            shape,
            block_size: 16,
            window,
        };
        let sequences = [Sequence::random(&mut rng, shape, CONTEXT_LEN)];
        let want = whole(make(1), &mut rng, setup, &sequences);
        check(&mut rng, setup, &sequences, &want);
    }
}

pub(crate) fn chunks_equal_the_whole(make: &dyn Fn(usize) -> Cpu) {
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

pub(crate) fn block_sizes_are_equal(make: &dyn Fn(usize) -> Cpu) {
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

pub(crate) fn threads_change_nothing(make: &dyn Fn(usize) -> Cpu) {
    for_each_setup(make, 43, |rng, setup, sequences, want| {
        for threads in [1, 2, 3, 5] {
            let got = whole(make(threads), rng, setup, sequences);
            assert_same_bits(&format!("{setup:?}, {threads} threads"), &got, want);
        }
    });
}

/// The sequence grows beside others, and some of those hold NaN: what is not its own is not read.
pub(crate) fn neighbours_change_nothing(make: &dyn Fn(usize) -> Cpu) {
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
