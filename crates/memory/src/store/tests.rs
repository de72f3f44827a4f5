//! Crashes at every write, on a disk that keeps any part of what it was not told to sync.

use std::io;
use std::sync::Arc;

use super::*;
use crate::entry::text_key;
use crate::handle::{NAME_LENGTH, name};
use crate::shelf::Shelf;
use crate::{FileError, Handle, MemoryPath, Namespace, PutError, Tenant};

/// A disk that stops working after some operations.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Surface>>);

#[derive(Debug, Default)]
struct Surface {
    /// What reading gives.
    bytes: Vec<u8>,
    /// What surely survives.
    synced: Vec<u8>,
    /// What was done since, in order.
    unsynced: Vec<Operation>,
    operations: usize,
    crash_at: Option<usize>,
}

#[derive(Clone, Debug)]
enum Operation {
    Length(usize),
    Write(usize, Vec<u8>),
}

impl Surface {
    fn begin(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.crash_at {
            Some(at) if self.operations > at => Err(io::Error::other("the machine is off")),
            _ => Ok(()),
        }
    }

    fn perform(&mut self, operation: Operation) -> io::Result<()> {
        // The operation in which the machine goes off may still have reached the disk.
        let reached = self.begin();
        if reached.is_ok() {
            apply(&mut self.bytes, &operation);
        }
        self.unsynced.push(operation);
        reached
    }
}

fn apply(bytes: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::Length(length) => bytes.resize(*length, 0),
        Operation::Write(at, data) => {
            let end = at + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(data);
        }
    }
}

impl Disk {
    fn surface(&self) -> MutexGuard<'_, Surface> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk after power is back: of what was not synced, each operation is there, is not, or
    /// is there up to some byte.
    fn after_crash(&self, seed: u64) -> Self {
        let old = self.surface();
        let mut state = seed;
        let mut bytes = old.synced.clone();
        for operation in &old.unsynced {
            state = state
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            let draw = (state >> 33) as usize;
            match (draw % 3, operation) {
                (0, _) => {}
                (1, Operation::Write(at, data)) => {
                    let torn = data[..draw / 3 % (data.len() + 1)].to_vec();
                    apply(&mut bytes, &Operation::Write(*at, torn));
                }
                _ => apply(&mut bytes, operation),
            }
        }
        Self(Arc::new(Mutex::new(Surface {
            synced: bytes.clone(),
            bytes,
            ..Surface::default()
        })))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.surface().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let surface = self.surface();
        let at = offset as usize;
        let found = surface
            .bytes
            .get(at..at + out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.surface().perform(Operation::Length(length as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut surface = self.surface();
        surface.begin()?;
        surface.synced = surface.bytes.clone();
        surface.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.surface()
            .perform(Operation::Write(offset as usize, data.to_vec()))
    }
}

/// Texts of up to 20 KiB, so that they take several pages.
fn text(number: usize) -> String {
    format!("text {number} ").repeat(1 + number * 397 % 2000)
}

/// Puts texts away and rewrites one file until the disk fails; what was answered before.
fn work(store: &Store, tenant: &Tenant, namespace: &Namespace) -> (Vec<Handle>, usize) {
    let (mut handles, mut written) = (Vec::new(), 0);
    for number in 0..8 {
        let Ok(stored) = store.put(tenant, &text(number)) else {
            break;
        };
        handles.push(stored.handle);
        let path = MemoryPath::below_root("notes/count.md").unwrap();
        if store
            .write_file(tenant, namespace, &path, &text(number))
            .is_err()
        {
            break;
        }
        written = number + 1;
    }
    (handles, written)
}

#[test]
fn what_was_answered_survives_a_crash_at_any_write() {
    let (tenant, namespace) = (Tenant::of(b"a"), "team".parse::<Namespace>().unwrap());
    let path = MemoryPath::below_root("notes/count.md").unwrap();
    let limits = Limits {
        offloaded_bytes: 60 << 10,
        ..Limits::default()
    };
    let whole = Disk::default();
    work(
        &Store::with_backend(whole.clone(), limits).unwrap(),
        &tenant,
        &namespace,
    );
    let operations = whole.surface().operations;
    let mut crashes = 0;
    for crash_at in 1..operations {
        let disk = Disk::default();
        let store = match Store::with_backend(disk.clone(), limits) {
            Ok(store) => store,
            Err(error) => panic!("{error}"),
        };
        let made = disk.surface().operations;
        disk.surface().crash_at = Some(made.max(crash_at));
        let (handles, written) = work(&store, &tenant, &namespace);
        drop(store);
        let seed = crash_at as u64;
        let store = Store::with_backend(disk.after_crash(seed), limits)
            .unwrap_or_else(|error| panic!("crash at operation {crash_at}: {error}"));
        check(&store, &tenant, &handles, crash_at);
        match store.read_file(&tenant, &namespace, &path) {
            // The write that was not answered may have been done.
            Ok(found) => assert!(
                [written.wrapping_sub(1), written]
                    .iter()
                    .any(|n| *n < 8 && found == text(*n)),
                "crash at {crash_at}"
            ),
            Err(FileError::NotFound(_)) => assert_eq!(written, 0, "crash at {crash_at}"),
            Err(error) => panic!("crash at {crash_at}: {error}"),
        }
        crashes += usize::from(written < 8);
        store.put(&tenant, "afterwards").unwrap();
    }
    println!("{crashes} crashes in {operations} operations");
    assert!(crashes > 20);
}

#[test]
fn a_text_whose_handle_is_taken_is_refused() {
    let (tenant, limits) = (Tenant::of(b"a"), Limits::default());
    let store = Store::in_memory(limits).unwrap();
    // The last bit is in no handle.
    let mut taken = name(&tenant, "text");
    taken[NAME_LENGTH - 1] ^= 1;
    let change = store.begin_write().unwrap();
    let mut shelf = Shelf::open(&change, tenant).unwrap();
    shelf.insert(&text_key(&tenant, &taken), "other").unwrap();
    drop(shelf);
    change.commit().unwrap();

    let error = store.put(&tenant, "text").unwrap_err();
    let handle = Handle::of(&tenant, "text");
    assert!(matches!(error, PutError::Collision(taken) if taken == handle));
    assert_eq!(store.usage(&tenant).unwrap().texts, 1);
    assert!(store.put(&tenant, "third").is_ok());
}

/// Whether the store has the latest of what it said it has, within its bound, and counts right.
fn check(store: &Store, tenant: &Tenant, handles: &[Handle], crash_at: usize) {
    let mut bytes = 0;
    let mut missing = 0;
    for (number, handle) in handles.iter().enumerate() {
        match store.restore(tenant, handle).unwrap() {
            Some(found) => {
                assert_eq!(found, text(number), "crash at {crash_at}");
                bytes += found.len() as u64;
            }
            None => missing += 1,
        }
    }
    let usage = store.usage(tenant).unwrap();
    // At most one text was put away without an answer.
    let unanswered = usage.bytes - bytes;
    assert!(
        missing <= usage.evicted,
        "crash at {crash_at}: {missing} of {usage:?}"
    );
    let next = text(handles.len()).len() as u64;
    assert!(
        unanswered == 0 || unanswered == next,
        "crash at {crash_at}: {unanswered}"
    );
}
