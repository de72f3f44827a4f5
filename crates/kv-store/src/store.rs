//! The store as its owner sees it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::config::{StoreConfig, StoreError};
use crate::index::{Place, SharedIndex};
use crate::record::{Format, HEADER, Hash};
use crate::segments::Folder;
use crate::stats::StoreStats;
use crate::writer::{Order, Writer};

/// Bytes of blocks that may wait to be written.
const QUEUE_BYTES: usize = 64 << 20;
/// The fewest and the most blocks that may wait.
const QUEUE_BLOCKS: std::ops::RangeInclusive<usize> = 4..=4_096;

/// Blocks on disk. Reading happens on the caller's thread, writing on one of the store's own.
pub struct BlockStore {
    folder: Folder,
    format: Format,
    index: SharedIndex,
    /// Taken when the store is closed.
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    /// Segments that were read from.
    files: HashMap<u64, File>,
    record: Vec<u8>,
}

/// What has become of a block that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It will be written.
    Queued,
    /// It is there already, or on its way.
    Known,
    /// Too many are waiting; it is not written.
    Dropped,
    /// Its bytes could not be had.
    Unread,
}

/// Why a block was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    /// There is none of that hash.
    #[error("there is no such block")]
    Absent,
    /// What is there cannot be used; the store has forgotten it.
    #[error("the block on disk is damaged")]
    Damaged,
}

impl BlockStore {
    /// Opens the store in a folder, with the blocks that it finds there.
    ///
    /// # Errors
    /// [`StoreError`]: a folder that cannot be made or listed, or no room for one block.
    ///
    /// # Panics
    /// If the system cannot start a thread.
    pub fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let format = Format {
            digest: config.digest,
            block_size: config.block_size,
            block_bytes: config.block_bytes,
        };
        let record_len = format.record_len();
        let least = (HEADER + record_len) as u64;
        if config.max_bytes < least {
            return Err(StoreError::TooSmall {
                max_bytes: config.max_bytes,
                block_bytes: least,
            });
        }
        let folder = Folder::new(&config.folder, &config.digest);
        let index = SharedIndex::default();
        let segments = folder.scan(&format, &mut index.lock());
        let segments = segments.map_err(|source| StoreError::Folder {
            folder: config.folder.clone(),
            source,
        })?;
        let writer = Writer::new(
            folder.clone(),
            format.clone(),
            index.clone(),
            segments,
            config.max_bytes,
        );
        let waiting = QUEUE_BYTES / record_len;
        let (orders, inbox) =
            sync_channel(waiting.clamp(*QUEUE_BLOCKS.start(), *QUEUE_BLOCKS.end()));
        let thread = std::thread::Builder::new()
            .name("kv-store".to_owned())
            .spawn(move || writer.run(&inbox))
            .expect("the system can start a thread");
        Ok(Self {
            folder,
            format,
            index,
            orders: Some(orders),
            thread: Some(thread),
            files: HashMap::new(),
            record: Vec::new(),
        })
    }

    /// Bytes of a block's record: what reading it takes from the disk.
    pub fn record_bytes(&self) -> usize {
        self.format.record_len()
    }

    /// Whether the block of this hash can be read.
    pub fn contains(&self, hash: &Hash) -> bool {
        self.index.lock().places.contains_key(hash)
    }

    /// Orders a block to be written unless it is there; `fill` writes its bytes and says whether it
    /// could. Does not block.
    ///
    /// # Panics
    /// If there are not as many tokens as a block has.
    pub fn put(
        &mut self,
        hash: &Hash,
        tokens: &[u32],
        fill: impl FnOnce(&mut [u8]) -> bool,
    ) -> Put {
        self.order(hash, tokens, fill, false)
    }

    /// As [`put`](Self::put), but waits for its turn rather than to drop it.
    ///
    /// # Panics
    /// As [`put`](Self::put).
    pub fn put_waiting(
        &mut self,
        hash: &Hash,
        tokens: &[u32],
        fill: impl FnOnce(&mut [u8]) -> bool,
    ) -> Put {
        self.order(hash, tokens, fill, true)
    }

    /// Reads a block whose tokens are these into `out`.
    ///
    /// # Errors
    /// [`NotRead`]; `out` is then undefined.
    ///
    /// # Panics
    /// If `out` or `tokens` are not as long as a block's.
    pub fn read(&mut self, hash: &Hash, tokens: &[u32], out: &mut [u8]) -> Result<(), NotRead> {
        assert_eq!(out.len(), self.format.block_bytes, "bytes of a block");
        self.close_deleted();
        let place = self.index.lock().places.get(hash).copied();
        let place = place.ok_or(NotRead::Absent)?;
        let read = self.read_record(place).map_err(|error| error.to_string());
        let bytes = read.and_then(|()| {
            let decoded = self.format.decode(&self.record, hash, tokens);
            decoded.map_err(|damage| damage.to_string())
        });
        let mut index = self.index.lock();
        match bytes {
            Ok(bytes) => {
                out.copy_from_slice(bytes);
                index.stats.read += 1;
                Ok(())
            }
            Err(error) => {
                // The writer may have deleted the segment meanwhile, and then forgotten the place.
                let is_known = index.places.get(hash) == Some(&place);
                if !is_known {
                    return Err(NotRead::Absent);
                }
                index.places.remove(hash);
                index.stats.damaged += 1;
                drop(index);
                tracing::warn!(
                    file = %self.folder.file(place.segment).display(),
                    record = place.record,
                    error,
                    "a cached block on disk cannot be used, and is computed again"
                );
                Err(NotRead::Damaged)
            }
        }
    }

    /// Deletes all blocks, and waits until that is done.
    pub fn clear(&mut self) {
        let Some(orders) = &self.orders else {
            return;
        };
        let (done, wait) = sync_channel(1);
        if orders.send(Order::Clear(done)).is_ok() {
            // The thread ends only after it has answered everything.
            let _ = wait.recv();
        }
    }

    /// Counts and gauges.
    pub fn stats(&self) -> StoreStats {
        let index = self.index.lock();
        StoreStats {
            blocks: index.places.len() as u64,
            ..index.stats
        }
    }

    /// Waits until everything that was ordered is on disk.
    pub fn close(mut self) {
        self.finish();
    }

    fn order(
        &mut self,
        hash: &Hash,
        tokens: &[u32],
        fill: impl FnOnce(&mut [u8]) -> bool,
        waits: bool,
    ) -> Put {
        self.close_deleted();
        {
            let mut index = self.index.lock();
            if index.places.contains_key(hash) || !index.pending.insert(*hash) {
                return Put::Known;
            }
        }
        let mut record = Vec::with_capacity(self.format.record_len());
        let outcome = if self.format.encode(&mut record, hash, tokens, fill) {
            self.send(
                Order::Append {
                    hash: *hash,
                    record,
                },
                waits,
            )
        } else {
            Put::Unread
        };
        if outcome != Put::Queued {
            let mut index = self.index.lock();
            index.pending.remove(hash);
            index.stats.dropped += u64::from(outcome == Put::Dropped);
        }
        outcome
    }

    fn send(&self, order: Order, waits: bool) -> Put {
        let Some(orders) = &self.orders else {
            return Put::Dropped;
        };
        let sent = match waits {
            true => orders.send(order).is_ok(),
            false => !matches!(
                orders.try_send(order),
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_))
            ),
        };
        if sent { Put::Queued } else { Put::Dropped }
    }

    fn read_record(&mut self, place: Place) -> io::Result<()> {
        let len = self.format.record_len();
        let file = match self.files.entry(place.segment) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(File::open(self.folder.file(place.segment))?)
            }
        };
        file.seek(SeekFrom::Start(HEADER as u64 + place.record * len as u64))?;
        self.record.resize(len, 0);
        let read = file.read_exact(&mut self.record);
        if read.is_err() {
            self.files.remove(&place.segment);
        }
        read
    }

    /// A deleted file takes room on the disk as long as it is open.
    fn close_deleted(&mut self) {
        for segment in self.index.lock().deleted.drain(..) {
            self.files.remove(&segment);
        }
    }

    fn finish(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes cached blocks has panicked");
        }
    }
}

impl Drop for BlockStore {
    fn drop(&mut self) {
        self.finish();
    }
}
