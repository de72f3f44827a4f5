use super::Sequences;

#[test]
fn a_batch_is_laid_out_as_computed_by_hand() {
    let mut sequences = Sequences::new(2, 10, 0, 4);
    assert_eq!(sequences.num_blocks(), 7);
    sequences.push(0, 3, &[7, 8], false);
    sequences.push(1, 8, &[9], true);
    let batch = sequences.batch();
    assert_eq!(batch.token_ids, [7, 8, 9]);
    assert_eq!(batch.positions, [3, 4, 8]);
    // Sequence 0 has blocks 1 to 3, sequence 1 has blocks 4 to 6.
    assert_eq!(batch.slot_mapping, [7, 8, 24]);
    assert_eq!(batch.query_start, [0, 2, 3]);
    assert_eq!(batch.context_lens, [5, 9]);
    assert_eq!(batch.block_table(0), [1, 2]);
    assert_eq!(batch.block_table(1), [4, 5, 6]);
    assert_eq!(batch.logits_rows, [2]);
    sequences.want_all_logits();
    assert_eq!(sequences.batch().logits_rows, [0, 1, 2]);
    sequences.clear();
    assert_eq!(sequences.batch().num_seqs(), 0);
}

#[test]
fn whole_blocks_of_a_prefix_are_shared() {
    // 9 shared tokens fill 2 blocks of 4 and begin a third, which each sequence has for itself.
    let mut sequences = Sequences::new(2, 14, 9, 4);
    assert_eq!(sequences.num_blocks(), 1 + 2 + 2 * 2);
    sequences.push(0, 9, &[7], true);
    sequences.push(1, 12, &[8], true);
    let batch = sequences.batch();
    assert_eq!(batch.block_table(0), [1, 2, 3]);
    assert_eq!(batch.block_table(1), [1, 2, 5, 6]);
    assert_eq!(batch.slot_mapping, [13, 24]);
}
