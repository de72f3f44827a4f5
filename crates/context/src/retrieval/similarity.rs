//! How much documents have in common.

use super::words::shingles;

/// Words in a sequence: long enough not to be shared by chance.
const SEQUENCE: usize = 5;

/// The word sequences of documents, and who has them.
pub(super) struct Similarity {
    /// By text: distinct sequences, sorted.
    by_text: Vec<Vec<u64>>,
    /// (sequence, text), sorted.
    holders: Vec<(u64, usize)>,
}

impl Similarity {
    /// Of texts, given their words.
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a [u64]>) -> Self {
        let by_text: Vec<Vec<u64>> = texts
            .into_iter()
            .map(|words| {
                let mut sequences = shingles(words, SEQUENCE);
                sequences.dedup();
                sequences
            })
            .collect();
        let mut holders: Vec<(u64, usize)> = by_text
            .iter()
            .enumerate()
            .flat_map(|(text, sequences)| sequences.iter().map(move |s| (*s, text)))
            .collect();
        holders.sort_unstable();
        Self { by_text, holders }
    }

    /// Jaccard similarity of the sequences of `text` and of every text: shared over all.
    pub(super) fn to_all(&self, text: usize) -> Vec<f64> {
        let mut shared = vec![0_usize; self.by_text.len()];
        for sequence in &self.by_text[text] {
            let first = self.holders.partition_point(|(other, _)| other < sequence);
            let holders = self.holders[first..].iter();
            for (_, holder) in holders.take_while(|(other, _)| other == sequence) {
                shared[*holder] += 1;
            }
        }
        let own = self.by_text[text].len();
        let of_text = self.by_text.iter().zip(shared);
        of_text
            .map(|(sequences, shared)| {
                let all = own + sequences.len() - shared;
                if all == 0 {
                    0.0
                } else {
                    shared as f64 / all as f64
                }
            })
            .collect()
    }
}
