//! Products in bfloat16 on every machine: in plain Rust, beside products in f32.

use half::bf16;

use super::{PairItem, Pairs};
use crate::cpu::attention::floats::FloatItem;
use crate::cpu::attention::item::Item;
use crate::cpu::attention::pair_product::{Dots, OnTiles};
use crate::cpu::attention::{Layer, Workspace};
use crate::cpu::kv::{KvElement, KvRows, Store};
use crate::cpu::pool::Pool;
use crate::cpu::portable::Portable;
use crate::cpu::simd::{Isa, Kernel};
use crate::cpu::tiles::plain::PlainTiles;
use crate::{InstructionSet, KvCacheShape, KvDtype, KvPool, QkvShape, StepBatch};

/// Two spans, the last one in part.
const CONTEXT_LEN: usize = 300;

/// Numbers in [-1, 1).
fn noise(state: &mut u32) -> f32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
}

/// A sequence of [`CONTEXT_LEN`] tokens of which the last `query_len` attend, computed by `compute`.
fn attend<T: KvElement>(
    shape: QkvShape,
    (dtype, block_size): (KvDtype, usize),
    query_len: usize,
    compute: impl Fn(Item<'_, T>) + Sync,
) -> Vec<f32> {
    let pool = Pool::new(1, false).unwrap();
    let mut state = 7;
    let mut qkv = vec![0.0; CONTEXT_LEN * shape.row_size()];
    qkv.fill_with(|| noise(&mut state));
    let num_blocks = CONTEXT_LEN.div_ceil(block_size);
    let mut kv = Store::<T>::new(KvCacheShape {
        num_layers: 1,
        num_blocks,
        block_size,
        num_kv_heads: shape.num_kv_heads,
        head_dim: shape.head_dim,
        dtype,
    })
    .unwrap();
    let slots: Vec<u32> = (0..CONTEXT_LEN as u32).collect();
    let rows = KvRows {
        qkv: &mut qkv,
        shape,
        rotation: None,
        slots: &slots,
    };
    kv.write(&pool, Isa::Portable, 0, rows);
    let batch = StepBatch {
        token_ids: vec![0; query_len],
        query_start: vec![0, query_len as u32],
        context_lens: vec![CONTEXT_LEN as u32],
        block_tables: (0..num_blocks as u32).collect(),
        block_table_start: vec![0, num_blocks as u32],
        ..StepBatch::default()
    };
    let layer = Layer {
        qkv: &qkv[(CONTEXT_LEN - query_len) * shape.row_size()..],
        shape,
        kv: &kv,
        layer: 0,
        batch: &batch,
        pool: KvPool::Main,
        scale: 0.3,
        soft_cap: None,
        sinks: None,
        window: None,
    };
    let mut out = vec![f32::NAN; query_len * shape.q_size()];
    let mut workspace = Workspace::new().unwrap();
    layer
        .attend_by(&pool, &mut workspace, &mut out, compute)
        .unwrap();
    out
}

/// What one head in bfloat16 may be away from the same in f32: weights and queries are rounded by
/// 2^-9 each, and errors of many are independent.
const TOLERANCE: f32 = 0.01;

fn check<T: KvElement>(dtype: KvDtype) {
    for (heads, head_dim) in [((3, 1), 64), ((4, 2), 20), ((2, 2), 96)] {
        let shape = QkvShape {
            num_q_heads: heads.0,
            num_kv_heads: heads.1,
            head_dim,
        };
        for (block_size, query_len) in [(16, 1), (5, 2), (16, 13), (32, 60), (16, CONTEXT_LEN)] {
            let by = |compute: &(dyn Fn(Item<'_, T>) + Sync)| {
                attend(shape, (dtype, block_size), query_len, compute)
            };
            let exact = by(&|item| FloatItem(item).run(Portable));
            let dots = by(&|item| item.compute(Portable, Pairs(Dots)));
            let tiles = by(&|item| {
                let mut tiles = PlainTiles::new();
                item.compute(Portable, Pairs(OnTiles::new(&mut tiles)));
            });
            let case = format!("{shape:?}, {dtype:?}, {query_len} in blocks of {block_size}");
            for (pairs, name) in [(&dots, "dots"), (&tiles, "tiles")] {
                for (got, want) in pairs.iter().zip(&exact) {
                    assert!(
                        (got - want).abs() <= TOLERANCE,
                        "{case}, {name}: {got} {want}"
                    );
                }
                assert_ne!(pairs, &exact, "{case}, {name}: nothing was rounded");
            }
            // The machine's own exponentials may differ from those of plain Rust in the last bit.
            if let Some(isa) = Isa::new(InstructionSet::Amx) {
                let got = by(&|item| isa.run_tiles(PairItem(item)));
                for (got, want) in got.iter().zip(&tiles) {
                    assert!((got - want).abs() <= TOLERANCE, "{case}: {got} {want}");
                }
            }
        }
    }
}

#[test]
fn products_in_bfloat16_are_near_those_in_f32() {
    check::<bf16>(KvDtype::Bf16);
}

#[test]
fn elements_of_eight_bits_are_scaled_first() {
    check::<i8>(KvDtype::Int8);
}
