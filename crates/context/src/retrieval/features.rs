//! What texts say about the importance of their segments.

use super::bm25::Query;
use super::words::{names, shingles, words};

/// A segment's text, for its features.
#[derive(Clone, Copy, Debug)]
pub struct SegmentText<'a> {
    /// The text.
    pub text: &'a str,
    /// Its tokens.
    pub tokens: usize,
}

/// Features of a segment; all of them 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TextFeatures {
    /// Share of the query's words that it contains, rare words counting for more.
    pub relevance: f64,
    /// 1 - 2^-r if r later segments name something (a path, an identifier, a number) that it
    /// brought in, or that it was the last to name.
    pub referenced: f64,
    /// See [`text_density`].
    pub density: f64,
}

/// The features of every segment, in order. `query` is what the live turn is about.
///
/// Time grows with the length of the texts, but for the logarithm of a sort.
pub fn text_features(segments: &[SegmentText<'_>], query: &str) -> Vec<TextFeatures> {
    let spoken: Vec<Vec<u64>> = segments.iter().map(|s| words(s.text)).collect();
    let names: Vec<Vec<u64>> = segments.iter().map(|s| names(s.text)).collect();
    let (query, counts) = Query::new(query, &spoken);
    let referenced = references(&names);
    segments
        .iter()
        .enumerate()
        .map(|(i, segment)| TextFeatures {
            relevance: query.coverage(&counts[i]),
            referenced: 1.0 - 0.5_f64.powi(referenced[i]),
            density: density_of(&spoken[i], names[i].len(), segment.tokens),
        })
        .collect()
}

/// Distinct information per token, 0 to 1: the share of different sequences of three words, halved
/// for text that names nothing. Text that repeats itself and tokens without words (rulers, white
/// space) lower it; one name in ten words is as much as counts.
pub fn text_density(text: &str, tokens: usize) -> f64 {
    density_of(&words(text), names(text).len(), tokens)
}

fn density_of(words: &[u64], names: usize, tokens: usize) -> f64 {
    if words.is_empty() {
        return 0.0;
    }
    let mut distinct = shingles(words, 3);
    let all = distinct.len();
    distinct.dedup();
    // Code and prose have more than one word in four tokens.
    let expected = (tokens as f64 / 4.0).max(all as f64);
    let named = (10.0 * names as f64 / words.len() as f64).min(1.0);
    distinct.len() as f64 / expected * (0.5 + 0.5 * named)
}

/// How many later segments refer to each segment.
fn references(names: &[Vec<u64>]) -> Vec<i32> {
    let mut mentions: Vec<(u64, usize)> = names
        .iter()
        .enumerate()
        .flat_map(|(segment, names)| names.iter().map(move |name| (*name, segment)))
        .collect();
    mentions.sort_unstable();
    let mut links: Vec<(usize, usize)> = Vec::new();
    for mentions in mentions.chunk_by(|a, b| a.0 == b.0) {
        let (_, origin) = mentions[0];
        for pair in mentions.windows(2) {
            let ((_, last), (_, mention)) = (pair[0], pair[1]);
            links.extend([(origin, mention), (last, mention)]);
        }
    }
    links.sort_unstable();
    links.dedup();
    let mut counts = vec![0; names.len()];
    for (referenced, _) in links {
        counts[referenced] += 1;
    }
    counts
}
