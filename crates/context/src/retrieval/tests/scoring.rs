//! Relevance, density and references.

use super::super::words::{shingles, vocabulary, words};
use super::*;

fn near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-12,
        "{found} is not {expected}"
    );
}

#[test]
fn bm25_is_the_formula() {
    let documents = [
        document("a", "red fish blue fish", None),
        document("b", "red car", None),
        document("c", "green grass grows here now today", None),
    ];
    let selection = select_documents(&input(&documents, "Red FISH", 1000)).unwrap();
    // Three texts, 4 words on average; red is in two of them, fish in one.
    let (red, fish) = ((1.0 + 1.5 / 2.5_f64).ln(), (1.0 + 2.5 / 1.5_f64).ln());
    let term = |count: f64, words: f64| count * 2.2 / (count + 1.2 * (0.25 + 0.75 * words / 4.0));
    let a = red * term(1.0, 4.0) + fish * term(2.0, 4.0);
    let b = red * term(1.0, 2.0);
    near(selection.kept[0].relevance, 1.0);
    near(selection.kept[1].relevance, b / a);
    assert_eq!(selection.kept[0].scored_by, Scorer::Bm25);
    assert_eq!(selection.dropped[0].reason, DropReason::BelowMinScore);
    near(selection.dropped[0].relevance, 0.0);
}

#[test]
fn best_of_unrelated_texts_is_not_relevant() {
    let documents = [
        document("a", "how old it is", None),
        document("b", "the weather was fine", None),
    ];
    let selection = select_documents(&input(
        &documents,
        "how do I bake bread without yeast tomorrow",
        1000,
    ))
    .unwrap();
    // "how" weighs ln 2; the seven others, which are nowhere, ln 6 each.
    let (found, all) = (2.0_f64.ln(), 2.0_f64.ln() + 7.0 * 6.0_f64.ln());
    near(selection.kept[0].relevance, found / (0.25 * all));
    assert!(selection.kept[0].relevance < 0.25);
}

#[test]
fn score_of_the_client_wins() {
    let documents = [
        document("a", "red fish", Some(0.3)),
        document("b", "red fish soup", None),
    ];
    let selection = select_documents(&input(&documents, "red fish", 1000)).unwrap();
    near(selection.kept[0].relevance, 0.3);
    assert_eq!(selection.kept[0].scored_by, Scorer::Client);
    assert_eq!(selection.kept[1].scored_by, Scorer::Bm25);
}

#[test]
fn words_are_split_in_any_script() {
    let same = |a: &str, b: &str| assert_eq!(words(a), words(b), "{a:?} {b:?}");
    same("Straße, ÉTÉ; parse_config(7)", "straße été PARSE config 7");
    same("日本語", "日 本 語");
    same("Привет-мир", "привет МИР");
    same("", "...  --\n");
    assert_eq!(words("parseConfig x9").len(), 2);
    assert_ne!(words("ab c"), words("a bc"));
    assert_eq!(vocabulary("b a b A").len(), 2);
    assert_eq!(shingles(&words("a b c d"), 5).len(), 1);
    assert_eq!(shingles(&words("a b c d e f"), 5).len(), 2);
    assert!(shingles(&[], 5).is_empty());
}

#[test]
fn density_falls_with_repetition_and_rises_with_names() {
    let prose = "the quick brown fox jumps over the lazy dog today";
    let names = "open src/pay/ledger_k3.rs at 214, error E4471 in retryLimit of pool_9";
    let repeated = "again and again and again and again and again and";
    near(text_density(prose, 10), 0.5);
    // again-and-again and and-again-and, of eight sequences.
    near(text_density(repeated, 10), 0.5 * 2.0 / 8.0);
    assert!(text_density(names, 20) > 0.9, "{}", text_density(names, 20));
    near(text_density("=====\n\n=====", 40), 0.0);
    assert!(text_density(prose, 400) < 0.05);
    for text in [prose, names, repeated, "", "x"] {
        let density = text_density(text, 0);
        assert!((0.0..=1.0).contains(&density), "{text}: {density}");
    }
}

fn features(texts: &[&str], query: &str) -> Vec<TextFeatures> {
    let segments: Vec<SegmentText<'_>> = texts
        .iter()
        .map(|text| SegmentText {
            text,
            tokens: count(text),
        })
        .collect();
    text_features(&segments, query)
}

#[test]
fn references_count_for_who_brought_a_name_in_and_for_who_had_it_last() {
    let found = features(
        &[
            "please look at the project",
            "fn open_ledger() in src/pay/ledger.rs",
            "I will change ledger.rs first",
            "nothing to see",
            "then ledger.rs again",
        ],
        "",
    );
    let referenced: Vec<f64> = found.iter().map(|f| f.referenced).collect();
    assert_eq!(referenced, [0.0, 0.75, 0.5, 0.0, 0.0]);
}

#[test]
fn relevance_is_the_weight_of_the_words_that_are_there() {
    let found = features(
        &["the ledger", "the weather", "the retry", "the sun"],
        "the ledger retry",
    );
    // "the" is in all four: ln(1 + 0.5 / 4.5); the others are in one: ln(1 + 3.5 / 1.5).
    let (common, rare) = ((1.0 + 0.5 / 4.5_f64).ln(), (1.0 + 3.5 / 1.5_f64).ln());
    let all = common + 2.0 * rare;
    near(found[0].relevance, (common + rare) / all);
    near(found[1].relevance, common / all);
    let more = features(&["the ledger retry", "the weather"], "the ledger retry");
    near(more[0].relevance, 1.0);
    near(features(&["the ledger"], "")[0].relevance, 0.0);
}

#[test]
fn same_input_same_features() {
    let mut draws = Draws(11);
    let texts: Vec<String> = (0..300)
        .map(|_| {
            let words = (0..20).map(|_| format!("name_{} ", draws.below(500)));
            words.collect()
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let found = features(&texts, "name_3 name_44");
    assert_eq!(found, features(&texts, "name_3 name_44"));
    for f in found {
        for value in [f.relevance, f.referenced, f.density] {
            assert!((0.0..=1.0).contains(&value), "{f:?}");
        }
    }
}

#[test]
fn long_words_are_the_same_in_any_case() {
    for (a, b) in [
        (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            "abcdefghijklmnopqrstuvwxyz0123456789",
        ),
        ("ÄABCDEFGHIJKLMN", "äabcdefghijklmn"),
        ("ABCDEFGHÄIJKLMNOPQR", "abcdefghäijklmnopqr"),
    ] {
        assert_eq!(words(a).len(), 1);
        assert_eq!(words(a), words(b));
    }
    // No prefix of a word is the word, wherever blocks of eight end.
    let word = "abcdefghijklmnopqrstuvwxyz";
    let mut prefixes: Vec<u64> = (1..=word.len())
        .flat_map(|end| words(&word[..end]))
        .collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    assert_eq!(prefixes.len(), word.len());
}
