//! Files, folders and bounds.

use memory::{FileError, Limits, MemoryPath, Namespace, Store};

use crate::{alice, bob, namespace, store};

fn path(below: &str) -> MemoryPath {
    MemoryPath::below_root(below).unwrap()
}

fn write(store: &Store, below: &str, text: &str) -> Result<bool, FileError> {
    store.write_file(&alice(), &namespace(), &path(below), text)
}

#[test]
fn files_are_written_and_replaced() {
    let store = store();
    assert!(write(&store, "a/b.md", "one\r\n").unwrap());
    assert!(!write(&store, "a/b.md", "two\0").unwrap());
    let read = |below| store.read_file(&alice(), &namespace(), &path(below));
    assert_eq!(read("a/b.md").unwrap(), "two\0");
    assert!(matches!(read("a"), Err(FileError::IsFolder(_))));
    assert!(matches!(read(""), Err(FileError::IsFolder(_))));
    assert!(matches!(read("a/b"), Err(FileError::NotFound(_))));
    assert!(matches!(read("a/b.md/c"), Err(FileError::NotFound(_))));
}

#[test]
fn tenants_and_namespaces_do_not_meet() {
    let store = store();
    write(&store, "a.md", "mine").unwrap();
    let other: Namespace = "team".parse().unwrap();
    let longer: Namespace = "team-a2".parse().unwrap();
    for (tenant, namespace) in [(bob(), namespace()), (alice(), other), (alice(), longer)] {
        let read = store.read_file(&tenant, &namespace, &path("a.md"));
        assert!(matches!(read, Err(FileError::NotFound(_))));
        let removed = store.remove_files(&tenant, &namespace, &path("a.md"));
        assert!(matches!(removed, Err(FileError::NotFound(_))));
        assert_eq!(store.search(&tenant, &namespace, "mine", 9).unwrap(), []);
    }
}

#[test]
fn file_and_folder_of_one_name_cannot_be() {
    let store = store();
    write(&store, "a", "file").unwrap();
    let inside = write(&store, "a/b/c", "x").unwrap_err();
    assert!(
        matches!(&inside, FileError::InFile { file, .. } if file == "/memories/a"),
        "{inside}"
    );
    write(&store, "d/e", "x").unwrap();
    assert!(matches!(
        write(&store, "d", "x"),
        Err(FileError::IsFolder(_))
    ));
    assert!(matches!(write(&store, "", "x"), Err(FileError::Root)));
    // A neighbour in the order of the keys is no folder.
    write(&store, "d.md", "x").unwrap();
    write(&store, "d-e/f", "x").unwrap();
    assert_eq!(
        store
            .remove_files(&alice(), &namespace(), &path("d"))
            .unwrap(),
        1
    );
    assert!(
        store
            .read_file(&alice(), &namespace(), &path("d.md"))
            .is_ok()
    );
    assert!(
        store
            .read_file(&alice(), &namespace(), &path("d-e/f"))
            .is_ok()
    );
}

#[test]
fn bounds_refuse_growth_and_nothing_else() {
    let limits = Limits {
        total_bytes: 60,
        offloaded_bytes: 20,
        namespace_bytes: 40,
        namespace_files: 3,
        file_bytes: 25,
    };
    let store = Store::in_memory(limits).unwrap();
    let refused = write(&store, "a", &"x".repeat(26)).unwrap_err();
    assert!(
        matches!(
            refused,
            FileError::TooLarge {
                bytes: 26,
                limit: 25,
                ..
            }
        ),
        "{refused}"
    );
    write(&store, "a", &"x".repeat(25)).unwrap();
    write(&store, "b", &"x".repeat(13)).unwrap();
    // 26 + 14 bytes with the paths: full.
    let refused = write(&store, "c", "").unwrap_err();
    assert!(
        matches!(refused, FileError::NamespaceFull { limit: 40 }),
        "{refused}"
    );
    write(&store, "a", "").unwrap();
    write(&store, "c", "").unwrap();
    let refused = write(&store, "d", "").unwrap_err();
    assert!(
        matches!(refused, FileError::TooManyFiles { limit: 3 }),
        "{refused}"
    );
    assert_eq!(store.total_bytes().unwrap(), 16);
    // Offloaded text counts against the same total.
    store.put(&alice(), &"y".repeat(20)).unwrap();
    store.put(&bob(), &"y".repeat(20)).unwrap();
    let refused = write(&store, "a", "xxxxx").unwrap_err();
    assert!(
        matches!(refused, FileError::StoreFull { limit: 60 }),
        "{refused}"
    );
    assert_eq!(
        store.read_file(&alice(), &namespace(), &path("a")).unwrap(),
        ""
    );
    store
        .remove_files(&alice(), &namespace(), &path("b"))
        .unwrap();
    write(&store, "a", "xxxxx").unwrap();
    assert_eq!(store.total_bytes().unwrap(), 47);
}

#[test]
fn total_is_what_is_there() {
    let store = store();
    let mut state = 5_u64;
    let mut model = std::collections::BTreeMap::new();
    for _ in 0..200 {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let draw = (state >> 33) as usize;
        let below = ["a", "b/c", "b/d", "e/f/g"][draw % 4];
        if (draw / 4).is_multiple_of(3) {
            let removed = store.remove_files(&alice(), &namespace(), &path(below));
            assert_eq!(removed.is_ok(), model.remove(below).is_some());
        } else {
            let text = "x".repeat(draw / 12 % 50);
            assert_eq!(
                write(&store, below, &text).unwrap(),
                !model.contains_key(below)
            );
            model.insert(below, text);
        }
        let expected: usize = model
            .iter()
            .map(|(path, text)| path.len() + text.len())
            .sum();
        assert_eq!(store.total_bytes().unwrap(), expected as u64);
    }
}
