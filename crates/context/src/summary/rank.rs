//! How much each sentence says of what the others say.

use crate::compress::content_words;

/// Sentences that are compared with each other.
pub(super) const MOST: usize = 400;
/// Share of a sentence's rank that its neighbours give (Brin and Page 1998).
const DAMPING: f64 = 0.85;
const ROUNDS: usize = 30;

/// A sentence's words with their weights, sorted by word: term frequency times inverse sentence
/// frequency, of length 1.
pub(super) struct Vector(Vec<(u64, f64)>);

/// The vectors of `texts`.
pub(super) fn vectors(texts: &[&str]) -> Vec<Vector> {
    let words: Vec<Vec<u64>> = texts
        .iter()
        .map(|text| {
            let mut words = content_words(text);
            words.sort_unstable();
            words
        })
        .collect();
    let mut all: Vec<u64> = words
        .iter()
        .flat_map(|words| {
            let mut words = words.clone();
            words.dedup();
            words
        })
        .collect();
    all.sort_unstable();
    let n = texts.len() as f64;
    let vector = |words: &Vec<u64>| {
        let weight = |same: &[u64]| {
            let start = all.partition_point(|word| *word < same[0]);
            let frequency = all[start..].partition_point(|word| *word == same[0]) as f64;
            (same[0], same.len() as f64 * (1.0 + n / frequency).ln())
        };
        let mut vector: Vec<(u64, f64)> = words.chunk_by(|a, b| a == b).map(weight).collect();
        let norm = vector
            .iter()
            .map(|(_, weight)| weight * weight)
            .sum::<f64>()
            .sqrt();
        vector
            .iter_mut()
            .for_each(|(_, weight)| *weight /= norm.max(f64::MIN_POSITIVE));
        Vector(vector)
    };
    words.iter().map(vector).collect()
}

impl Vector {
    /// Cosine of two.
    pub(super) fn similarity(&self, other: &Self) -> f64 {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut sum = 0.0;
        while let (Some((x, p)), Some((y, q))) = (a.peek(), b.peek()) {
            match x.cmp(y) {
                std::cmp::Ordering::Less => drop(a.next()),
                std::cmp::Ordering::Greater => drop(b.next()),
                std::cmp::Ordering::Equal => {
                    sum += p * q;
                    a.next();
                    b.next();
                }
            }
        }
        sum
    }

    /// Distinct words.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Similarities of all pairs, row by row; 0 on the diagonal.
///
/// # Panics
/// If there are more than [`MOST`] vectors: the work grows with their square.
pub(super) fn similarities(vectors: &[Vector]) -> Vec<Vec<f64>> {
    assert!(vectors.len() <= MOST, "more sentences than are compared");
    let mut rows = vec![vec![0.0; vectors.len()]; vectors.len()];
    for i in 0..vectors.len() {
        for j in 0..i {
            let similarity = vectors[i].similarity(&vectors[j]);
            rows[i][j] = similarity;
            rows[j][i] = similarity;
        }
    }
    rows
}

/// TextRank (Mihalcea and Tarau 2004): the stationary weight of each sentence when a reader goes
/// from one to a similar one; the largest is 1.
pub(super) fn text_rank(similarities: &[Vec<f64>]) -> Vec<f64> {
    let n = similarities.len();
    let degree: Vec<f64> = similarities.iter().map(|row| row.iter().sum()).collect();
    let mut rank = vec![1.0; n];
    for _ in 0..ROUNDS {
        let given: Vec<f64> = rank
            .iter()
            .zip(&degree)
            .map(|(rank, degree)| if *degree > 0.0 { rank / degree } else { 0.0 })
            .collect();
        for (rank, row) in rank.iter_mut().zip(similarities) {
            let taken: f64 = row
                .iter()
                .zip(&given)
                .map(|(similarity, given)| similarity * given)
                .sum();
            *rank = 1.0 - DAMPING + DAMPING * taken;
        }
    }
    let largest = rank.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    rank.iter().map(|rank| rank / largest).collect()
}
