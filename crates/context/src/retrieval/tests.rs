//! The selection against exact optima and hand-computed values.

use super::*;
use crate::Placement;

mod choosing;
mod placing;
mod scoring;

/// Words of a text; stands in for a tokenizer.
fn count(text: &str) -> usize {
    text.split_whitespace().count()
}

fn document<'a>(id: &'a str, text: &'a str, score: Option<f64>) -> Document<'a> {
    Document {
        id,
        text,
        score,
        source: None,
        group: None,
        tokens: count(text),
        cached: 0,
    }
}

fn input<'a>(documents: &'a [Document<'a>], query: &'a str, cap: usize) -> RetrievalInput<'a> {
    RetrievalInput {
        documents,
        query,
        floor: 0,
        cap,
        rule: RetrievalRule {
            min_score: 0.0,
            placement: Placement::AsIs,
            diversity: 0.0,
        },
        kappa: 0.0,
        count: &count,
        reuse: Reuse {
            cached: &|_| 0,
            ms_per_token: 0.0,
            edge_value_ms: 0.0,
        },
    }
}

fn kept_ids(selection: &Selection) -> Vec<&str> {
    selection
        .kept
        .iter()
        .map(|kept| &*kept.citation.id)
        .collect()
}

/// Numbers that look random and are the same every time (SplitMix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn unit(&mut self) -> f64 {
        self.below(1 << 20) as f64 / f64::from(1 << 20)
    }
}
