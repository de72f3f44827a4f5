//! Element types and copies of blocks.

use kernels::{Backend, Cpu, KernelError, KvCacheShape, KvDtype, QkvShape};

use crate::fixture::{Rng, assert_same_bits, e4m3};
use crate::paged::{Cache, Chunk, Sequence, Setup};

/// A small cache.
fn shape(dtype: KvDtype) -> KvCacheShape {
    KvCacheShape {
        num_layers: 3,
        num_blocks: 9,
        block_size: 16,
        num_kv_heads: 2,
        head_dim: 64,
        dtype,
    }
}

fn with_dtypes<B: Backend>(block_size: usize) -> impl Iterator<Item = (usize, KvDtype)> {
    B::KV_DTYPES.iter().map(move |&dtype| (block_size, dtype))
}

/// A backend has the element types that it names, and says of any other that it has it not.
pub(crate) fn other_types_are_refused<B: Backend>(backend: &mut dyn FnMut() -> B) {
    for dtype in KvDtype::ALL {
        let is_named = B::KV_DTYPES.contains(&dtype);
        match backend().kv_cache(shape(dtype)) {
            Ok(_) => assert!(is_named, "{dtype:?}"),
            Err(KernelError::Unsupported { what }) => {
                assert!(
                    !is_named && what.contains(dtype.name()),
                    "{dtype:?}: {what}"
                );
            }
            Err(error) => panic!("{dtype:?}: {error}"),
        }
    }
}

/// What is near the limits of e4m3: each value, the middle to the next and what lies around, values beyond
/// the largest one, what is no number, and values of any size.
fn near_e4m3(rng: &mut Rng) -> Vec<f32> {
    let mut values = vec![448.0, 464.0, 480.0, 1e30, f32::MAX, f32::INFINITY, f32::NAN];
    values.extend([f32::MIN_POSITIVE, 1e-40, 0.0]);
    let steps = (-6..9).flat_map(|exponent| (8..16).map(move |mantissa| (exponent, mantissa)));
    let normal = steps.map(|(exponent, mantissa)| (mantissa as f32, 2.0f32.powi(exponent - 3)));
    let small = (0..8).map(|mantissa| (mantissa as f32, 2.0f32.powi(-9)));
    for (mantissa, step) in normal.chain(small) {
        let middle = (mantissa + 0.5) * step;
        values.extend([
            mantissa * step,
            middle,
            middle.next_down(),
            middle.next_up(),
        ]);
    }
    values.extend((0..600).map(|_| rng.float() * 2.0f32.powi(rng.below(24) as i32 - 14)));
    let negative: Vec<f32> = values.iter().map(|value| -value).collect();
    [values, negative].concat()
}

/// Of one key, attention is its value: what the cache has kept of it, by each way to store and to read it.
/// Backends without fp8 refuse it.
pub(crate) fn fp8_values_are_the_nearest<B: Backend>(backend: &mut dyn FnMut() -> B) {
    if !B::KV_DTYPES.contains(&KvDtype::Fp8) {
        return assert!(backend().kv_cache(shape(KvDtype::Fp8)).is_err());
    }
    let mut rng = Rng::new(68);
    for head_dim in [64, 96, 20, 7] {
        let shape = QkvShape {
            num_q_heads: 1,
            num_kv_heads: 1,
            head_dim,
        };
        let setup = Setup {
            dtype: KvDtype::Fp8,
            ..Setup::new(shape, 1)
        };
        let mut values = near_e4m3(&mut rng);
        values.resize(values.len().next_multiple_of(head_dim), 1.0);
        let rows = values.chunks_exact(head_dim);
        let sequences: Vec<Sequence> = rows
            .map(|value| Sequence {
                qkv: [&vec![0.0; 2 * head_dim], value].concat(),
                context_len: 1,
            })
            .collect();
        let chunks: Vec<Chunk> = (0..sequences.len())
            .map(|seq| Chunk {
                seq,
                context_len: 1,
                query_len: 1,
            })
            .collect();
        let mut cache = Cache::new(backend(), &mut rng, setup, &sequences);
        for (value, got) in values.into_iter().zip(cache.step(&chunks)) {
            let want = e4m3(value);
            let is_same = got == want || got.is_nan() && want.is_nan();
            assert!(is_same, "{value:e} of {head_dim}: {got:e}, not {want:e}");
        }
    }
}

/// Attention over copied blocks, partial ones too, is attention over the originals.
pub(crate) fn copied_blocks_read_the_same<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut rng = Rng::new(61);
    let shape = QkvShape {
        num_q_heads: 4,
        num_kv_heads: 2,
        head_dim: 20,
    };
    for (block_size, dtype) in [1, 3, 16, 32].into_iter().flat_map(with_dtypes::<B>) {
        let setup = Setup {
            dtype,
            ..Setup::new(shape, block_size)
        };
        let sequences = [Sequence::random(&mut rng, shape, 2 * block_size + 1)];
        let mut cache = Cache::new(backend(), &mut rng, setup, &sequences);
        let context_len = 2 * block_size + 1;
        cache.step(&[Chunk {
            seq: 0,
            context_len,
            query_len: context_len,
        }]);
        let last = [Chunk {
            seq: 0,
            context_len,
            query_len: 1,
        }];
        let want = cache.step(&last);
        assert!(want.iter().all(|x| x.is_finite()));
        let spare = cache.spare_blocks();
        cache.move_blocks(&spare);
        assert_same_bits(&format!("{setup:?}"), &cache.step(&last), &want);
    }
}

/// Blocks that were read as bytes and written elsewhere are the same blocks.
pub(crate) fn blocks_are_carried_as_bytes<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut rng = Rng::new(67);
    let shape = QkvShape {
        num_q_heads: 4,
        num_kv_heads: 2,
        head_dim: 20,
    };
    for (block_size, dtype) in [1, 3, 16, 32].into_iter().flat_map(with_dtypes::<B>) {
        let setup = Setup {
            dtype,
            ..Setup::new(shape, block_size)
        };
        let context_len = 3 * block_size;
        let sequences = [Sequence::random(&mut rng, shape, context_len)];
        let mut cache = Cache::new(backend(), &mut rng, setup, &sequences);
        let chunk = |query_len| Chunk {
            seq: 0,
            context_len,
            query_len,
        };
        cache.step(&[chunk(context_len)]);
        let want = cache.step(&[chunk(1)]);
        let spare = cache.spare_blocks();
        cache.carry_blocks(&spare);
        assert_same_bits(&format!("{setup:?}"), &cache.step(&[chunk(1)]), &want);
    }
}

/// A cache is as large as its elements.
pub(crate) fn bytes_follow_the_element_type(make: &dyn Fn(usize) -> Cpu) {
    let bytes = |&dtype| make(1).kv_bytes_per_token(&shape(dtype));
    let bytes: Vec<usize> = Cpu::KV_DTYPES.iter().map(bytes).collect();
    // Keys and values of 6 heads; a head of 8-bit integers has a scale.
    assert_eq!(bytes, [2 * 6 * 256, 2 * 6 * 128, 2 * 6 * 68]);
}
