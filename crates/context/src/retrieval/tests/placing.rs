//! Where the chosen documents stand.

use super::*;

/// Six documents whose ranks are 4, 1, 6, 2, 5, 3, and whose ids are in reverse.
const SCORES: [(&str, f64); 6] = [
    ("f", 0.5),
    ("e", 0.9),
    ("d", 0.3),
    ("c", 0.8),
    ("b", 0.4),
    ("a", 0.6),
];

const TEXTS: [&str; 6] = [
    "aa1 bb1", "cc1 dd1", "ee1 ff1", "gg1 hh1", "ii1 jj1", "kk1 ll1",
];

fn six() -> Vec<Document<'static>> {
    let scored = SCORES.iter().zip(TEXTS);
    scored
        .map(|((id, score), text)| document(id, text, Some(*score)))
        .collect()
}

fn order(
    documents: &[Document<'_>],
    placement: Placement,
    reuse: Reuse<'_>,
) -> (Placement, String) {
    let mut input = input(documents, "", 1000);
    input.rule.placement = placement;
    let selection = select_documents(&RetrievalInput { reuse, ..input }).unwrap();
    (selection.placement, kept_ids(&selection).concat())
}

const NO_REUSE: Reuse<'static> = Reuse {
    cached: &|_| 0,
    ms_per_token: 1.0,
    edge_value_ms: 1.0,
};

#[test]
fn rules_give_their_orders() {
    let six = six();
    let check = |rule, expected: &str| {
        assert_eq!(order(&six, rule, NO_REUSE), (rule, expected.to_owned()));
    };
    check(Placement::AsIs, "fedcba");
    // Ranks 1, 3, 5, then 6, 4, 2.
    check(Placement::Edges, "eabdfc");
    check(Placement::Head, "ecafbd");
    check(Placement::Tail, "dbface");
    check(Placement::Canonical, "abcdef");
}

#[test]
fn groups_stand_together() {
    let mut six = six();
    for (document, group) in six
        .iter_mut()
        .zip([None, Some("y"), Some("x"), None, Some("x"), None])
    {
        document.group = group;
    }
    assert_eq!(order(&six, Placement::Canonical, NO_REUSE).1, "acfbde");
}

#[test]
fn auto_weighs_cached_tokens_against_the_ends() {
    let six = six();
    // The canonical order begins with document 5; only it has cached tokens.
    let cached = |order: &[usize]| if order[0] == 5 { 8 } else { 0 };
    let auto = |edge_value_ms| {
        let reuse = Reuse {
            cached: &cached,
            ms_per_token: 0.5,
            edge_value_ms,
        };
        order(&six, Placement::Auto, reuse).0
    };
    // Middle half of 12 tokens: one half of the second, the third, the fourth and one half of the
    // fifth document. Canonical: (0.4 / 2 + 0.8 + 0.3 + 0.9 / 2) of 3.5; edges:
    // (0.6 / 2 + 0.4 + 0.3 + 0.5 / 2) of 3.5. It moves 0.5 / 3.5 and saves 4 ms.
    let even = 4.0 / (0.5 / 3.5);
    assert_eq!(auto(even * 0.99), Placement::Canonical);
    assert_eq!(auto(even * 1.01), Placement::Edges);
    assert_eq!(order(&six, Placement::Auto, NO_REUSE).0, Placement::Edges);
}

#[test]
fn same_documents_have_one_canonical_order() {
    let mut draws = Draws(3);
    let mut six = six();
    for _ in 0..50 {
        let (a, b) = (draws.below(6) as usize, draws.below(6) as usize);
        six.swap(a, b);
        assert_eq!(order(&six, Placement::Canonical, NO_REUSE).1, "abcdef");
    }
}
