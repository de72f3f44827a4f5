//! What the system knows of files.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

/// What changes whenever a file's contents do, and with other things too: which file it is, its
/// size, and when it was last written or changed at all. (Who writes a file can set the time of
/// writing, but not the time of the change.)
pub(crate) fn stamp(metadata: &Metadata) -> Option<String> {
    Some(format!(
        "{}:{} {} {}.{} {}.{}",
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec()
    ))
}

/// Fills `out` with the bytes from `offset` on; several threads may do so at once.
///
/// # Errors
/// The system's; `UnexpectedEof` where the file ends before.
pub(crate) fn read_exact_at(file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    file.read_exact_at(out, offset)
}
