//! Files that are not as they were written cost nothing but time.

use std::fs::{self, OpenOptions};
use std::io::Write;

use kv_store::NotRead;

use crate::folder::{BLOCK_BYTES, BLOCK_SIZE, Folder, put, read};

const HEADER: usize = 88;
const RECORD: usize = 32 + 4 * BLOCK_SIZE + BLOCK_BYTES + 32;

#[test]
fn a_flipped_bit_loses_its_block_only() {
    for at in [0, 31, 32, 47, 48, 600, RECORD - 33, RECORD - 1] {
        let folder = Folder::new();
        folder.write(0..5);
        let file = &folder.files()[0];
        let mut bytes = fs::read(file).expect("a segment");
        assert_eq!(bytes.len(), HEADER + 5 * RECORD);
        bytes[HEADER + 2 * RECORD + at] ^= 0x10;
        fs::write(file, bytes).expect("a segment");
        let mut store = folder.open();
        for block in [0, 1, 3, 4] {
            assert_eq!(read(&mut store, block), Ok(()), "byte {at}");
        }
        let is_name = at < 32;
        let expected = if is_name {
            NotRead::Absent
        } else {
            NotRead::Damaged
        };
        assert_eq!(read(&mut store, 2), Err(expected), "byte {at}");
        assert_eq!(read(&mut store, 2), Err(NotRead::Absent), "it is forgotten");
        assert_eq!(store.stats().damaged, u64::from(!is_name));
        // What is computed again is written again.
        put(&mut store, 2);
        store.close();
        assert_eq!(read(&mut folder.open(), 2), Ok(()));
    }
}

#[test]
fn a_torn_write_loses_the_last_block_only() {
    for cut in [1, 40, 500, RECORD - 1] {
        let folder = Folder::new();
        folder.write(0..3);
        let file = OpenOptions::new()
            .write(true)
            .open(&folder.files()[0])
            .expect("a segment");
        file.set_len((HEADER + 3 * RECORD - cut) as u64)
            .expect("a shorter segment");
        let mut store = folder.open();
        assert_eq!(store.stats().blocks, 2);
        assert_eq!(read(&mut store, 1), Ok(()));
        assert_eq!(read(&mut store, 2), Err(NotRead::Absent));
        put(&mut store, 2);
        store.close();
        assert_eq!(read(&mut folder.open(), 2), Ok(()));
    }
}

#[test]
fn foreign_and_broken_files_are_left_alone() {
    let folder = Folder::new();
    folder.write(0..3);
    let kv = folder.files()[0].parent().expect("a folder").to_owned();
    let own = folder.files()[0]
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let broken = [
        (own.replace("00000000", "00000001"), Vec::new()),
        (
            own.replace("00000000", "00000002"),
            b"PURSERKV and no more".to_vec(),
        ),
        (own.replace("00000000", "00000003"), vec![0x55; 5_000]),
        ("notes.txt".to_owned(), b"mine".to_vec()),
    ];
    for (name, bytes) in &broken {
        fs::write(kv.join(name), bytes).expect("a file");
    }
    let mut store = folder.open();
    assert_eq!(store.stats().blocks, 3);
    for block in 3..60 {
        put(&mut store, block);
    }
    store.close();
    let mut store = folder.open();
    for block in 0..60 {
        assert_eq!(read(&mut store, block), Ok(()));
    }
    for (name, bytes) in &broken {
        assert_eq!(&fs::read(kv.join(name)).expect("still there"), bytes);
    }
}

#[test]
fn another_model_reads_nothing_of_this_one() {
    let mut folder = Folder::new();
    folder.write(0..3);
    folder.digest = [4; 32];
    let mut store = folder.open();
    assert_eq!(store.stats().blocks, 0);
    assert_eq!(read(&mut store, 1), Err(NotRead::Absent));
    put(&mut store, 9);
    store.close();
    folder.digest = [3; 32];
    let mut store = folder.open();
    assert_eq!(store.stats().blocks, 3);
    assert_eq!(read(&mut store, 1), Ok(()));
}

#[test]
fn a_folder_that_goes_away_costs_the_blocks_and_no_more() {
    let folder = Folder::new();
    let kv = folder.path().join("kv");
    let mut store = folder.open();
    fs::remove_dir_all(&kv).expect("the store's folder");
    fs::File::create(&kv)
        .and_then(|mut file| file.write_all(b"a file"))
        .expect("a file in its place");
    for block in 0..5 {
        put(&mut store, block);
    }
    for _ in 0..10_000 {
        if store.stats().write_errors == 5 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(store.stats().write_errors, 5);
    assert_eq!(read(&mut store, 1), Err(NotRead::Absent));
    fs::remove_file(&kv).expect("the file");
    fs::create_dir(&kv).expect("the folder again");
    put(&mut store, 7);
    store.close();
    assert_eq!(read(&mut folder.open(), 7), Ok(()));
}
