//! In which order the chosen documents stand.
//!
//! Models read the ends of a long context better than its middle (Liu et al., "Lost in the
//! Middle", 2023), and a cache serves only prompts that begin alike. The two ask for different
//! orders.

use super::{Document, Reuse};
use crate::Placement;

/// A chosen document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranked {
    pub(super) document: usize,
    pub(super) relevance: f64,
    pub(super) tokens: usize,
}

/// The rule that was used, and the numbers of the documents in their order.
///
/// `Auto` is the canonical order if the additional tokens that the cache holds of it save more
/// time than it is worth not to move relevance from the ends into the middle half.
pub(super) fn place(
    chosen: &[Ranked],
    documents: &[Document<'_>],
    rule: Placement,
    reuse: &Reuse<'_>,
) -> (Placement, Vec<usize>) {
    let canonical = || canonical(chosen, documents);
    let (rule, order) = match rule {
        Placement::AsIs => {
            let mut order = chosen.to_vec();
            order.sort_unstable_by_key(|ranked| ranked.document);
            (Placement::AsIs, order)
        }
        Placement::Edges => (Placement::Edges, edges(chosen)),
        Placement::Head => (Placement::Head, by_rank(chosen)),
        Placement::Tail => {
            let mut order = by_rank(chosen);
            order.reverse();
            (Placement::Tail, order)
        }
        Placement::Canonical => (Placement::Canonical, canonical()),
        Placement::Auto => {
            let (edges, canonical) = (edges(chosen), canonical());
            let cached = |order| (reuse.cached)(&numbers(order)) as f64;
            let saved_ms = (cached(&canonical) - cached(&edges)) * reuse.ms_per_token;
            let moved = middle_share(&canonical) - middle_share(&edges);
            if saved_ms > reuse.edge_value_ms * moved.max(0.0) {
                (Placement::Canonical, canonical)
            } else {
                (Placement::Edges, edges)
            }
        }
    };
    (rule, numbers(&order))
}

fn numbers(order: &[Ranked]) -> Vec<usize> {
    order.iter().map(|ranked| ranked.document).collect()
}

/// The best first.
fn by_rank(chosen: &[Ranked]) -> Vec<Ranked> {
    let mut by_rank = chosen.to_vec();
    by_rank.sort_by(|a, b| {
        b.relevance
            .total_cmp(&a.relevance)
            .then(a.document.cmp(&b.document))
    });
    by_rank
}

/// Ranks 1, 3, 5 .. from the head, .. 6, 4, 2 at the tail.
fn edges(chosen: &[Ranked]) -> Vec<Ranked> {
    let by_rank = by_rank(chosen);
    let head = by_rank.iter().step_by(2);
    let mut tail: Vec<Ranked> = by_rank.iter().skip(1).step_by(2).copied().collect();
    tail.reverse();
    head.copied().chain(tail).collect()
}

/// By group and id: what requests have in common comes out the same.
fn canonical(chosen: &[Ranked], documents: &[Document<'_>]) -> Vec<Ranked> {
    let mut order = chosen.to_vec();
    order.sort_by_key(|ranked| {
        let document = &documents[ranked.document];
        (document.group, document.id)
    });
    order
}

/// The share of all relevance in the middle half of the tokens, 0 to 1.
fn middle_share(order: &[Ranked]) -> f64 {
    let all: f64 = order.iter().map(|ranked| ranked.tokens as f64).sum();
    let relevance: f64 = order.iter().map(|ranked| ranked.relevance).sum();
    let (from, to) = (0.25 * all, 0.75 * all);
    let mut start = 0.0;
    let mut middle = 0.0;
    for ranked in order {
        let tokens = ranked.tokens as f64;
        let inside = (start + tokens).min(to) - f64::max(start, from);
        if inside > 0.0 {
            middle += ranked.relevance * inside / tokens;
        }
        start += tokens;
    }
    if relevance > 0.0 {
        middle / relevance
    } else {
        0.0
    }
}
