//! Finding files by words.

use memory::{MemoryPath, Store};

use crate::{alice, namespace, store};

fn filled() -> Store {
    let store = store();
    for (below, text) in [
        (
            "ports.md",
            "The service listens\nThe port is 9017 since March\nport 8123 is old",
        ),
        ("people.md", "The boss is Ada\nthe cook is Bob"),
        ("deep/retry.md", "The retry limit is 7"),
        ("Straße.md", ""),
    ] {
        let path = MemoryPath::below_root(below).unwrap();
        store
            .write_file(&alice(), &namespace(), &path, text)
            .unwrap();
    }
    store
}

fn found(query: &str, most: usize) -> Vec<(String, usize, String)> {
    let found = filled()
        .search(&alice(), &namespace(), query, most)
        .unwrap();
    assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
    found
        .into_iter()
        .map(|f| (f.path.to_string(), f.line, f.text))
        .collect()
}

#[test]
fn rare_words_count_for_more() {
    let all = found("the RETRY port", 9);
    let paths: Vec<&str> = all.iter().map(|(path, ..)| path.as_str()).collect();
    // Both have "the" and one word that no other file has; the path decides.
    assert_eq!(
        paths,
        [
            "/memories/deep/retry.md",
            "/memories/ports.md",
            "/memories/people.md"
        ]
    );
    assert_eq!(found("the RETRY port", 1).len(), 1);
}

#[test]
fn best_line_is_shown() {
    assert_eq!(
        found("port 9017", 9),
        [(
            "/memories/ports.md".into(),
            2,
            "The port is 9017 since March".into()
        )]
    );
    assert_eq!(
        found("straße", 9),
        [("/memories/Straße.md".into(), 0, String::new())]
    );
}

#[test]
fn weight_is_the_formula() {
    let found = filled()
        .search(&alice(), &namespace(), "retry the", 1)
        .unwrap();
    // Four files; one has "retry", three have "the".
    let expected = 5.0_f64.ln() + (1.0 + 4.0 / 3.0_f64).ln();
    assert!((found[0].score - expected).abs() < 1e-12);
}

#[test]
fn nothing_is_found_by_nothing() {
    for query in ["", "...", "absent", "retr"] {
        assert_eq!(found(query, 9), [], "{query}");
    }
    assert_eq!(found("port", 0), []);
}
