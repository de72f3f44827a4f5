//! The memory tool's commands and what the model reads.

use memory::{Command, CommandError, FileError, Limits, Store};

use crate::{alice, namespace, store};

fn run(store: &Store, command: &Command) -> Result<String, CommandError> {
    store.run(&alice(), &namespace(), command)
}

fn view(path: &str) -> Command {
    Command::View {
        path: path.into(),
        view_range: None,
    }
}

fn lines(path: &str, first: i64, last: i64) -> Command {
    Command::View {
        path: path.into(),
        view_range: Some((first, last)),
    }
}

fn create(path: &str, text: &str) -> Command {
    Command::Create {
        path: path.into(),
        file_text: text.into(),
    }
}

fn replace(path: &str, old: &str, new: &str) -> Command {
    Command::StrReplace {
        path: path.into(),
        old_str: old.into(),
        new_str: new.into(),
    }
}

fn insert(path: &str, line: i64, text: &str) -> Command {
    Command::Insert {
        path: path.into(),
        insert_line: line,
        insert_text: text.into(),
    }
}

fn delete(path: &str) -> Command {
    Command::Delete { path: path.into() }
}

fn rename(old: &str, new: &str) -> Command {
    Command::Rename {
        old_path: old.into(),
        new_path: new.into(),
    }
}

/// The text of a file, as a client reads it.
fn text(store: &Store, path: &str) -> String {
    store
        .read_file(&alice(), &namespace(), &path.parse().unwrap())
        .unwrap()
}

#[test]
fn view_shows_numbered_lines() {
    let store = store();
    run(&store, &create("/memories/a.md", "one\ntwo\n\nfour")).unwrap();
    assert_eq!(
        run(&store, &view("/memories/a.md")).unwrap(),
        "Content of /memories/a.md with line numbers:\n     1\tone\n     2\ttwo\n     3\t\n     \
         4\tfour\n"
    );
    let shown = |first, last| {
        let shown = run(&store, &lines("/memories/a.md", first, last)).unwrap();
        shown
            .lines()
            .skip(1)
            .map(|line| line[7..].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(2, 3), ["two", ""]);
    assert_eq!(shown(4, 4), ["four"]);
    assert_eq!(shown(3, -1), ["", "four"]);
    for (first, last) in [
        (0, 2),
        (-1, 2),
        (3, 2),
        (1, 5),
        (5, -1),
        (1, -2),
        (i64::MIN, i64::MAX),
    ] {
        let error = run(&store, &lines("/memories/a.md", first, last)).unwrap_err();
        assert!(
            matches!(error, CommandError::ViewRange { lines: 4, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("`view_range`"), "{error}");
    }
    run(&store, &create("/memories/empty", "")).unwrap();
    assert_eq!(
        run(&store, &view("/memories/empty"))
            .unwrap()
            .lines()
            .count(),
        1
    );
}

#[test]
fn view_lists_two_levels_of_a_folder() {
    let store = store();
    assert!(
        run(&store, &view("/memories"))
            .unwrap()
            .ends_with("\n0B\t/memories\n")
    );
    for (path, bytes) in [
        ("/memories/z.md", 1),
        ("/memories/b/c.md", 1536),
        ("/memories/b/d/e.md", 2048),
        ("/memories/b.md", 10),
        ("/memories/.hidden", 1),
        ("/memories/b/.git/x", 1),
        ("/memories/node_modules/x/y", 1),
    ] {
        run(&store, &create(path, &"x".repeat(bytes))).unwrap();
    }
    let listing = run(&store, &view("/memories/")).unwrap();
    let listed: Vec<&str> = listing.lines().skip(1).collect();
    assert_eq!(
        listed,
        [
            "3.5K\t/memories",
            "10B\t/memories/b.md",
            "3.5K\t/memories/b/",
            "1.5K\t/memories/b/c.md",
            "2.0K\t/memories/b/d/",
            "1B\t/memories/z.md",
        ]
    );
    let listing = run(&store, &view("/memories/b")).unwrap();
    assert!(
        listing.ends_with("2.0K\t/memories/b/d/\n2.0K\t/memories/b/d/e.md\n"),
        "{listing}"
    );
    let error = run(&store, &lines("/memories/b", 1, 2)).unwrap_err();
    assert!(matches!(error, CommandError::ViewRangeOfFolder(_)));
}

#[test]
fn create_never_replaces() {
    let store = store();
    let answer = run(&store, &create("/memories/a/b.md", "one")).unwrap();
    assert_eq!(answer, "The file /memories/a/b.md was created.");
    let error = run(&store, &create("/memories/a/b.md", "two")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The path /memories/a/b.md exists already."
    );
    assert_eq!(text(&store, "/memories/a/b.md"), "one");
    assert!(run(&store, &create("/memories/a", "x")).is_err());
    assert!(run(&store, &create("/memories/a/b.md/c", "x")).is_err());
    assert!(run(&store, &create("/memories", "x")).is_err());
}

#[test]
fn str_replace_needs_exactly_one_place() {
    let store = store();
    run(&store, &create("/memories/a.md", "red\nblue\nred aaa\nü")).unwrap();
    let answer = run(&store, &replace("/memories/a.md", "blue", "green\nblack")).unwrap();
    assert!(
        answer.contains("     2\tgreen\n     3\tblack\n"),
        "{answer}"
    );
    assert_eq!(
        text(&store, "/memories/a.md"),
        "red\ngreen\nblack\nred aaa\nü"
    );
    let error = run(&store, &replace("/memories/a.md", "red", "x")).unwrap_err();
    assert!(
        matches!(&error, CommandError::Ambiguous { times: 2, lines, .. } if *lines == [1, 4]),
        "{error}"
    );
    assert!(
        error.to_string().contains("lines [1, 4]. Make it unique"),
        "{error}"
    );
    // Overlapping places are two.
    let error = run(&store, &replace("/memories/a.md", "aa", "x")).unwrap_err();
    assert!(
        matches!(error, CommandError::Ambiguous { times: 2, .. }),
        "{error}"
    );
    let error = run(&store, &replace("/memories/a.md", "Red", "x")).unwrap_err();
    assert!(matches!(error, CommandError::Absent { .. }), "{error}");
    let error = run(&store, &replace("/memories/a.md", "", "x")).unwrap_err();
    assert!(matches!(error, CommandError::EmptyOldText), "{error}");
    run(&store, &replace("/memories/a.md", "\nü", "")).unwrap();
    assert_eq!(text(&store, "/memories/a.md"), "red\ngreen\nblack\nred aaa");
    let error = run(&store, &replace("/memories/none", "a", "b")).unwrap_err();
    assert_eq!(error.to_string(), "The path /memories/none does not exist.");
    assert!(run(&store, &replace("/memories", "a", "b")).is_err());
}

#[test]
fn insert_puts_whole_lines() {
    let check = |before: &str, line, inserted: &str, after: &str| {
        let store = store();
        run(&store, &create("/memories/a", before)).unwrap();
        run(&store, &insert("/memories/a", line, inserted)).unwrap();
        assert_eq!(text(&store, "/memories/a"), after);
    };
    check("one\ntwo\n", 0, "zero", "zero\none\ntwo\n");
    check("one\ntwo\n", 1, "and\nmore\n", "one\nand\nmore\ntwo\n");
    check("one\ntwo\n", 2, "three", "one\ntwo\nthree\n");
    check("one\ntwo", 2, "three", "one\ntwo\nthree\n");
    check("", 0, "first", "first\n");
    check("a\r\nb\r\n", 1, "x\r\n", "a\r\nx\r\nb\r\n");
    let store = store();
    run(&store, &create("/memories/a", "one\ntwo\n")).unwrap();
    for line in [-1, 3, i64::MAX, i64::MIN] {
        let error = run(&store, &insert("/memories/a", line, "x")).unwrap_err();
        assert!(
            matches!(error, CommandError::InsertLine { lines: 2, .. }),
            "{error}"
        );
    }
    let answer = run(&store, &insert("/memories/a", 1, "x\ny")).unwrap();
    assert!(
        answer.contains("     2\tx\n     3\ty\n     4\ttwo\n"),
        "{answer}"
    );
}

#[test]
fn delete_takes_folders_with_all_that_is_in_them() {
    let store = store();
    for path in [
        "/memories/a/b",
        "/memories/a/c/d",
        "/memories/ab",
        "/memories/z",
    ] {
        run(&store, &create(path, "x")).unwrap();
    }
    assert_eq!(
        run(&store, &delete("/memories/a")).unwrap(),
        "/memories/a was removed."
    );
    assert!(run(&store, &view("/memories/a")).is_err());
    assert_eq!(text(&store, "/memories/ab"), "x");
    let error = run(&store, &delete("/memories/a")).unwrap_err();
    assert!(
        matches!(error, CommandError::File(FileError::NotFound(_))),
        "{error}"
    );
    let error = run(&store, &delete("/memories")).unwrap_err();
    assert!(
        matches!(error, CommandError::File(FileError::Root)),
        "{error}"
    );
    assert_eq!(text(&store, "/memories/z"), "x");
}

#[test]
fn rename_moves_files_and_folders() {
    let store = store();
    for path in ["/memories/a/b", "/memories/a/c/d", "/memories/z"] {
        run(&store, &create(path, path)).unwrap();
    }
    run(&store, &rename("/memories/a", "/memories/new/place")).unwrap();
    assert_eq!(text(&store, "/memories/new/place/c/d"), "/memories/a/c/d");
    assert!(run(&store, &view("/memories/a")).is_err());
    run(&store, &rename("/memories/z", "/memories/a")).unwrap();
    assert_eq!(text(&store, "/memories/a"), "/memories/z");
    let refused = |old: &str, new: &str| match run(&store, &rename(old, new)) {
        Err(CommandError::File(error)) => error,
        other => panic!("{old} to {new}: {other:?}"),
    };
    assert!(matches!(
        refused("/memories/none", "/memories/x"),
        FileError::NotFound(_)
    ));
    assert!(matches!(
        refused("/memories/a", "/memories/new"),
        FileError::Exists(_)
    ));
    assert!(matches!(
        refused("/memories/a", "/memories/a"),
        FileError::Exists(_)
    ));
    assert!(matches!(
        refused("/memories/new", "/memories/a"),
        FileError::Exists(_)
    ));
    assert!(matches!(
        refused("/memories/new", "/memories/new/x"),
        FileError::IntoItself { .. }
    ));
    assert!(matches!(
        refused("/memories/a", "/memories/a/x"),
        FileError::IntoItself { .. }
    ));
    assert!(matches!(
        refused("/memories", "/memories/x"),
        FileError::Root
    ));
    assert!(matches!(
        refused("/memories/a", "/memories"),
        FileError::Root
    ));
    let deep = format!("/memories/{}", ["x"; 16].join("/"));
    assert!(matches!(
        refused("/memories/new", &deep),
        FileError::TooDeep(_)
    ));
    // Nothing was moved by what was refused.
    assert_eq!(text(&store, "/memories/new/place/b"), "/memories/a/b");
}

#[test]
fn parameter_that_is_no_path_is_named() {
    let store = store();
    for (command, parameter) in [
        (view("/memories/../etc/passwd"), "`path`"),
        (create("/etc/passwd", "x"), "`path`"),
        (replace("/memories/%2e%2e/x", "a", "b"), "`path`"),
        (insert("relative", 0, "x"), "`path`"),
        (delete("/memories/a\0"), "`path`"),
        (rename("/memories/..\\x", "/memories/y"), "`old_path`"),
        (rename("/memories/x", "/tmp/y"), "`new_path`"),
    ] {
        let error = run(&store, &command).unwrap_err();
        assert!(matches!(error, CommandError::Path { .. }) && !error.is_storage());
        assert!(error.to_string().contains(parameter), "{error}");
    }
}

#[test]
fn refused_edit_leaves_the_file() {
    let limits = Limits {
        file_bytes: 10,
        ..Limits::default()
    };
    let store = Store::in_memory(limits).unwrap();
    run(&store, &create("/memories/a", "123456789\n")).unwrap();
    assert!(run(&store, &insert("/memories/a", 0, "x")).is_err());
    assert!(run(&store, &replace("/memories/a", "1", "12")).is_err());
    assert_eq!(text(&store, "/memories/a"), "123456789\n");
    run(&store, &replace("/memories/a", "12", "x")).unwrap();
    assert_eq!(text(&store, "/memories/a"), "x3456789\n");
}
