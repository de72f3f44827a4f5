//! The folder of all files, and its size.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Extension of whole files.
pub(super) const WHOLE: &str = "weights";
/// Extension of those that are being written.
pub(super) const PARTIAL: &str = "partial";
/// How much older than the newest file what is being written must be to have been abandoned.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// A file of the folder.
struct Found {
    written: SystemTime,
    bytes: u64,
    path: PathBuf,
    whole: bool,
}

/// Removes the oldest files of `folder` until there is room for `wanted` bytes in `max_bytes`, and
/// returns those. `replaced`, which is about to be written, does not count.
///
/// # Errors
/// The system's.
pub(super) fn make_room(
    folder: &Path,
    replaced: &Path,
    wanted: u64,
    max_bytes: u64,
) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Another server may have removed it meanwhile.
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        found.extend(Found::of(path, &metadata));
    }
    found.sort_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
    let newest = found.last().map(|file| file.written);
    let (whole, partial): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|f| f.whole);
    let mut removed = Vec::new();
    for file in partial {
        let age = newest.and_then(|newest| newest.duration_since(file.written).ok());
        if age.is_some_and(|age| age > ABANDONED) {
            remove(file.path, &mut removed)?;
        }
    }
    let whole = whole.into_iter().filter(|file| file.path != replaced);
    let whole: Vec<Found> = whole.collect();
    let mut used: u64 = whole.iter().map(|file| file.bytes).sum();
    for file in whole {
        if used.saturating_add(wanted) <= max_bytes {
            break;
        }
        used -= file.bytes;
        remove(file.path, &mut removed)?;
    }
    Ok(removed)
}

impl Found {
    /// `None` of what is none of the cache's files.
    fn of(path: PathBuf, metadata: &Metadata) -> Option<Self> {
        let extension = path.extension()?;
        let whole = extension == WHOLE;
        if !metadata.is_file() || !(whole || extension == PARTIAL) {
            return None;
        }
        Some(Self {
            written: metadata.modified().ok()?,
            bytes: metadata.len(),
            path,
            whole,
        })
    }
}

fn remove(path: PathBuf, removed: &mut Vec<PathBuf>) -> io::Result<()> {
    match fs::remove_file(&path) {
        Ok(()) => removed.push(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
