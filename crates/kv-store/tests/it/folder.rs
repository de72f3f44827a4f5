//! A store in a folder of its own, and blocks that can be told apart.

use std::path::{Path, PathBuf};

use kv_store::{BlockStore, Hash, NotRead, Put, StoreConfig};
use tempfile::TempDir;

pub(crate) const BLOCK_SIZE: usize = 4;
pub(crate) const BLOCK_BYTES: usize = 1_000;

pub(crate) struct Folder {
    folder: TempDir,
    pub(crate) max_bytes: u64,
    pub(crate) digest: Hash,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self::of(1 << 20)
    }

    /// A store of so many bytes.
    pub(crate) fn of(max_bytes: u64) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            max_bytes,
            digest: [3; 32],
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> StoreConfig {
        StoreConfig {
            folder: self.path().join("kv"),
            max_bytes: self.max_bytes,
            digest: self.digest,
            block_size: BLOCK_SIZE,
            block_bytes: BLOCK_BYTES,
        }
    }

    pub(crate) fn open(&self) -> BlockStore {
        BlockStore::open(&self.config()).expect("a good folder")
    }

    /// A store that held these blocks, closed.
    pub(crate) fn write(&self, blocks: std::ops::Range<u8>) {
        let mut store = self.open();
        for block in blocks {
            assert_eq!(put(&mut store, block), Put::Queued);
        }
        store.close();
    }

    /// Segment files, the oldest first.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path().join("kv")).expect("the store's folder");
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        files
    }
}

pub(crate) fn hash(block: u8) -> Hash {
    [block; 32]
}

pub(crate) fn tokens(block: u8) -> [u32; BLOCK_SIZE] {
    [block.into(), 1_000, 70_000, u32::MAX]
}

fn byte(block: u8, at: usize) -> u8 {
    block.wrapping_mul(31).wrapping_add((at % 251) as u8)
}

pub(crate) fn put(store: &mut BlockStore, block: u8) -> Put {
    store.put_waiting(&hash(block), &tokens(block), |out| {
        for (at, out) in out.iter_mut().enumerate() {
            *out = byte(block, at);
        }
        true
    })
}

/// Reads a block and checks every byte of it.
pub(crate) fn read(store: &mut BlockStore, block: u8) -> Result<(), NotRead> {
    let mut out = [0; BLOCK_BYTES];
    store.read(&hash(block), &tokens(block), &mut out)?;
    let as_written = (0..BLOCK_BYTES).all(|at| out[at] == byte(block, at));
    assert!(as_written, "block {block} came back as another");
    Ok(())
}
