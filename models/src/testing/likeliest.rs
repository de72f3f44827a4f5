//! The likeliest tokens of rows, as a device finds them.

use kernels::NO_INDEX;

/// The index of the largest of each row's logits, of equal ones the first.
pub(super) fn find(logits: &[f32], vocab_size: usize, found: &mut Vec<u32>) {
    found.clear();
    found.extend(logits.chunks(vocab_size).map(|row| {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let index = row.iter().position(|&logit| logit == largest);
        index.map_or(NO_INDEX, |index| index as u32)
    }));
}
