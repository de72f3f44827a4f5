//! The part of a file that has arrived.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::HubError;
use super::cache::create_parent;
use super::client::RemoteFile;

const READ_BYTES: usize = 1 << 20;

/// The part of a file that has arrived, which the disk keeps when a download stops.
///
/// 1. [`Self::open`] takes up what an earlier download left, or starts with nothing;
/// 2. [`Self::append`], until [`Self::len`] is the file's size;
/// 3. [`Self::finish`] checks the bytes and moves them to their place, all at once.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    len: u64,
    /// Digest of what is there; `None` for a file whose digest is not a SHA-256.
    hasher: Option<Sha256>,
}

/// Whether the bytes are those that the hub announced.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// They are, and are in their place.
    Whole,
    /// They have this SHA-256 instead, and are deleted.
    Damaged(String),
}

impl Part {
    /// The part of `wanted` at `path`.
    ///
    /// A file without a SHA-256 starts anew each time, since nothing could tell a wrong beginning;
    /// those are the small ones.
    pub(super) fn open(path: PathBuf, wanted: &RemoteFile) -> Result<Self, HubError> {
        create_parent(&path)?;
        let open = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path);
        let mut file = open.map_err(HubError::disk(&path))?;
        let mut hasher = is_sha256(&wanted.etag).then(Sha256::new);
        let found = file.metadata().map_err(HubError::disk(&path))?.len();
        let mut len = 0;
        match &mut hasher {
            Some(hasher) if found <= wanted.size => {
                len = digest(&mut file, hasher).map_err(HubError::disk(&path))?;
            }
            _ => file.set_len(0).map_err(HubError::disk(&path))?,
        }
        Ok(Self {
            path,
            file,
            len,
            hasher,
        })
    }

    /// Bytes on the disk.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Writes the next bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        let written = self.file.write_all(bytes);
        written.map_err(HubError::disk(&self.path))?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Deletes the part.
    pub(super) fn discard(self) -> Result<(), HubError> {
        fs::remove_file(&self.path).map_err(HubError::disk(&self.path))
    }

    /// Moves the whole file to `blob`, or deletes it if its bytes are not those of `etag`.
    pub(super) fn finish(mut self, blob: &Path, etag: &str) -> Result<Check, HubError> {
        if let Some(hasher) = self.hasher.take() {
            let found = hex(hasher.finalize());
            if !found.eq_ignore_ascii_case(etag) {
                self.discard()?;
                return Ok(Check::Damaged(found));
            }
        }
        // After the rename everybody takes the file for whole, even if the power fails.
        self.file.sync_all().map_err(HubError::disk(&self.path))?;
        fs::rename(&self.path, blob).map_err(HubError::disk(blob))?;
        Ok(Check::Whole)
    }
}

/// Reads to the end, which is where the next bytes go.
fn digest(file: &mut File, hasher: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; READ_BYTES];
    let mut len = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(len),
            read => {
                hasher.update(&buffer[..read]);
                len += read as u64;
            }
        }
    }
}

fn is_sha256(etag: &str) -> bool {
    etag.len() == 64 && etag.bytes().all(|b| b.is_ascii_hexdigit())
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
