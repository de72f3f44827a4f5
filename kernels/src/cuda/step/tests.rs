//! Where the inputs of a step lie.

use super::*;
use crate::{KvDtype, QkvShape};

#[test]
fn rounding_adds_a_quarter_at_most() {
    let mut last = 0;
    for count in 0..5000 {
        let rounded = rounded(count);
        assert!(rounded >= count && 4 * rounded <= 5 * count + 4, "{count}");
        assert!(rounded >= last, "{count}");
        last = rounded;
    }
}

/// `context_lens.len()` sequences of one token each.
fn batch(context_lens: &[u32]) -> StepBatch {
    let mut batch = StepBatch::default();
    batch.clear();
    for (row, &context_len) in (0..).zip(context_lens) {
        batch.token_ids.push(7 + row);
        batch.positions.push(context_len - 1);
        batch.slot_mapping.push(context_len + 15);
        batch.query_start.push(row + 1);
        batch.context_lens.push(context_len);
        let blocks = 1..=context_len.div_ceil(16);
        batch.block_tables.extend(blocks);
        let tables = batch.block_tables.len() as u32;
        batch.block_table_start.push(tables);
        batch.logits_rows.push(row);
    }
    batch
}

/// A device that has the inputs' memory alone.
type Device = crate::CudaEmulator;

const SIGHT: Sight = Sight {
    shape: QkvShape {
        num_q_heads: 8,
        num_kv_heads: 2,
        head_dim: 64,
    },
    dtype: KvDtype::Bf16,
    pool: KvPool::Main,
    window: None,
};

#[test]
fn steps_of_one_layout_lie_at_the_same_addresses() {
    let (device, mut inputs) = (Device::default(), StepInputs::new(SumOrder::Free));
    let sizes = StepSizes {
        qkv: SIGHT.shape,
        max_tokens: 64,
        max_seqs: 8,
        max_context: 1024,
    };
    inputs.reserve(&device, &sizes).unwrap();
    let mut seen: Vec<(Layout, Vec<u64>)> = Vec::new();
    inputs.set(&device, &batch(&[3])).unwrap();
    inputs.tiles(&device, SIGHT).unwrap();
    for context_lens in [
        &[100, 30][..],
        &[101, 31],
        &[99, 700],
        &[98, 699],
        &[5, 6, 7],
    ] {
        let batch = batch(context_lens);
        inputs.set(&device, &batch).unwrap();
        assert!(inputs.are(&batch));
        let mut addresses = vec![inputs.tables(&device, KvPool::Main)];
        addresses.extend(inputs.find(&device, Section::TokenIds, &batch.token_ids));
        addresses.extend(inputs.find(&device, Section::Slots, &batch.slot_mapping));
        let tiles = inputs.tiles(&device, SIGHT).unwrap();
        addresses.extend(tiles.iter().map(|tiles| tiles.address));
        assert_eq!(addresses.len(), 4);
        seen.push((inputs.layout().0.clone(), addresses));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[2], seen[3]);
    assert_ne!(seen[0].0, seen[2].0);
    assert_ne!(seen[0].0, seen[4].0);
    assert_eq!(inputs.layout().1, 1, "nothing was allocated again");
}

#[test]
fn other_words_are_not_found() {
    let (device, mut inputs) = (Device::default(), StepInputs::new(SumOrder::Free));
    inputs.set(&device, &batch(&[20, 40])).unwrap();
    assert!(inputs.find(&device, Section::TokenIds, &[7, 8]).is_some());
    assert!(inputs.find(&device, Section::TokenIds, &[7, 9]).is_none());
    assert!(inputs.find(&device, Section::TokenIds, &[7]).is_none());
}
