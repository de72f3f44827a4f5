//! The thread that writes.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::mpsc::{Receiver, SyncSender};

use crate::index::{Place, SharedIndex};
use crate::record::{Format, HEADER, Hash};
use crate::segments::{Folder, Segment};

/// Bytes of a segment at most: so much is forgotten at once.
const MAX_SEGMENT: u64 = 256 << 20;
/// Segments that a store is divided into at least.
const MIN_SEGMENTS: u64 = 8;

/// What the thread is to do.
pub(crate) enum Order {
    /// Append a record.
    Append { hash: Hash, record: Vec<u8> },
    /// Delete everything, and say so.
    Clear(SyncSender<()>),
}

/// Appends records, and deletes the oldest segments.
pub(crate) struct Writer {
    folder: Folder,
    format: Format,
    index: SharedIndex,
    /// The oldest first; the last one is written to if `current` is there.
    segments: VecDeque<Segment>,
    current: Option<File>,
    max_bytes: u64,
    next_number: u64,
    /// Whether the last write failed: one line for many failures.
    failing: bool,
}

impl Writer {
    pub(crate) fn new(
        folder: Folder,
        format: Format,
        index: SharedIndex,
        segments: Vec<Segment>,
        max_bytes: u64,
    ) -> Self {
        let next_number = segments.last().map_or(0, |last| last.number + 1);
        let mut writer = Self {
            folder,
            format,
            index,
            segments: segments.into(),
            current: None,
            max_bytes,
            next_number,
            failing: false,
        };
        writer.make_room(0);
        writer.publish_bytes();
        writer
    }

    /// Writes until nobody orders any more.
    pub(crate) fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            match order {
                Order::Append { hash, record } => self.write(hash, &record),
                Order::Clear(done) => {
                    self.current = None;
                    self.make_room(u64::MAX);
                    self.publish_bytes();
                    // Who asked may have gone.
                    let _ = done.send(());
                }
            }
        }
        if let Some(file) = &self.current
            && let Err(error) = file.sync_data()
        {
            tracing::warn!(%error, "cached blocks may not have reached the disk");
        }
    }

    fn write(&mut self, hash: Hash, record: &[u8]) {
        let written = self.append(record);
        let mut index = self.index.lock();
        index.pending.remove(&hash);
        match written {
            Ok(place) => {
                index.places.insert(hash, place);
                index.stats.written += 1;
                drop(index);
                self.failing = false;
            }
            Err(error) => {
                index.stats.write_errors += 1;
                drop(index);
                self.current = None;
                if !self.failing {
                    tracing::warn!(%error, "a cached block cannot be written to disk");
                }
                self.failing = true;
            }
        }
        self.publish_bytes();
    }

    fn append(&mut self, record: &[u8]) -> io::Result<Place> {
        let len = record.len() as u64;
        let segment_bytes = (self.max_bytes / MIN_SEGMENTS).min(MAX_SEGMENT);
        let is_full = |segment: &Segment| segment.bytes + len > segment_bytes;
        if self.current.is_some() && self.segments.back().is_some_and(is_full) {
            self.current = None;
        }
        let new_header = if self.current.is_none() { HEADER } else { 0 };
        self.make_room(len + new_header as u64);
        if self.current.is_none() {
            self.begin_segment()?;
        }
        let (Some(file), Some(segment)) = (&mut self.current, self.segments.back_mut()) else {
            return Err(io::Error::other("there is no segment to write to"));
        };
        let start = segment.bytes;
        if let Err(error) = file.write_all(record) {
            // What was begun is cut off; if that fails, too, it is an incomplete last block.
            let _ = file.set_len(start);
            let _ = file.seek(SeekFrom::Start(start));
            return Err(error);
        }
        segment.bytes += len;
        Ok(Place {
            segment: segment.number,
            record: (start - HEADER as u64) / len,
        })
    }

    /// Begins a file of its own: another process may write to the same folder.
    fn begin_segment(&mut self) -> io::Result<()> {
        loop {
            let number = self.next_number;
            self.next_number += 1;
            let path = self.folder.file(number);
            let mut file = match File::create_new(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            if let Err(error) = file.write_all(&self.format.header()) {
                let _ = fs::remove_file(&path);
                return Err(error);
            }
            let bytes = HEADER as u64;
            self.segments.push_back(Segment { number, bytes });
            self.current = Some(file);
            return Ok(());
        }
    }

    /// Deletes the oldest segments until `more` bytes fit.
    fn make_room(&mut self, more: u64) {
        while self.bytes().saturating_add(more) > self.max_bytes {
            let Some(oldest) = self.segments.pop_front() else {
                return;
            };
            if self.segments.is_empty() {
                self.current = None;
            }
            self.index.lock().forget_segment(oldest.number);
            let path = self.folder.file(oldest.number);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(
                    file = %path.display(),
                    %error,
                    "an old file of cached blocks cannot be deleted"
                ),
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn publish_bytes(&self) {
        self.index.lock().stats.bytes = self.bytes();
    }
}
