//! Relevance to a query when nobody has scored the documents: Okapi BM25 (Robertson and Zaragoza,
//! "The Probabilistic Relevance Framework", 2009), its statistics taken from the candidates.

use super::words::{vocabulary, words};

/// How fast repetitions of a word stop to count.
const K1: f64 = 1.2;
/// How far long texts are held to have more words for no reason.
const B: f64 = 0.75;
/// The share of the query's weight that the best text must reach before it counts as fully
/// relevant. Without it, the best of wholly unrelated texts would be: one shared "how" is enough.
const FULL_MATCH: f64 = 0.25;

/// Words of a query, and how rare they are among some texts.
pub(super) struct Query {
    /// Distinct words, sorted.
    terms: Vec<u64>,
    /// By term: ln(1 + (n - n_t + 0.5) / (n_t + 0.5)) with n texts, n_t of which contain it.
    weights: Vec<f64>,
}

/// How often each term of a query is in a text.
pub(super) struct Counts {
    by_term: Vec<u32>,
    words: usize,
}

impl Query {
    /// The query's terms, and the counts of every text, given its words, in order.
    pub(super) fn new(query: &str, texts: &[Vec<u64>]) -> (Self, Vec<Counts>) {
        let terms = vocabulary(query);
        let counts: Vec<Counts> = texts
            .iter()
            .map(|words| Counts::new(&terms, words))
            .collect();
        let n = counts.len() as f64;
        let weights = (0..terms.len())
            .map(|term| {
                let containing = counts.iter().filter(|c| c.by_term[term] > 0).count() as f64;
                (1.0 + (n - containing + 0.5) / (containing + 0.5)).ln()
            })
            .collect();
        (Self { terms, weights }, counts)
    }

    /// BM25 of every text, scaled to 0 to 1: 1 is the best text, provided that it has a good part
    /// of the query.
    pub(super) fn bm25(&self, counts: &[Counts]) -> Vec<f64> {
        let words: usize = counts.iter().map(|c| c.words).sum();
        let average = (words as f64 / counts.len().max(1) as f64).max(1.0);
        let raw: Vec<f64> = counts.iter().map(|c| self.raw_bm25(c, average)).collect();
        let best = raw.iter().copied().fold(0.0, f64::max);
        let full = best.max(FULL_MATCH * self.weights.iter().sum::<f64>());
        raw.iter()
            .map(|score| if full > 0.0 { score / full } else { 0.0 })
            .collect()
    }

    /// The share of the query's weight that is in the text at all, 0 to 1.
    pub(super) fn coverage(&self, counts: &Counts) -> f64 {
        let all: f64 = self.weights.iter().sum();
        if all <= 0.0 {
            0.0
        } else {
            self.found(&counts.by_term) / all
        }
    }

    /// The weight of all terms.
    pub(super) fn total(&self) -> f64 {
        self.weights.iter().sum()
    }

    /// The weight of the terms that are in the text.
    pub(super) fn weight(&self, text: &str) -> f64 {
        self.found(&Counts::new(&self.terms, &words(text)).by_term)
    }

    fn found(&self, by_term: &[u32]) -> f64 {
        let terms = self.weights.iter().zip(by_term);
        terms
            .filter(|(_, count)| **count > 0)
            .map(|(weight, _)| weight)
            .sum()
    }

    fn raw_bm25(&self, counts: &Counts, average: f64) -> f64 {
        let length = K1 * (1.0 - B + B * counts.words as f64 / average);
        let terms = self.weights.iter().zip(&counts.by_term);
        terms
            .map(|(weight, count)| {
                let count = f64::from(*count);
                weight * count * (K1 + 1.0) / (count + length)
            })
            .sum()
    }
}

impl Counts {
    fn new(terms: &[u64], words: &[u64]) -> Self {
        let mut by_term = vec![0; terms.len()];
        // Most words are not in the query, and one bit says so for nearly all of them.
        let mut seen = [0_u64; 64];
        let bit = |word: &u64| ((word >> 6 & 63) as usize, 1_u64 << (word & 63));
        for (place, bit) in terms.iter().map(bit) {
            seen[place] |= bit;
        }
        let may_be_there = |word: &&u64| {
            let (place, bit) = bit(word);
            seen[place] & bit != 0
        };
        for word in words.iter().filter(may_be_there) {
            if let Ok(term) = terms.binary_search(word) {
                by_term[term] += 1;
            }
        }
        Self {
            by_term,
            words: words.len(),
        }
    }
}
