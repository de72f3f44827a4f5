//! What is a path and what is not.

use memory::{MalformedPath, MemoryPath, Namespace};

#[test]
fn paths_begin_at_the_root() {
    for (text, expected) in [
        ("/memories", "/memories"),
        ("/memories/", "/memories"),
        ("/memories/a.md", "/memories/a.md"),
        ("/memories/a b/ü.md/", "/memories/a b/ü.md"),
        ("/memories/..a/b..c/...", "/memories/..a/b..c/..."),
        ("/memories/100%", "/memories/100%"),
    ] {
        assert_eq!(text.parse::<MemoryPath>().unwrap().to_string(), expected);
    }
    assert!("/memories".parse::<MemoryPath>().unwrap().is_root());
    let below = MemoryPath::below_root("notes/a.md").unwrap();
    assert_eq!(below, "/memories/notes/a.md".parse().unwrap());
}

#[test]
fn everything_that_could_lead_elsewhere_is_refused() {
    use MalformedPath::{Character, Empty, Outside, TooLong, Traversal};
    let long = format!("/memories/{}", "a/".repeat(520));
    let deep = format!("/memories/{}", ["a"; 17].join("/"));
    let wide = format!("/memories/{}", "a".repeat(256));
    for (text, expected) in [
        ("", Outside),
        ("memories/a", Outside),
        ("/", Outside),
        ("/etc/passwd", Outside),
        ("/memories.md", Outside),
        ("/memoriesx/a", Outside),
        ("../memories/a", Outside),
        ("/Memories/a", Outside),
        ("/memories/..", Traversal),
        ("/memories/../etc/passwd", Traversal),
        ("/memories/a/../../b", Traversal),
        ("/memories/./a", Traversal),
        ("/memories/%2e%2e/a", Traversal),
        ("/memories/%2E./a", Traversal),
        ("/memories/a%2fb", Traversal),
        ("/memories/..%5Cb", Traversal),
        ("/memories/%252e%252e/a", Traversal),
        ("/memories/a%00.md", Traversal),
        ("/memories/a\0.md", Character),
        ("/memories/..\\b", Character),
        ("/memories/a\n.md", Character),
        ("/memories//a", Empty),
        ("/memories/a//", Empty),
        ("/memories/ /a", Empty),
        (&long, TooLong),
        (&deep, TooLong),
        (&wide, TooLong),
    ] {
        assert_eq!(text.parse::<MemoryPath>(), Err(expected), "{text:?}");
    }
    assert_eq!(MemoryPath::below_root("/etc/passwd"), Err(Empty));
    assert_eq!(MemoryPath::below_root("../a"), Err(Traversal));
}

#[test]
fn namespaces_are_plain_names() {
    for name in ["a", "team-a", "Team_1.notes", "0", &"x".repeat(128)] {
        assert_eq!(name.parse::<Namespace>().unwrap().as_str(), name);
    }
    for name in [
        "",
        ".",
        "..",
        ".a",
        "-a",
        "a/b",
        "a\0b",
        "ä",
        "a b",
        "a%2f",
        &"x".repeat(129),
    ] {
        assert!(name.parse::<Namespace>().is_err(), "{name:?}");
    }
}
