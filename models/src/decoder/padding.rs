//! Steps with rows that nobody reads, so that a backend sees fewer numbers of rows.

use kernels::StepBatch;

/// `batch`, of one sampled token for each sequence, with such sequences added up to `rows`: token 0 at
/// position 0 in the null block, where every step may write what it likes.
pub(super) fn pad(batch: &StepBatch, rows: usize, padded: &mut StepBatch) {
    padded.clone_from(batch);
    // Copies were made before.
    padded.block_copies.clear();
    padded.window.block_copies.clear();
    let has_window = !batch.window.slot_mapping.is_empty();
    for row in batch.num_tokens()..rows {
        padded.token_ids.push(0);
        padded.positions.push(0);
        padded.slot_mapping.push(0);
        padded.context_lens.push(1);
        padded.block_tables.push(0);
        if has_window {
            padded.window.slot_mapping.push(0);
            padded.window.block_tables.push(0);
        }
        padded
            .block_table_start
            .push(padded.block_tables.len() as u32);
        padded.query_start.push(row as u32 + 1);
        padded.logits_rows.push(row as u32);
    }
    if !batch.adapters.is_empty() {
        padded.adapters.resize(padded.num_seqs(), None);
    }
}

#[cfg(test)]
mod tests;
