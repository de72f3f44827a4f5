//! The store stays within its bytes.

use kv_store::{BlockStore, NotRead, StoreError};

use crate::folder::{Folder, put, read};

fn bytes(folder: &Folder) -> u64 {
    let files = folder.files();
    let len = |file: &std::path::PathBuf| file.metadata().expect("a file").len();
    files.iter().map(len).sum()
}

#[test]
fn the_oldest_blocks_make_room() {
    let folder = Folder::of(30_000);
    let mut store = folder.open();
    for block in 0..200 {
        put(&mut store, block);
    }
    store.close();
    assert!(bytes(&folder) <= 30_000, "{} bytes", bytes(&folder));
    let mut store = folder.open();
    assert_eq!(store.stats().bytes, bytes(&folder));
    let found: Vec<u8> = (0..200)
        .filter(|&block| read(&mut store, block).is_ok())
        .collect();
    assert!(found.len() >= 20, "{found:?}");
    assert_eq!(*found.last().expect("some"), 199);
    let newest: Vec<u8> = (found[0]..200).collect();
    assert_eq!(found, newest, "no holes");
    assert_eq!(read(&mut store, 0), Err(NotRead::Absent));
}

#[test]
fn blocks_that_are_deleted_while_they_are_read_are_absent() {
    let folder = Folder::of(30_000);
    let mut store = folder.open();
    for block in 0..250u8 {
        put(&mut store, block);
        let earlier = block.saturating_sub(20);
        assert_ne!(read(&mut store, earlier), Err(NotRead::Damaged));
    }
    assert_eq!(store.stats().damaged, 0);
}

#[test]
fn a_smaller_store_forgets_what_no_longer_fits() {
    let mut folder = Folder::new();
    folder.write(0..100);
    folder.max_bytes = 10_000;
    drop(folder.open());
    assert!(bytes(&folder) <= 10_000, "{} bytes", bytes(&folder));
}

#[test]
fn a_cleared_store_is_empty_and_goes_on() {
    let folder = Folder::new();
    let mut store = folder.open();
    for block in 0..20 {
        put(&mut store, block);
    }
    store.clear();
    assert_eq!((store.stats().blocks, store.stats().bytes), (0, 0));
    assert!(folder.files().is_empty());
    put(&mut store, 3);
    store.close();
    let mut store = folder.open();
    assert_eq!(store.stats().blocks, 1);
    assert_eq!(read(&mut store, 3), Ok(()));
}

#[test]
fn one_block_is_the_least() {
    let folder = Folder::of(1_000);
    let error = BlockStore::open(&folder.config()).err();
    assert!(
        matches!(error, Some(StoreError::TooSmall { .. })),
        "{error:?}"
    );
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a folder");
    let mut config = folder.config();
    (config.folder, config.max_bytes) = (file, 1 << 20);
    let error = BlockStore::open(&config).err();
    assert!(
        matches!(error, Some(StoreError::Folder { .. })),
        "{error:?}"
    );
}
