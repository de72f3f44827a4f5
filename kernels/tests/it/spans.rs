//! Attention over several spans of keys: rows have the same bits whether one block takes all spans or many
//! blocks take one each, among few rows or many.

use kernels::{Backend, KvDtype, QkvShape};

use crate::fixture::{Rng, assert_same_bits};
use crate::paged::{Cache, Chunk, Sequence, Setup};

/// More than two spans of 512 keys.
const CONTEXT_LEN: usize = 1100;
/// Heads that have kernels of their own and some that have not, what is cached of them, and windows.
const HEADS: [(usize, KvDtype, Option<usize>); 12] = [
    (64, KvDtype::Bf16, None),
    (96, KvDtype::Bf16, Some(520)),
    (128, KvDtype::Bf16, None),
    (128, KvDtype::Bf16, Some(560)),
    (256, KvDtype::Bf16, Some(1000)),
    (40, KvDtype::Int8, None),
    (64, KvDtype::F32, Some(520)),
    (64, KvDtype::Fp8, Some(520)),
    (96, KvDtype::Fp8, None),
    (128, KvDtype::Fp8, Some(560)),
    (256, KvDtype::Fp8, None),
    (40, KvDtype::Fp8, Some(520)),
];
/// How a sequence's last rows are divided into steps; the rows before them are one step.
const LAST: [usize; 5] = [1, 9, 1, 70, 1];
/// Sequences beside it, so many that nothing is divided to fill a device.
const NUM_NEIGHBOURS: usize = 300;

pub(crate) fn divided_rows_are_the_whole_ones<B: Backend>(make: &dyn Fn(usize) -> B) {
    assert!(make(1).batch_invariant());
    let mut rng = Rng::new(48);
    for (index, (head_dim, dtype, window)) in HEADS.into_iter().enumerate() {
        let shape = QkvShape {
            num_q_heads: 3,
            num_kv_heads: 1,
            head_dim,
        };
        let setup = Setup {
            dtype,
            window,
            sinks: index % 2 == 1,
            ..Setup::new(shape, 16)
        };
        check(make, &mut rng, setup);
    }
}

fn check<B: Backend>(make: &dyn Fn(usize) -> B, rng: &mut Rng, setup: Setup) {
    let mut sequences = vec![Sequence::random(rng, setup.shape, CONTEXT_LEN)];
    let neighbour = |_| Sequence::random(rng, setup.shape, 2);
    sequences.extend((0..NUM_NEIGHBOURS).map(neighbour).collect::<Vec<_>>());
    let chunk = |seq, context_len, query_len| Chunk {
        seq,
        context_len,
        query_len,
    };
    // The window's spans begin where the first of its rows sees from, which differs from step to step.
    let whole = chunk(0, CONTEXT_LEN, CONTEXT_LEN);
    let mut cache = Cache::new(make(1), rng, setup, &sequences[..1]);
    let want = cache.step(&[whole]);
    let mut alone = Cache::new(make(1), rng, setup, &sequences[..1]);
    let mut beside = Cache::new(make(1), rng, setup, &sequences);
    let q_size = setup.shape.q_size();
    let mut context_len = CONTEXT_LEN - LAST.iter().sum::<usize>();
    let first = chunk(0, context_len, context_len);
    let neighbours = (1..=NUM_NEIGHBOURS).map(|seq| chunk(seq, 1, 1));
    let mut batch: Vec<Chunk> = neighbours.collect();
    alone.step(&[first]);
    beside.step(&[first]);
    for query_len in LAST {
        let rows = context_len * q_size..(context_len + query_len) * q_size;
        context_len += query_len;
        let own = chunk(0, context_len, query_len);
        let case = format!("{setup:?}, {query_len} rows up to {context_len}");
        assert_same_bits(&case, &alone.step(&[own]), &want[rows.clone()]);
        batch.push(own);
        let got = beside.step(&batch);
        assert_same_bits(&case, &got[NUM_NEIGHBOURS * q_size..], &want[rows]);
        batch.pop();
    }
}
