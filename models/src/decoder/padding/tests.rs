//! What is added looks at nothing of the others.

use super::*;

fn batch() -> StepBatch {
    let mut batch = StepBatch::default();
    batch.clear();
    batch.token_ids = vec![5, 6];
    batch.positions = vec![16, 3];
    batch.slot_mapping = vec![48, 67];
    batch.query_start = vec![0, 1, 2];
    batch.context_lens = vec![17, 4];
    batch.block_tables = vec![2, 3, 4];
    batch.block_table_start = vec![0, 2, 3];
    batch.logits_rows = vec![0, 1];
    batch
}

#[test]
fn rows_are_added_in_the_null_block() {
    let mut padded = StepBatch::default();
    pad(&batch(), 4, &mut padded);
    assert_eq!(padded.num_seqs(), 4);
    assert_eq!(padded.token_ids, [5, 6, 0, 0]);
    assert_eq!(padded.slot_mapping, [48, 67, 0, 0]);
    assert_eq!(padded.logits_rows, [0, 1, 2, 3]);
    assert_eq!(padded.window, batch().window);
    for seq in 2..4 {
        assert_eq!(padded.block_table(seq), [0]);
        assert_eq!(padded.query_range(seq), seq..seq + 1);
        assert_eq!(padded.context_lens[seq], 1);
    }
}

#[test]
fn a_full_step_stays_as_it_is() {
    let mut padded = StepBatch::default();
    pad(&batch(), 2, &mut padded);
    assert_eq!(padded, batch());
}
