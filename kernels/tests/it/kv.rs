//! Block copies.

use kernels::{Backend, QkvShape};

use crate::fixture::{Rng, assert_same_bits};
use crate::paged::{Cache, Chunk, Sequence, Setup};

/// Attention over copied blocks, partial ones too, is attention over the originals.
pub(crate) fn copied_blocks_read_the_same<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut rng = Rng::new(61);
    let shape = QkvShape {
        num_q_heads: 4,
        num_kv_heads: 2,
        head_dim: 20,
    };
    for block_size in [1, 3, 16, 32] {
        let setup = Setup {
            shape,
            block_size,
            window: None,
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
