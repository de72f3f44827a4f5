//! Systems of whose files too little is known.

use std::fs::{File, Metadata};
use std::io;

/// Nothing that would tell a changed file from an old one.
pub(crate) fn stamp(_metadata: &Metadata) -> Option<String> {
    None
}

/// Does not read.
///
/// # Errors
/// `Unsupported`
pub(crate) fn read_exact_at(_file: &File, _offset: u64, _out: &mut [u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
