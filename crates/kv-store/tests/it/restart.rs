//! What was written is there after a restart.

use kv_store::{NotRead, Put};

use crate::folder::{Folder, hash, put, read, tokens};

#[test]
fn blocks_survive_a_restart() {
    let folder = Folder::new();
    folder.write(0..50);
    folder.write(50..80);
    let mut store = folder.open();
    assert_eq!(store.stats().blocks, 80);
    for block in (0..80).rev() {
        assert_eq!(read(&mut store, block), Ok(()));
    }
    assert_eq!(store.stats().read, 80);
    assert_eq!(read(&mut store, 90), Err(NotRead::Absent));
}

#[test]
fn a_block_is_written_once() {
    let folder = Folder::new();
    let mut store = folder.open();
    assert_eq!(put(&mut store, 1), Put::Queued);
    // On its way or there: either way it is known.
    assert_eq!(put(&mut store, 1), Put::Known);
    store.close();
    let mut store = folder.open();
    assert_eq!(put(&mut store, 1), Put::Known);
    assert_eq!(store.stats().written, 0);
}

#[test]
fn bytes_that_cannot_be_had_leave_nothing_behind() {
    let folder = Folder::new();
    let mut store = folder.open();
    let outcome = store.put(&hash(1), &tokens(1), |_| false);
    assert_eq!(outcome, Put::Unread);
    assert!(!store.contains(&hash(1)));
    assert_eq!(put(&mut store, 1), Put::Queued, "it is not on its way");
}

#[test]
fn two_stores_in_one_folder_do_not_overwrite_each_other() {
    let folder = Folder::new();
    let (mut one, mut two) = (folder.open(), folder.open());
    for block in 0..20 {
        put(&mut one, block);
        put(&mut two, 100 + block);
    }
    one.close();
    two.close();
    let mut store = folder.open();
    for block in (0..20).chain(100..120) {
        assert_eq!(read(&mut store, block), Ok(()));
    }
}
