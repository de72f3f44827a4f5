//! Block copies.

use kernels::{Backend, Cpu, KvCacheShape, KvDtype, QkvShape};

use crate::fixture::{Rng, assert_same_bits};
use crate::paged::{Cache, Chunk, Sequence, Setup};

fn with_dtypes(block_size: usize) -> [(usize, KvDtype); 3] {
    KvDtype::ALL.map(|dtype| (block_size, dtype))
}

/// Attention over copied blocks, partial ones too, is attention over the originals.
pub(crate) fn copied_blocks_read_the_same<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut rng = Rng::new(61);
    let shape = QkvShape {
        num_q_heads: 4,
        num_kv_heads: 2,
        head_dim: 20,
    };
    for (block_size, dtype) in [1, 3, 16, 32].into_iter().flat_map(with_dtypes) {
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
    for (block_size, dtype) in [1, 3, 16, 32].into_iter().flat_map(with_dtypes) {
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
    let bytes = |dtype| {
        make(1).kv_bytes_per_token(&KvCacheShape {
            num_layers: 3,
            num_blocks: 9,
            block_size: 16,
            num_kv_heads: 2,
            head_dim: 64,
            dtype,
        })
    };
    // Keys and values of 6 heads; an 8-bit head has a scale.
    assert_eq!(
        KvDtype::ALL.map(bytes),
        [2 * 6 * 256, 2 * 6 * 128, 2 * 6 * 68]
    );
}
