//! What is on disk.

use std::thread;

use memory::{Handle, Limits, MemoryPath, OpenError, Store};

use crate::{alice, bob, namespace};

#[test]
fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("memory.redb");
    let path = MemoryPath::below_root("notes/a.md").unwrap();
    let handle = {
        let store = Store::open(&file, Limits::default()).unwrap();
        store
            .write_file(&alice(), &namespace(), &path, "note")
            .unwrap();
        let handle = store.put(&alice(), "text").unwrap().handle;
        store.restore(&alice(), &handle).unwrap().unwrap();
        // Uses are written with the next change.
        store.put(&bob(), "text").unwrap();
        handle
    };
    for _ in 0..2 {
        let store = Store::open(&file, Limits::default()).unwrap();
        assert_eq!(
            store.restore(&alice(), &handle).unwrap().as_deref(),
            Some("text")
        );
        assert_eq!(
            store.read_file(&alice(), &namespace(), &path).unwrap(),
            "note"
        );
        assert_eq!(store.total_bytes().unwrap(), 4 + 4 + 10 + 4);
    }
    let store = Store::open(&file, Limits::default()).unwrap();
    assert_eq!(store.uses_of(&alice(), &handle).unwrap(), Some(2));
}

#[test]
fn smaller_bounds_hold_from_the_next_change_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("memory.redb");
    let put = |limit, texts: &[&str]| {
        let limits = Limits {
            offloaded_bytes: limit,
            ..Limits::default()
        };
        let store = Store::open(&file, limits).unwrap();
        texts
            .iter()
            .map(|text| store.put(&alice(), text).unwrap().evicted)
            .sum::<u64>()
    };
    assert_eq!(put(100, &["aaaa", "bbbb", "cccc"]), 0);
    assert_eq!(put(9, &["dddd"]), 2);
}

#[test]
fn second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("memory.redb");
    let _first = Store::open(&file, Limits::default()).unwrap();
    let error = Store::open(&file, Limits::default()).unwrap_err();
    assert!(matches!(error, OpenError::Database { .. }), "{error}");
    assert!(error.to_string().contains("memory.redb"), "{error}");
}

#[test]
fn file_that_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("letter.txt");
    let letter = "Dear Sir or Madam, ".repeat(1000);
    std::fs::write(&file, &letter).unwrap();
    let error = Store::open(&file, Limits::default()).unwrap_err();
    assert!(matches!(error, OpenError::Database { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), letter);
    let nowhere = folder.path().join("no/such/folder/memory.redb");
    assert!(Store::open(&nowhere, Limits::default()).is_err());
}

#[test]
fn copy_of_an_open_store_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (folder.path().join("a.redb"), folder.path().join("b.redb"));
    let store = Store::open(&file, Limits::default()).unwrap();
    let texts: Vec<String> = (0..20)
        .map(|i| format!("text {i} ").repeat(i * 50))
        .collect();
    for text in &texts {
        store.put(&alice(), text).unwrap();
    }
    // As after a kill: nothing was closed.
    std::fs::copy(&file, &copy).unwrap();
    let restored = Store::open(&copy, Limits::default()).unwrap();
    for text in &texts {
        let handle = Handle::of(&alice(), text);
        assert_eq!(
            restored.restore(&alice(), &handle).unwrap().as_ref(),
            Some(text)
        );
    }
}

#[test]
fn readers_and_a_writer_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("memory.redb"), Limits::default()).unwrap();
    let handle = store.put(&alice(), "always there").unwrap().handle;
    let path = MemoryPath::below_root("counter").unwrap();
    store
        .write_file(&alice(), &namespace(), &path, "0 0")
        .unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let text = store.restore(&alice(), &handle).unwrap();
                    assert_eq!(text.as_deref(), Some("always there"));
                    let counter = store.read_file(&alice(), &namespace(), &path).unwrap();
                    let (a, b) = counter.split_once(' ').unwrap();
                    assert_eq!(a, b);
                }
            });
        }
        for i in 1..40 {
            store
                .write_file(&alice(), &namespace(), &path, &format!("{i} {i}"))
                .unwrap();
            store.put(&bob(), &format!("text {i}")).unwrap();
        }
    });
    assert_eq!(store.uses_of(&alice(), &handle).unwrap(), Some(801));
}
