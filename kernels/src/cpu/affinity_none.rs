//! Systems on which a program does not choose the cores of its threads.

use std::io;
use std::thread::JoinHandle;

/// # Errors
/// `Unsupported`, always.
pub(crate) fn allowed_cores() -> io::Result<Vec<usize>> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "threads cannot be pinned to cores on this system",
    ))
}

/// # Errors
/// `Unsupported`, always.
pub(crate) fn pin(_thread: &JoinHandle<()>, _core: usize) -> io::Result<()> {
    allowed_cores().map(|_| ())
}
